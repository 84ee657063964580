/* SPDX-License-Identifier: MIT */
/* What the inspector was asked, from the question to the answer. */
#include "evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* What is missing without it; NULL: nothing that is stored. */
static const char *const job_texts[] = {
	[JOB_BLOCK] = "stack", [JOB_SAMPLE] = "stack", [JOB_OWNER] = "stack of a lock's owner",
	[JOB_GIL] = "gil",     [JOB_ONGOING] = NULL,   [JOB_OWN] = NULL,
	[JOB_WARM] = NULL,     [JOB_HOME] = NULL,      [JOB_REWALK] = NULL,
	[JOB_COPY] = NULL};

_Static_assert(PROBE_RED_ZONE == INSPECTOR_RED_ZONE && PROBE_REGS == INSPECTOR_REGS,
	       "the inspector gets what the kernel side copied");

static void job_free(struct collector *c, struct job *j)
{
	if (j->kind != JOB_REWALK)
		rewalk_drop(c, j->rewalk);
	free(j);
}

struct job *job_new(struct collector *c, struct loop *l, enum job_kind kind)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->cookie = ++c->next_cookie;
	j->loop = l;
	j->kind = kind;
	return j;
}

const struct job *job_of(const struct collector *c, uint64_t cookie)
{
	struct job *j;

	HASH_FIND(hh, c->jobs, &cookie, sizeof(cookie), j);
	return j;
}

bool jobs_seek_runtime(const struct collector *c)
{
	for (const struct job *j = c->jobs; j; j = j->hh.next)
		if (j->kind == JOB_GIL || j->kind == JOB_WARM)
			return true;
	return false;
}

uint64_t job_begin(struct collector *c, struct job *j, int r)
{
	if (r >= 0) {
		HASH_ADD(hh, c->jobs, cookie, sizeof(j->cookie), j);
		r = j->hh.tbl ? 0 : -ENOMEM; /* nobody will know its answer */
	}
	if (r < 0) {
		if (job_texts[j->kind])
			ledger_unresolved(c, job_texts[j->kind],
					  r == -EAGAIN ? "too many stacks at once" : strerror(-r));
		job_free(c, j);
		return 0;
	}
	return j->cookie;
}

uint64_t job_unwind(struct collector *c, struct loop *l, enum job_kind kind, const uint64_t *regs,
		    const void *stack, size_t size)
{
	struct job *j = job_new(c, l, kind);

	if (!j)
		return 0;
	if (kind == JOB_BLOCK || kind == JOB_SAMPLE)
		j->rewalk = rewalk_copy(c, l, regs, stack, size);
	return job_begin(c, j,
			 inspector_unwind(c->inspector, j->cookie, l->target->pid, l->tid, regs,
					  stack, size));
}

uint64_t job_unwind_python(struct collector *c, struct loop *l, enum job_kind kind,
			   const uint64_t *regs, const struct inspector_chain *chain,
			   const void *stack, size_t size)
{
	struct job *j = job_new(c, l, kind);

	if (!j)
		return 0;
	return job_begin(c, j,
			 inspector_unwind_python(c->inspector, j->cookie, l->target->pid, l->tid,
						 regs, stack, size, chain));
}

void job_result(const struct inspector_result *r, void *arg)
{
	struct collector *c = arg;
	struct job *j;

	HASH_FIND(hh, c->jobs, &r->cookie, sizeof(r->cookie), j);
	if (!j)
		return;
	if (r->keeps) {
		if (j->loop && (j->kind == JOB_OWNER || j->kind == JOB_OWN))
			inquiry_kept(c, j, r);
		return;
	}
	if (r->copy) {
		if (j->loop)
			deep_result(c, j, r);
		return;
	}
	HASH_DEL(c->jobs, j);
	if (j->loop && r->why && job_texts[j->kind])
		ledger_unresolved(c, job_texts[j->kind], r->why);
	if (r->debug_why)
		ledger_unresolved(c, "names and lines", r->debug_why);
	if (r->jit_why)
		ledger_unresolved(c, "frames of code made at run time", r->jit_why);
	if (j->loop && r->language_why && (j->kind == JOB_BLOCK || j->kind == JOB_SAMPLE))
		ledger_no_frames(c, j->loop, r->language_why);
	if (j->kind == JOB_WARM && j->tid)
		inspector_forget(c->inspector, j->tid); /* more of its files are mapped by now */
	if (j->kind == JOB_GIL)
		gil_found(c, j, r);
	else if (j->kind == JOB_REWALK)
		rewalk_found(c, j->rewalk, r);
	else if (j->loop && j->kind == JOB_ONGOING)
		ongoing_stack(j->loop, r->cookie, stack_intern_result(c, r));
	else if (j->loop && (j->kind == JOB_OWNER || j->kind == JOB_OWN))
		inquiry_result(c, j, r);
	else if (j->loop && j->kind == JOB_COPY)
		deep_result(c, j, r);
	else if (j->loop && j->kind == JOB_HOME)
		callback_home(c, j, r);
	else if (j->loop && j->kind == JOB_SAMPLE)
		evidence_sample_found(c, j, r);
	else if (j->loop)
		evidence_block_found(c, j->loop, r);
	if (j->loop && j->kind != JOB_REWALK && j->rewalk)
		rewalk_keep(c, j->loop, LSC_TAKE(j->rewalk), stack_intern_result(c, r), r);
	job_free(c, j);
}

/* Debug files that have not come. What goes wrong with the servers is told at once. */
static void tell_missed(struct collector *c)
{
	struct inspector_missed m;
	char text[160];

	while (inspector_next_missed(c->inspector, &m)) {
		ledger_unresolved(c, "debug file of a build", m.why);
		if (m.absent || m.why == c->missed_why)
			continue;
		c->missed_why = m.why;
		snprintf(text, sizeof(text),
			 "%s: functions may have no names, or no lines, for want of debug files",
			 m.why);
		c->ops->notice(text, c->arg);
	}
}

void jobs_dispatch(struct collector *c)
{
	inspector_dispatch(c->inspector);
	rewalk_steer(c);
	tell_missed(c);
}

void jobs_end(struct collector *c)
{
	inspector_end_fetching(c->inspector);
	rewalk_end(c);
	tell_missed(c);
}

void jobs_drop_loop(struct collector *c, const struct loop *l)
{
	for (struct job *j = c->jobs; j; j = j->hh.next) {
		if (j->loop != l)
			continue;
		j->loop = NULL;
		if (job_texts[j->kind])
			ledger_unresolved(c, job_texts[j->kind], "the thread had ended");
	}
}

void jobs_free(struct collector *c)
{
	struct job *j, *next;

	HASH_ITER(hh, c->jobs, j, next)
	{
		HASH_DEL(c->jobs, j);
		job_free(c, j);
	}
	rewalks_free(c);
}
