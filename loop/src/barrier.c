/* SPDX-License-Identifier: MIT */
/*
 * A meeting point. Everybody leaves a round before the next one begins: while a full round drains,
 * those who come wait outside.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "debug.h"
#include "loop.h"
#include "loopscope/barrier.h"
#include "loopscope/wire.h"
#include "task.h"
#include "waitlist.h"

struct lsc_barrier {
	struct waitlist inside;	 /* the round that fills */
	struct waitlist outside; /* come while the last round drains */
	unsigned parties;
	unsigned draining; /* tasks of the full round that have not run yet */
	bool broken;
};

struct lsc_barrier *lsc_barrier_new(unsigned parties)
{
	if (parties == 0 || parties > INT_MAX || !loop_thread)
		return NULL;
	struct lsc_barrier *barrier = calloc(1, sizeof(*barrier));
	if (!barrier)
		return NULL;
	waitlist_init(&barrier->inside);
	waitlist_init(&barrier->outside);
	barrier->parties = parties;
	return barrier;
}

struct lsc_barrier *lsc_barrier_free(struct lsc_barrier *barrier)
{
	if (barrier) {
		waitlist_close(&barrier->inside);
		waitlist_close(&barrier->outside);
	}
	free(barrier);
	return NULL;
}

/* One of the full round is through. */
static void drain(struct lsc_barrier *barrier)
{
	if (barrier->draining > 0 && --barrier->draining == 0)
		waitlist_wake_all(&barrier->outside, 0);
}

static int enter(struct lsc_barrier *barrier, struct task *task)
{
	int woken, r = 0;

	while (r == 0 && barrier->draining > 0 && !barrier->broken)
		r = waitlist_wait(&barrier->outside, task, LSC_WAIT_BARRIER, barrier->parties,
				  &woken);
	return r == 0 && barrier->broken ? -EPIPE : r;
}

int lsc_barrier_wait(struct lsc_barrier *barrier)
{
	struct task *task = task_current();
	int woken;

	if (!task)
		return -EPERM;
	int r = enter(barrier, task);
	if (r < 0)
		return r;
	int index = (int)barrier->inside.count;
	if (index + 1 == (int)barrier->parties) {
		barrier->draining = barrier->parties - 1;
		waitlist_wake_all(&barrier->inside, 0);
		return index;
	}
	r = waitlist_wait(&barrier->inside, task, LSC_WAIT_BARRIER, barrier->parties, &woken);
	if (woken == 0)
		drain(barrier);
	return r < 0 ? r : index;
}

void lsc_barrier_abort(struct lsc_barrier *barrier)
{
	if (debug_is_foreign(barrier->inside.loop))
		return;
	barrier->broken = true;
	waitlist_wake_all(&barrier->inside, -EPIPE);
	waitlist_wake_all(&barrier->outside, -EPIPE);
}

void lsc_barrier_reset(struct lsc_barrier *barrier)
{
	if (debug_is_foreign(barrier->inside.loop))
		return;
	barrier->broken = false;
	waitlist_wake_all(&barrier->inside, -EPIPE);
}

unsigned lsc_barrier_waiting(const struct lsc_barrier *barrier)
{
	return (unsigned)barrier->inside.count;
}

int lsc_barrier_is_broken(const struct lsc_barrier *barrier)
{
	return barrier->broken;
}
