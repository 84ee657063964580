/* SPDX-License-Identifier: MIT */
/* The waits for time: sleep and yield. Waits for descriptors are in fd.c, for futures in task.c. */
#include <errno.h>

#include "base/clock.h"
#include "loop.h"

static void stop_timer(struct task *task)
{
	timer_heap_remove(&task->future.loop->timers, &task->timer);
}

int lsc_sleep_until(uint64_t deadline_ns)
{
	struct task *task = task_current();

	if (!task)
		return -EPERM;
	task->timer.due_ns = deadline_ns;
	int r = timer_heap_push(&task->future.loop->timers, &task->timer);
	if (r < 0)
		return r;
	return task_suspend(task, LSC_WAIT_TIMER, deadline_ns, stop_timer);
}

int lsc_sleep(uint64_t duration_ns)
{
	uint64_t now = lsc_now_ns();

	if (duration_ns == 0)
		return lsc_yield();
	return lsc_sleep_until(duration_ns > UINT64_MAX - now ? UINT64_MAX : now + duration_ns);
}

int lsc_yield(void)
{
	struct task *task = task_current();

	return task ? task_suspend(task, LSC_WAIT_YIELD, 0, NULL) : -EPERM;
}
