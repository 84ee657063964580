/* SPDX-License-Identifier: MIT */
/* Running loops: for one task, until a future ends, or until told to stop. */
#include <errno.h>

#include "debug.h"
#include "future.h"
#include "hot.h"
#include "loop.h"
#include "task.h"

int lsc_loop_new(const struct lsc_loop_options *options, struct lsc_loop **ret)
{
	return loop_open(ret, options);
}

static int check(const struct lsc_loop *loop)
{
	if (loop != loop_thread) {
		if (loop->debug)
			debug_foreign(loop->debug, "lsc_loop_*");
		return -EPERM;
	}
	return loop->running ? -EBUSY : 0;
}

int lsc_loop_free(struct lsc_loop *loop)
{
	int r = loop ? check(loop) : 0;

	if (r < 0 || !loop)
		return r;
	loop_close(loop);
	return 0;
}

LSC_HOT int lsc_loop_run(struct lsc_loop *loop)
{
	int r = check(loop);

	if (r < 0)
		return r;
	loop->running = true;
	while (r == 0 && !loop->stopping)
		r = loop_turn(loop, UINT64_MAX);
	loop->running = loop->stopping = false;
	return r;
}

LSC_HOT int lsc_loop_run_until(struct lsc_loop *loop, struct lsc_future *future)
{
	int r = check(loop);

	if (r == 0 && future->loop != loop)
		r = -EPERM;
	if (r < 0)
		return r;
	lsc_ref(future);
	loop->running = true;
	while (!future->done && !loop->stopping) {
		/* A loop that cannot wait any more can only insist until every stack has unwound.
		 */
		if (loop_turn(loop, UINT64_MAX) < 0)
			lsc_cancel(future);
	}
	loop->running = loop->stopping = false;
	r = future->done ? future_take(future) : -EINTR;
	lsc_unref(future);
	return r;
}

void lsc_loop_stop(struct lsc_loop *loop)
{
	if (!debug_is_foreign(loop))
		loop->stopping = true;
}

int lsc_run_with(const struct lsc_loop_options *options, lsc_task_fn main, void *arg)
{
	static struct lsc_site site = {__func__, __FILE__, __LINE__, 0, 0};
	struct lsc_loop *loop;

	int r = loop_open(&loop, options);
	if (r < 0)
		return r;
	struct task *task = task_new(loop, &site, main, arg, "main", loop->size_class);
	r = task ? lsc_loop_run_until(loop, &task->future) : -ENOMEM;
	if (task)
		lsc_unref(&task->future);
	loop_close(loop);
	return r;
}

int lsc_run(lsc_task_fn main, void *arg)
{
	return lsc_run_with(NULL, main, arg);
}
