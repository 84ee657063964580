/* SPDX-License-Identifier: MIT */
/*
 * The life of a task: spawn, ready, step, suspend, cancel, end. A stack is never abandoned: every
 * suspended call returns, with -ECANCELED if need be, and the task unwinds by returning.
 */
#include "task.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "trace.h"

static const struct future_ops task_ops;

static struct task *task_of(const struct lsc_future *future)
{
	return future->ops == &task_ops ? container_of(future, struct task, future) : NULL;
}

struct task *task_current(void)
{
	struct lsc_loop *loop = lsc_loop_current();

	return loop ? loop->current : NULL;
}

/* ---- life ---- */

static void run_body(void *arg)
{
	struct task *task = arg;

	task->exit = task->fn(task->arg);
	coro_exit(&task->coro);
}

struct task *task_new(struct lsc_loop *loop, struct lsc_site *site, lsc_task_fn fn, void *arg,
		      const char *name)
{
	uint32_t length = name ? trace_text_length(name) : 0;
	struct task *task = calloc(1, sizeof(*task) + length + 1);

	if (!task)
		return NULL;
	void *stack = stack_take(&loop->stacks);
	if (!stack) {
		free(task);
		return NULL;
	}
	future_init(&task->future, &task_ops, loop);
	coro_init(&task->coro, stack, loop->stacks.size, run_body, task);
	list_init(&task->ready);
	list_init(&task->waiter.link);
	task->site = site;
	task->fn = fn;
	task->arg = arg;
	task->id = trace_next_id(&loop->trace);
	task->must_cancel = loop->closing;
	task->parent = loop->current ? loop->current->id : 0;
	task->name_length = length;
	if (length > 0)
		memcpy(task->name, name, length);
	lsc_ref(&task->future); /* the loop's, until it ends */
	list_append(&loop->live, &task->live);
	trace_task_new(&loop->trace, task);
	task_ready(task);
	return task;
}

void task_ready(struct task *task)
{
	struct lsc_loop *loop = task->future.loop;

	assert(list_empty(&task->ready));
	task->unhook = NULL;
	task->state = LSC_TASK_READY;
	list_append(&loop->ready, &task->ready);
	trace_ready(&loop->trace, task, loop->current);
}

static void end(struct task *task, int result)
{
	struct lsc_loop *loop = task->future.loop;

	/* A request that no suspension point met must not be lost. */
	if (task->must_cancel)
		result = -ECANCELED;
	task->must_cancel = false;
	task->state = result == -ECANCELED ? LSC_TASK_CANCELLED
		      : result < 0	   ? LSC_TASK_FAILED
					   : LSC_TASK_DONE;
	trace_done(&loop->trace, task, result);
	trace_forget(&loop->trace, task);
	list_remove(&task->live);
	stack_give(&loop->stacks, task->coro.stack);
	coro_done(&task->coro);
	future_complete(&task->future, result);
	loop->current = NULL;
	lsc_unref(&task->future);
}

void task_step(struct task *task)
{
	struct lsc_loop *loop = task->future.loop;

	loop->current = task;
	if (!task->started && task->must_cancel) {
		end(task, -ECANCELED); /* the body is skipped */
		return;
	}
	task->started = true;
	task->state = LSC_TASK_RUNNING;
	trace_run(&loop->trace, task);
	coro_resume(&task->coro);
	if (task->state == LSC_TASK_RUNNING)
		end(task, task->exit);
	loop->current = NULL;
}

static void release(struct lsc_future *future)
{
	free(container_of(future, struct task, future));
}

struct lsc_future *lsc_spawn_at(struct lsc_site *site, lsc_task_fn fn, void *arg, const char *name)
{
	struct lsc_loop *loop = lsc_loop_current();
	struct task *task = loop ? task_new(loop, site, fn, arg, name) : NULL;

	return task ? &task->future : NULL;
}

const char *lsc_task_name(void)
{
	struct task *task = task_current();

	return task ? task->name : NULL;
}

/* ---- suspension ---- */

static bool take_cancel(struct task *task)
{
	bool cancel = task->must_cancel;

	task->must_cancel = false;
	return cancel;
}

int task_suspend(struct task *task, uint8_t wait_kind, uint64_t detail,
		 void (*unhook)(struct task *task))
{
	if (take_cancel(task)) {
		if (unhook)
			unhook(task);
		return -ECANCELED;
	}
	task->unhook = unhook;
	task->wait_kind = wait_kind;
	task->state = LSC_TASK_SUSPENDED;
	trace_suspend(&task->future.loop->trace, task, detail);
	/* Others may wake it only from here on; a yield is ready at once. */
	if (wait_kind == LSC_WAIT_YIELD) {
		task->future.loop->current = NULL;
		task_ready(task);
	}
	coro_suspend(&task->coro);
	return take_cancel(task) ? -ECANCELED : 0;
}

static void wake(struct future_waiter *waiter)
{
	task_ready(container_of(waiter, struct task, waiter));
}

static void stop_awaiting(struct task *task)
{
	list_remove(&task->waiter.link);
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
		return future->result;
	/* As in asyncio, a request met here goes on to what is awaited. */
	if (take_cancel(task) && (!future_cancel(future) || future->done))
		return -ECANCELED;
	lsc_ref(future);
	if (future->ops->wait_kind)
		kind = future->ops->wait_kind(future, &detail);
	task->awaited = future;
	task->waiter.wake = wake;
	future_wait(future, &task->waiter);
	int r = task_suspend(task, kind, detail, stop_awaiting);
	task->awaited = NULL;
	if (r == 0)
		r = future->result;
	lsc_unref(future);
	return r;
}

/* ---- cancellation ---- */

static void interrupt(struct task *task)
{
	task->must_cancel = true;
	if (task->state != LSC_TASK_SUSPENDED)
		return;
	task->unhook(task);
	task_ready(task);
}

/* Asks the task itself, or whom it awaits. Returns the task to go on with, or NULL. */
static struct task *ask(struct task *task)
{
	struct lsc_future *awaited = task->state == LSC_TASK_SUSPENDED ? task->awaited : NULL;
	struct task *next = awaited ? task_of(awaited) : NULL;

	trace_cancel(&task->future.loop->trace, task, task->future.loop->current);
	if (!next && !(awaited && future_cancel(awaited)))
		interrupt(task);
	return next;
}

/*
 * Follows the chain of tasks that await each other to its end, and asks there; what ends there is
 * then handed back along the chain. A task that was asked in this round already (two members of a
 * gather may await it) is not asked again; one that is still being asked closes a cycle, which is
 * broken there.
 */
static void cancel_chain(struct task *task)
{
	struct lsc_loop *loop = task->future.loop;
	struct task *path = NULL;

	while (task && task->cancel_round != loop->cancel_round) {
		task->cancel_round = loop->cancel_round;
		task->cancelling = true;
		task->cancel_path = path;
		path = task;
		task = ask(task);
	}
	if (task && task->cancelling)
		interrupt(task);
	for (; path; path = path->cancel_path)
		path->cancelling = false;
}

static bool cancel(struct lsc_future *future)
{
	struct lsc_loop *loop = future->loop;

	/* One round per outermost request: gathers on the way come back here. */
	if (loop->cancel_depth++ == 0)
		loop->cancel_round++;
	cancel_chain(task_of(future));
	loop->cancel_depth--;
	return true;
}

static uint8_t wait_kind(const struct lsc_future *future, uint64_t *ret_detail)
{
	*ret_detail = task_of(future)->id;
	return LSC_WAIT_TASK;
}

static const struct future_ops task_ops = {
	.cancel = cancel,
	.release = release,
	.wait_kind = wait_kind,
};
