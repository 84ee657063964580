/* SPDX-License-Identifier: MIT */
/* See call.h. A call whose time has come takes its turn among what is ready. */
#include "call.h"

#include "list.h"
#include "loop.h"

static void run(struct job *job)
{
	struct call *call = container_of(job, struct call, job);

	call->queued = false;
	call->ops->run(call);
}

static void drop(struct job *job)
{
	struct call *call = container_of(job, struct call, job);

	call->queued = false;
	if (call->ops->drop)
		call->ops->drop(call);
}

static const struct job_ops job_ops = {.run = run, .drop = drop};

void call_soon(struct call *call)
{
	call->queued = true;
	job_push(&call->loop->ready, &call->job);
}

static void expired(struct timer *timer)
{
	call_soon(container_of(timer, struct call, timer));
}

static void dropped(struct timer *timer)
{
	drop(&container_of(timer, struct call, timer)->job);
}

static const struct timer_ops timer_ops = {.expired = expired, .dropped = dropped};

void call_init(struct call *call, const struct call_ops *ops, struct lsc_loop *loop)
{
	*call = (struct call){
		.job.ops = &job_ops,
		.timer.ops = &timer_ops,
		.ops = ops,
		.loop = loop,
	};
}

void call_at(struct call *call, uint64_t when_ns)
{
	call->timer.due_ns = when_ns;
	timer_add(&call->loop->timers, &call->timer);
}

bool call_cancel(struct call *call)
{
	struct lsc_loop *loop = call->loop;

	if (timer_is_set(&call->timer)) {
		timer_remove(&loop->timers, &call->timer);
		return true;
	}
	if (!call->queued)
		return false;
	call->queued = false;
	job_remove(loop->ready.last == &call->job.next ? &loop->ready : &loop->batch, &call->job);
	return true;
}
