/* SPDX-License-Identifier: MIT */
/* Tasks that wait for a time. */
#include <errno.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/timer.h"
#include "task.h"
#include "timer.h"

/* On the sleeping task's stack. */
struct sleep {
	struct park park;
	struct timer timer;
	struct lsc_loop *loop;
};

static void wake(struct job *job)
{
	task_unpark(&container_of(job, struct sleep, timer.job)->park, 0);
}

static const struct job_ops wake_ops = {.run = wake};

static bool stop(struct park *park)
{
	struct sleep *s = container_of(park, struct sleep, park);

	timer_remove(&s->loop->timers, &s->timer);
	return true;
}

uint64_t lsc_time(void)
{
	return lsc_now_ns();
}

int lsc_sleep_until(uint64_t deadline_ns)
{
	struct task *task = task_current();

	if (!task)
		return -EPERM;
	struct sleep s = {
		.park.cancel = stop,
		.timer = {.job.ops = &wake_ops, .due_ns = deadline_ns, .direct = true},
		.loop = task->future.loop,
	};
	timer_add(&s.loop->timers, &s.timer);
	return task_park(task, &s.park, LSC_WAIT_TIMER, deadline_ns);
}

int lsc_sleep(uint64_t duration_ns)
{
	return duration_ns == 0 ? lsc_yield() : lsc_sleep_until(lsc_after_ns(duration_ns));
}
