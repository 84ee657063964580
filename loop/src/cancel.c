/* SPDX-License-Identifier: MIT */
/*
 * A request to end goes down the chain of tasks that await each other to its end, and asks there;
 * what ends there is then handed back along the chain. Where the chain comes to a gather, it goes
 * on with each member in turn. It is walked without recursion: chains are as long as they like, and
 * the stack is a task's.
 */
#include "cancel.h"

#include <errno.h>

#include "loop.h"
#include "task.h"
#include "trace.h"

/* Where a request is. */
struct walk {
	struct lsc_loop *loop;
	struct task *path;	/* the tasks on its way, the latest first */
	struct lsc_future *top; /* the innermost gather on its way; NULL: none */
};

static void interrupt(struct task *task)
{
	task->must_cancel = true;
	if (task->state == LSC_TASK_SUSPENDED && task_interrupt(task->park))
		task_ready(task);
}

/*
 * Asks a task, or what it awaits: returns what the way goes on with, or NULL. One that was asked in
 * this round already (two members of a gather may await it) is not asked again; one that is still
 * on the way closes a cycle, which is broken there.
 */
static struct lsc_future *ask_task(struct walk *walk, struct task *task)
{
	if (task->cancel_round == walk->loop->cancel_round) {
		if (task->cancelling)
			interrupt(task);
		return NULL;
	}
	task->cancel_round = walk->loop->cancel_round;
	task->cancelling = true;
	task->cancel_path = walk->path;
	walk->path = task;
	task->cancel_requests++;
	trace_cancel(&walk->loop->trace, task, walk->loop->current);
	struct lsc_future *awaited = task->state == LSC_TASK_SUSPENDED ? task->park->awaited : NULL;
	/* One that has just ended, and of which the task does not know yet, takes no request. */
	if (awaited && !awaited->done && (task_of(awaited) || awaited->ops->begin_cancel))
		return awaited;
	if (!awaited || !future_cancel(awaited))
		interrupt(task);
	return NULL;
}

/* Goes on with the members of a gather, unless it was asked in this round already. One that is
 * still on the way closes a cycle, too. */
static void enter(struct walk *walk, struct lsc_future *gather)
{
	struct cancel_frame *frame = gather->ops->begin_cancel(gather);

	if (frame->round == walk->loop->cancel_round) {
		if (frame->active && walk->path)
			interrupt(walk->path);
		return;
	}
	*frame = (struct cancel_frame){.active = true,
				       .round = walk->loop->cancel_round,
				       .outer = walk->top,
				       .path = walk->path};
	walk->top = lsc_ref(gather);
}

/* Back to the innermost gather, and to its next member; NULL: the way is at its end. */
static struct lsc_future *turn_back(struct walk *walk)
{
	for (;;) {
		struct lsc_future *gather = walk->top, *next;
		struct cancel_frame *frame = gather ? gather->ops->begin_cancel(gather) : NULL;
		struct task *until = gather ? frame->path : NULL;

		for (; walk->path != until; walk->path = walk->path->cancel_path)
			walk->path->cancelling = false;
		if (!gather)
			return NULL;
		next = gather->ops->member(gather, frame->next++);
		if (next)
			return next;
		frame->active = false;
		walk->top = frame->outer;
		lsc_unref(gather);
	}
}

bool cancel_walk(struct lsc_future *future)
{
	struct walk walk = {.loop = future->loop};

	walk.loop->cancel_round++;
	while (future) {
		struct task *task = task_of(future);
		struct lsc_future *next = NULL;

		if (task && !future->done)
			next = ask_task(&walk, task);
		else if (!future->done && future->ops->begin_cancel)
			enter(&walk, future);
		else
			future_cancel(future);
		future = next ? next : turn_back(&walk);
	}
	return true;
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
