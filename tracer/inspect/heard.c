/* SPDX-License-Identifier: MIT */
#include "inspect/heard.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/putoff.h"
#include "inspect/reply.h"
#include "inspect/result.h"

#define SLOW_LOOK_NS (20 * LSC_NS_PER_MS) /* at a target that is known already */
#define MAP_PIECE    8 /* times unwind_ns: to open a perf map, or to read a piece of it */

static void take_table(struct inspector *ins, int status, uint64_t now_ns)
{
	uint64_t began_ns = ins->deadline.began_ns;
	struct target *t = ins->target;
	const char *why;

	ins->activity = IDLE;
	bool first = status >= 0 && !t->has_table, fresh = status == MESSAGE_TABLE_NEW;
	if (first ||
	    fresh) /* what whoever had the slot before used, or it itself with other files */
		shelf_leave(&ins->desks.shelf, target_slot(&ins->targets, t));
	if (!first && (fresh || now_ns - began_ns > SLOW_LOOK_NS))
		target_end_looks(t);
	if (status >= 0)
		t->has_table = true;
	/* A process that has just ended is unwound by what was known of it. */
	if (t->has_table)
		return;
	if (status == -ESRCH || status == -ENOENT)
		why = "target gone";
	else if (status == -EACCES || status == -EPERM)
		why = "no permission";
	else
		why = "target unreadable";
	t->ready = false;
	reply_target(ins, t->pid, why);
}

static void tell_keeps(struct inspector *ins, const struct message_result *m)
{
	const struct inspector_result result = {
		.cookie = m->cookie,
		.keeps = true,
		.words = m->flags & MESSAGE_RESULT_WORDS ? m->words : NULL,
	};

	ins->fn(&result, ins->arg);
}

static void take_result(struct inspector *ins, struct message_result *m, size_t size,
			uint64_t now_ns)
{
	struct job *job = LSC_TAKE(ins->job);
	struct target *t = ins->target;
	bool gone = m->flags & MESSAGE_RESULT_GONE, stale = m->flags & MESSAGE_RESULT_STALE;
	bool again = !job->retried && (gone || (stale && target_look_again(t, now_ns)));

	ins->activity = IDLE;
	ins->crew.failures = 0;
	bool wanted = ins->wanted;
	ins->wanted = false;
	m->debug = job->debug = m->debug ? m->debug : job->debug;
	m->jit = job->jit = m->jit ? m->jit : job->jit;
	if (m->flags & MESSAGE_RESULT_KEEPS && (again || wanted))
		tell_keeps(ins, m);
	if (again) {
		job->retried = true;
		job->looked = !gone;
		t->ready = false;
		STAILQ_INSERT_HEAD(&ins->jobs, job, link);
		return;
	}
	if (stale && job->looked)
		target_look_in_vain(t, now_ns);
	if (wanted) {
		putoff_job(ins, job, now_ns);
		return;
	}
	struct inspector_result result = result_of(m, ins->buf, size, ins->frames);
	if (stale && !job->retried && !t->in_vain)
		result.why = "its mappings change too often";
	reply(ins, job, &result);
}

/* Handles, before the answer. False: they are none. */
static bool take_handles(struct inspector *ins, size_t size)
{
	struct inspector_result result = {.cookie = ins->job->message.cookie,
					  .handles = ins->handles};

	if (ins->job->message.kind != MESSAGE_HANDLES ||
	    message_handles_read(ins->buf, size, result.cookie, ins->handles, &result.nhandles,
				 &result.handles_omitted) < 0)
		return false;
	ins->fn(&result, ins->arg);
	return true;
}

/* A copied stack, before the answer. False: it is none. */
static bool take_copy(struct inspector *ins, size_t size)
{
	struct inspector_result result = {.cookie = ins->job->message.cookie};

	if (ins->job->message.kind != MESSAGE_COPY ||
	    message_copy_read(ins->buf, size, result.cookie, &result.copy, &result.copy_size) < 0)
		return false;
	ins->fn(&result, ins->arg);
	return true;
}

/* Some tasks, before the answer. False: it is no such page. */
static bool take_page(struct inspector *ins, size_t size, uint64_t now_ns)
{
	uint64_t cookie = ins->job->message.cookie;
	size_t n;

	if (ins->job->message.kind != MESSAGE_TASKS ||
	    message_page_read(ins->buf, size, cookie, &ins->page, &n) < 0)
		return false;
	struct inspector_result result = {.cookie = cookie, .page = ins->page.tasks, .npage = n};
	/* what was read is on its way; how fast that goes is ours */
	deadline_phase(&ins->deadline, INSPECTOR_TASKS_NS, now_ns);
	ins->fn(&result, ins->arg);
	return true;
}

/* What the job lacks, before its answer. False: it is no such message. */
static bool take_want(struct inspector *ins, size_t size)
{
	struct message_want m;
	size_t len = size - sizeof(m);

	if (size < sizeof(m) || len >= MESSAGE_TEXT_MAX)
		return false;
	memcpy(&m, ins->buf, sizeof(m));
	if (m.kind != MESSAGE_WANT || m.noffsets > MESSAGE_OFFSETS_MAX)
		return false;
	ins->question = (struct desk_question){.file = m.file, .noffsets = m.noffsets};
	memcpy(ins->question.offsets, m.offsets, m.noffsets * sizeof(m.offsets[0]));
	memcpy(ins->question.path, ins->buf + sizeof(m), len);
	ins->wanted = true;
	return true;
}

/* What the worker is at now, and how long that may take. */
static void take_phase(struct inspector *ins, int phase, uint64_t now_ns)
{
	uint64_t may_ns = phase == MESSAGE_PHASE_INDEX ? ins->index_ns : reading_ns(ins, ins->job);

	if (ins->mapping)
		ins->map_ns += deadline_had_ns(&ins->deadline, now_ns);
	ins->mapping = phase == MESSAGE_PHASE_MAP;
	if (ins->mapping) {
		uint64_t left_ns = ins->map_ns < ins->index_ns ? ins->index_ns - ins->map_ns : 0;
		may_ns = MAP_PIECE * ins->unwind_ns;
		may_ns = left_ns < may_ns ? left_ns : may_ns;
	}
	deadline_phase(&ins->deadline, may_ns, now_ns);
}

bool heard_take(struct inspector *ins, size_t size, uint64_t now_ns)
{
	struct message_status status;
	struct message_result result;

	if (ins->activity == UNWINDING &&
	    message_result_read(ins->buf, size, &result, ins->frames) == 0) {
		if (result.cookie != ins->job->message.cookie)
			return false;
		take_result(ins, &result, size, now_ns);
		return true;
	}
	if (ins->activity == UNWINDING && (take_want(ins, size) || take_page(ins, size, now_ns) ||
					   take_handles(ins, size) || take_copy(ins, size)))
		return true;
	if (size != sizeof(status))
		return false;
	memcpy(&status, ins->buf, sizeof(status));
	if (ins->activity == OPENING && status.kind == MESSAGE_TABLE) {
		take_table(ins, status.value, now_ns);
		return true;
	}
	if (ins->activity != UNWINDING || status.kind != MESSAGE_PHASE)
		return false;
	take_phase(ins, status.value, now_ns);
	return true;
}
