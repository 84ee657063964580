/* SPDX-License-Identifier: MIT */
/* Names of states and waits, as the store spells them. */
#include "feed_row.h"

#include <stdio.h>

static const char *state_name(int state)
{
	switch (state) {
	case LSC_TASK_CREATED:
		return "created";
	case LSC_TASK_READY:
		return "ready";
	case LSC_TASK_RUNNING:
		return "running";
	case LSC_TASK_SUSPENDED:
		return "suspended";
	case LSC_TASK_DONE:
		return "done";
	case LSC_TASK_CANCELLED:
		return "cancelled";
	case LSC_TASK_FAILED:
		return "failed";
	}
	return NULL;
}

static const char *wait_name(const struct ring_task *t, char *buf, size_t size)
{
	switch (t->wait_kind) {
	case LSC_WAIT_YIELD:
		return "yield";
	case LSC_WAIT_TIMER:
		return "timer";
	case LSC_WAIT_FD:
		snprintf(buf, size, "fd %u", (unsigned)(t->wait_detail & 0xffffffffu));
		return buf;
	case LSC_WAIT_TASK:
		return "task";
	case LSC_WAIT_FUTURE:
		return "future";
	case LSC_WAIT_GROUP:
		snprintf(buf, size, "gather of %u", (unsigned)t->wait_detail);
		return buf;
	case LSC_WAIT_LOCK:
		return "lock";
	case LSC_WAIT_EVENT:
		return "event";
	case LSC_WAIT_CONDITION:
		return "condition";
	case LSC_WAIT_SEMAPHORE:
		return "semaphore";
	case LSC_WAIT_BARRIER:
		return "barrier";
	case LSC_WAIT_QUEUE:
		return "queue";
	case LSC_WAIT_THREAD:
		return "thread";
	case LSC_WAIT_CHILD:
		snprintf(buf, size, "child %u", (unsigned)t->wait_detail);
		return buf;
	case LSC_WAIT_SIGNAL:
		return "signal";
	}
	return NULL;
}

void feed_row_fill(struct feed_row *r, int64_t loop, const struct ring_task *t, int state)
{
	bool suspended = state == LSC_TASK_SUSPENDED;

	r->task = (struct store_task){
		.id = feed_row_id(loop, t->id),
		.loop = loop,
		.ring_id = t->id,
		.name = t->name,
		.kind = STORE_TASK_TASK,
		.parent = feed_row_id(loop, t->parent),
		.state = state_name(state),
		.waiting_on = suspended ? wait_name(t, r->waiting_on, sizeof(r->waiting_on)) : NULL,
		.awaits = suspended && t->wait_kind == LSC_WAIT_TASK
				  ? feed_row_id(loop, (uint32_t)t->wait_detail)
				  : 0,
		.created_ns = t->created_ns,
		.ended_ns = t->ended_ns,
		.steps = t->steps,
		.run_ns = t->run_ns,
		.max_step_ns = t->max_step_ns,
		.ready_wait = t->ready_wait,
	};
	if (t->site)
		r->task.spawn_site =
			(struct store_site){t->site->function, t->site->file, t->site->line};
}
