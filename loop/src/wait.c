/* SPDX-License-Identifier: MIT */
/* Waiting for some of many futures. Never cancels one. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "future.h"
#include "loop.h"
#include "loopscope/gather.h"
#include "task.h"
#include "timer.h"

/* Up to so many need no memory but the stack. */
#define FEW 8

struct wait;

struct member {
	struct future_waiter waiter;
	struct wait *wait;
	struct lsc_future *future;
};

/* On the waiting task's stack. */
struct wait {
	struct park park;
	struct timer timer;
	struct lsc_loop *loop;
	enum lsc_wait_for_what what;
	size_t pending;
	struct member *members;
	size_t n;
};

/* Whether the end of this one is what is waited for. */
static bool decides(const struct wait *w, const struct lsc_future *ended)
{
	if (w->what == LSC_FIRST_COMPLETED)
		return true;
	return w->what == LSC_FIRST_ERROR && ended->result < 0 && ended->result != -ECANCELED;
}

static void detach(struct wait *w)
{
	for (size_t i = 0; i < w->n; i++)
		list_remove(&w->members[i].waiter.link);
	if (timer_is_set(&w->timer))
		timer_remove(&w->loop->timers, &w->timer);
}

static void finish(struct wait *w)
{
	detach(w);
	task_unpark(&w->park, 0);
}

static void member_ended(struct future_waiter *waiter)
{
	struct member *m = container_of(waiter, struct member, waiter);
	struct wait *w = m->wait;

	w->pending--;
	if (w->pending == 0 || decides(w, m->future))
		finish(w);
}

static const struct future_waiter_ops waiter_ops = {.wake = member_ended};

static void time_is_up(struct job *job)
{
	finish(container_of(job, struct wait, timer.job));
}

static const struct job_ops time_ops = {.run = time_is_up};

static bool stop(struct park *park)
{
	detach(container_of(park, struct wait, park));
	return true;
}

/* Attaches to what is pending. True when there is something to wait for. */
static bool attach(struct wait *w, struct lsc_future *const *futures)
{
	bool decided = false;

	for (size_t i = 0; i < w->n; i++) {
		struct member *m = &w->members[i];

		*m = (struct member){.waiter.ops = &waiter_ops, .wait = w, .future = futures[i]};
		list_init(&m->waiter.link);
		if (m->future->done) {
			decided |= decides(w, m->future);
			continue;
		}
		w->pending++;
		future_wait(m->future, &m->waiter);
	}
	return !decided && w->pending > 0;
}

static int count_done(struct lsc_future *const *futures, size_t n)
{
	int done = 0;

	for (size_t i = 0; i < n; i++)
		done += futures[i]->done;
	return done;
}

static int wait_for(struct wait *w, struct task *task, struct lsc_future *const *futures,
		    uint64_t timeout_ns)
{
	/* Their owners may drop them meanwhile. */
	for (size_t i = 0; i < w->n; i++)
		lsc_ref(futures[i]);
	int r = 0;
	if (!attach(w, futures)) {
		detach(w);
	} else {
		if (timeout_ns != UINT64_MAX) {
			w->timer.due_ns = lsc_after_ns(timeout_ns);
			timer_add(&w->loop->timers, &w->timer);
		}
		r = task_park(task, &w->park, LSC_WAIT_GROUP, w->n);
	}
	if (r == 0)
		r = count_done(futures, w->n);
	for (size_t i = 0; i < w->n; i++)
		lsc_unref(futures[i]);
	return r;
}

int lsc_wait(struct lsc_future *const *futures, size_t n, enum lsc_wait_for_what what,
	     uint64_t timeout_ns)
{
	struct task *task = task_current();
	struct member few[FEW];

	if (!task)
		return -EPERM;
	if (n == 0 || n > INT32_MAX || (unsigned)what > LSC_ALL_COMPLETED)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (futures[i]->loop != task->future.loop)
			return -EPERM;
	struct wait w = {
		.park.cancel = stop,
		.timer = {.job.ops = &time_ops, .direct = true},
		.loop = task->future.loop,
		.what = what,
		.members = n > FEW ? calloc(n, sizeof(struct member)) : few,
		.n = n,
	};
	if (!w.members)
		return -ENOMEM;
	int r = wait_for(&w, task, futures, timeout_ns);
	if (n > FEW)
		free(w.members);
	return r;
}
