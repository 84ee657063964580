/* SPDX-License-Identifier: MIT */
/* Plain futures, and what all futures have in common: their end, awaiting them, references. */
#include "future.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "debug.h"
#include "loop.h"
#include "task.h"

static const struct future_ops plain_ops;

void future_init(struct lsc_future *future, const struct future_ops *ops, struct lsc_loop *loop)
{
	*future = (struct lsc_future){.ops = ops, .loop = loop, .refs = 1};
	loop->refs++;
	list_init(&future->waiters);
}

void future_complete(struct lsc_future *future, int result)
{
	assert(!future->done);
	lsc_ref(future);
	future->done = true;
	future->result = result;
	while (!list_empty(&future->waiters)) {
		struct future_waiter *waiter =
			container_of(future->waiters.next, struct future_waiter, link);

		list_remove(&waiter->link);
		waiter->ops->wake(waiter);
	}
	lsc_unref(future);
}

bool future_cancel(struct lsc_future *future)
{
	if (future->done)
		return false;
	if (future->ops->cancel)
		return future->ops->cancel(future);
	future_complete(future, -ECANCELED);
	return true;
}

void future_wait(struct lsc_future *future, struct future_waiter *waiter)
{
	list_append(&future->waiters, &waiter->link);
}

struct lsc_future *lsc_future_new(void)
{
	struct lsc_loop *loop = loop_thread;
	struct lsc_future *future = loop ? malloc(sizeof(*future)) : NULL;

	if (future)
		future_init(future, &plain_ops, loop);
	return future;
}

int lsc_resolve(struct lsc_future *future, int result)
{
	if (future->ops != &plain_ops)
		return -EINVAL;
	if (debug_is_foreign(future->loop))
		return -EPERM;
	if (future->done)
		return -EALREADY;
	future_complete(future, result);
	return 0;
}

/* ---- awaiting ---- */

/* The wait of a task for a future; on the task's stack. */
struct await {
	struct park park;
	struct future_waiter waiter;
	struct lsc_future *future;
};

static void wake(struct future_waiter *waiter)
{
	struct await *a = container_of(waiter, struct await, waiter);

	task_unpark(&a->park, future_take(a->future));
}

static const struct future_waiter_ops await_ops = {.wake = wake};

static bool stop_awaiting(struct park *park)
{
	list_remove(&container_of(park, struct await, park)->waiter.link);
	return true;
}

int lsc_await(struct lsc_future *future)
{
	struct task *task = task_current();
	uint64_t detail = 0;
	uint8_t kind = LSC_WAIT_FUTURE;

	if (!task || future->loop != task->future.loop)
		return -EPERM;
	if (future == &task->future)
		return -EDEADLK;
	if (future->done)
		return future_take(future);
	/* As in asyncio, a request met here goes on to what is awaited. */
	if (task->must_cancel) {
		task->must_cancel = false;
		if (!future_cancel(future) || future->done)
			return -ECANCELED;
	}
	lsc_ref(future);
	if (future->ops->wait_kind)
		kind = future->ops->wait_kind(future, &detail);
	struct await a = {
		.park = {.cancel = stop_awaiting, .awaited = future},
		.waiter.ops = &await_ops,
		.future = future,
	};
	future_wait(future, &a.waiter);
	int r = task_park(task, &a.park, kind, detail);
	lsc_unref(future);
	return r;
}

/* ---- asking, looking, counting ---- */

int lsc_cancel(struct lsc_future *future)
{
	if (debug_is_foreign(future->loop))
		return -EPERM;
	return future_cancel(future);
}

int lsc_is_cancelled(const struct lsc_future *future)
{
	return future->done && future->result == -ECANCELED;
}

int lsc_is_done(const struct lsc_future *future)
{
	return future->done;
}

int lsc_result(struct lsc_future *future)
{
	return future->done ? future_take(future) : -EAGAIN;
}

struct lsc_future *lsc_ref(struct lsc_future *future)
{
	(void)debug_is_foreign(future->loop); /* told; there is no way to refuse it */
	future->refs++;
	return future;
}

struct lsc_future *lsc_unref(struct lsc_future *future)
{
	if (future)
		(void)debug_is_foreign(future->loop);
	if (!future || --future->refs > 0)
		return NULL;
	while (!list_empty(&future->waiters)) {
		struct future_waiter *waiter =
			container_of(future->waiters.next, struct future_waiter, link);

		list_remove(&waiter->link);
		waiter->ops->forget(waiter);
	}
	struct lsc_loop *loop = future->loop;
	if (loop->debug)
		debug_released(loop->debug, future);
	if (future->ops->release)
		future->ops->release(future);
	else
		free(future);
	loop_unref(loop);
	return NULL;
}
