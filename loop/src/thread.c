/* SPDX-License-Identifier: MIT */
/* Calls in worker threads, awaited or as futures. */
#include "loopscope/thread.h"

#include <errno.h>
#include <stdlib.h>

#include "future.h"
#include "loop.h"
#include "task.h"
#include "pool.h"

int lsc_to_thread(int (*fn)(void *arg), void *arg)
{
	struct task *task = task_current();

	return task ? pool_call(task->future.loop, fn, arg) : -EPERM;
}

struct thread_call {
	struct lsc_future future; /* first: it is a future */
	struct pool_work work;	  /* holds a reference until it has ended */
	void (*release)(void *arg);
};

static struct thread_call *call_of(const struct lsc_future *future)
{
	return container_of(future, struct thread_call, future);
}

static void ended(struct pool_work *work, int result)
{
	struct thread_call *call = container_of(work, struct thread_call, work);

	if (!lsc_is_done(&call->future))
		future_complete(&call->future, result);
	lsc_unref(&call->future);
}

static bool cancel(struct lsc_future *future)
{
	struct thread_call *call = call_of(future);

	if (pool_withdraw(future->loop, &call->work))
		ended(&call->work, -ECANCELED);
	else
		future_complete(future, -ECANCELED);
	return true;
}

static void release(struct lsc_future *future)
{
	struct thread_call *call = call_of(future);

	if (call->release)
		call->release(call->work.arg);
	free(call);
}

static uint8_t wait_kind(const struct lsc_future *future, uint64_t *ret_detail)
{
	(void)future;
	*ret_detail = 0;
	return LSC_WAIT_THREAD;
}

static const struct future_ops thread_ops = {
	.cancel = cancel,
	.release = release,
	.wait_kind = wait_kind,
};

struct lsc_future *lsc_thread_start(int (*fn)(void *arg), void *arg, void (*release_arg)(void *arg))
{
	struct lsc_loop *loop = lsc_loop_current();
	struct thread_call *call = loop ? calloc(1, sizeof(*call)) : NULL;

	if (!call)
		return NULL;
	future_init(&call->future, &thread_ops, loop);
	call->work = (struct pool_work){.fn = fn, .arg = arg, .ended = ended};
	call->release = release_arg;
	if (pool_submit(loop, &call->work) < 0) {
		call->release = NULL; /* arg stays the caller's */
		lsc_unref(&call->future);
		return NULL;
	}
	lsc_ref(&call->future);
	return &call->future;
}
