/* SPDX-License-Identifier: MIT */
/*
 * A loop's own stack, read while it sleeps in a block, with its frames of Python or JavaScript:
 * they lie in memory that changes when it runs on. What was read by then is the block's, also where
 * it takes longer until all of it has names.
 */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#define TRIES	  3 /* in one block without a pause */
#define TRIES_MAX 8 /* in all, for a stack that was broken off */
#define TOO_SOON  "the block was over too soon"

bool asleep_in_block(struct collector *c, const struct loop *l, uint64_t off_ns)
{
	struct thread_state t;

	return probe_thread(c->probe, l->tid, &t) == 0 && t.off == OFF_BLOCK && t.off_ns == off_ns;
}

void asleep_ask(struct collector *c, struct loop *l)
{
	struct inquiry *q = &l->inquiry;
	struct look_view seen;

	q->tries++;
	if (!c->look)
		q->why = "threads cannot be looked at";
	if (!c->look || look_at(c->look, l->tid, &seen) < 0 || seen.on_cpu ||
	    seen.tgid != (__u32)l->target->pid)
		return;
	struct job *j = job_new(c, l, JOB_OWN);
	if (!j)
		return;
	j->seen = seen;
	j->off_ns = q->off_ns;
	struct inspector_sleeper sleeper = {.regs = (const uint64_t *)seen.regs,
					    .python = target_is_python(l->target) ? l->ns_tid : 0};
	q->own_job = job_begin(
		c, j,
		inspector_unwind_asleep(c->inspector, j->cookie, l->target->pid, l->tid, &sleeper));
}

/* Frames that were taken as the block began may turn out not to fit: only the short waits for
 * CPython's lock, of which there are many, rely on these. */
bool asleep_is_wanted(const struct loop *l)
{
	const struct inquiry *q = &l->inquiry;

	return target_language(l->target) && (!q->stack || q->broken) && !q->own_job &&
	       !(q->owner.gil && chain_of_block(l, q->off_ns));
}

bool asleep_stood(struct collector *c, const struct job *j)
{
	struct look_view now;

	return asleep_in_block(c, j->loop, j->off_ns) &&
	       look_at(c->look, j->loop->tid, &now) == 0 && look_stood_still(&j->seen, &now);
}

/* The same of a block that is over: what was read while it lasted comes in place of its copy. */
static void take_later(struct collector *c, struct loop *l, const struct inspector_result *r,
		       bool stood)
{
	struct block *b = l->blocks;

	while (b && b->own_job != r->cookie)
		b = b->next;
	if (!b)
		return;
	b->own_job = 0;
	if (stood && r->nframes) {
		b->job = 0;
		b->row.stack = stack_intern_result(c, r);
		b->looked_into = !r->language_why;
		if (!b->row.task)
			b->row.task = task_meet(c, l, &r->task, STORE_TASK_TASK);
	}
	const char *why = !stood ? TOO_SOON : r->nframes ? r->language_why : r->why;
	if (why)
		ledger_no_frames(c, l, why);
	evidence_put_block(c, b);
}

void asleep_result(struct collector *c, const struct job *j, struct inquiry *q,
		   const struct inspector_result *r)
{
	bool stood = r->kept ? j->stood : asleep_stood(c, j);

	if (!q) {
		take_later(c, j->loop, r, stood);
		return;
	}
	q->own_job = 0;
	if (!stood) {
		j->loop->gil_due_ns = 0; /* the block is over: the next one may tell as much */
		return;
	}
	if (!r->nframes) {
		q->why = r->why;
		if (q->tries < TRIES)
			q->next_ns = 0;
		return;
	}
	q->why = r->language_why;
	q->broken = q->tries < TRIES_MAX ? r->why : NULL;
	if (r->why && !q->broken)
		ledger_unresolved(c, "stack", r->why);
	q->stack = stack_intern_result(c, r);
	q->task = task_meet(c, j->loop, &r->task, STORE_TASK_TASK);
}

void asleep_close(struct collector *c, const struct loop *l, const struct inquiry *q, bool chained,
		  struct block *b)
{
	if (!target_language(l->target))
		return;
	if (chained && (!q->stack || q->why))
		return;
	const struct job *own = job_of(c, q->own_job);
	if (own && own->stood) {
		b->own_job = q->own_job;
		return;
	}
	b->row.stack = q->stack;
	b->looked_into = q->stack && !q->why && !q->broken;
	if (q->broken)
		ledger_unresolved(c, "stack", q->broken);
	if (!b->row.task)
		b->row.task = q->task;
	if (q->why)
		ledger_no_frames(c, l, q->why);
	else if (!q->stack &&
		 target_is_python(l->target)) /* those of JavaScript are in the copy of the stack */
		ledger_no_frames(c, l,
				 b->row.cause == LSC_CAUSE_GIL ? "not each wait is looked into"
				 : q->asked		       ? TOO_SOON
							       : "the block was too short");
}
