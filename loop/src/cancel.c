/* SPDX-License-Identifier: MIT */
/*
 * A request to end goes down the chain of tasks that await each other to its end, and asks there;
 * what ends there is then handed back along the chain.
 */
#include "cancel.h"

#include <errno.h>

#include "loop.h"
#include "task.h"
#include "trace.h"

static void interrupt(struct task *task)
{
	task->must_cancel = true;
	if (task->state == LSC_TASK_SUSPENDED && task_interrupt(task->park))
		task_ready(task);
}

/* Asks the task itself, or whom it awaits. Returns the task to go on with, or NULL. */
static struct task *ask(struct task *task)
{
	struct lsc_future *awaited = task->state == LSC_TASK_SUSPENDED ? task->park->awaited : NULL;
	struct task *next = awaited ? task_of(awaited) : NULL;

	task->cancel_requests++;
	trace_cancel(&task->future.loop->trace, task, task->future.loop->current);
	if (!next && !(awaited && future_cancel(awaited)))
		interrupt(task);
	return next;
}

/*
 * A task that was asked in this round already (two members of a gather may await it) is not asked
 * again; one that is still being asked closes a cycle, which is broken there.
 */
static void ask_chain(struct task *task)
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

void cancel_task(struct task *task)
{
	struct lsc_loop *loop = task->future.loop;

	/* One round per outermost request: gathers on the way come back here. */
	if (loop->cancel_depth++ == 0)
		loop->cancel_round++;
	ask_chain(task);
	loop->cancel_depth--;
}

uint32_t task_uncancel(struct task *task)
{
	if (task->cancel_requests > 0 && --task->cancel_requests == 0)
		task->must_cancel = false;
	return task->cancel_requests;
}

int lsc_cancelling(const struct lsc_future *task)
{
	struct task *t = task_of(task);

	return t ? (int)t->cancel_requests : -EINVAL;
}

int lsc_uncancel(struct lsc_future *task)
{
	struct task *t = task_of(task);

	return t ? (int)task_uncancel(t) : -EINVAL;
}
