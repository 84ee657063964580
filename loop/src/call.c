/* SPDX-License-Identifier: MIT */
/* See call.h. A call whose time has come takes its turn among what is ready. */
#include "call.h"

#include "list.h"
#include "loop.h"

struct call *call_begin(struct job *job)
{
	struct call *call = container_of(job, struct call, timer.job);

	call->timer.queued = false;
	return call;
}

void call_soon(struct call *call)
{
	call->timer.queued = true;
	job_push(&call->loop->ready, &call->timer.job);
}

void call_at(struct call *call, uint64_t when_ns)
{
	call->timer.due_ns = when_ns;
	timer_add(&call->loop->timers, &call->timer);
}

bool call_cancel(struct call *call)
{
	struct lsc_loop *loop = call->loop;
	struct job *job = &call->timer.job;

	if (call->timer.on_wheel) {
		timer_remove(&loop->timers, &call->timer);
		return true;
	}
	if (!call->timer.queued)
		return false;
	call->timer.queued = false;
	bool is_ready = loop->ready.first == job || loop->ready.last == &job->next;
	/* Between its neighbours it needs no queue. */
	job_remove(is_ready ? &loop->ready : &loop->batch, job);
	return true;
}
