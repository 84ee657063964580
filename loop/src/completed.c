/* SPDX-License-Identifier: MIT */
/* Futures in the order in which they end. */
#include <errno.h>
#include <stdlib.h>

#include "future.h"
#include "loop.h"
#include "loopscope/gather.h"
#include "task.h"

struct member {
	struct future_waiter waiter;
	struct lsc_as_completed *all;
	struct lsc_future *future;
	struct list ended; /* in lsc_as_completed.ended until it is taken */
};

struct lsc_as_completed {
	struct lsc_loop *loop;
	struct list ended; /* member.ended, in order */
	size_t left;	   /* not taken yet */
	struct park *park; /* of the task in lsc_as_completed_next(); NULL: none waits */
	size_t n;
	struct member members[];
};

static void member_ended(struct future_waiter *waiter)
{
	struct member *m = container_of(waiter, struct member, waiter);
	struct lsc_as_completed *all = m->all;
	struct park *park = all->park;

	list_append(&all->ended, &m->ended);
	all->park = NULL;
	if (park)
		task_unpark(park, 0);
}

static const struct future_waiter_ops waiter_ops = {.wake = member_ended};

struct lsc_as_completed *lsc_as_completed_new(struct lsc_future *const *futures, size_t n)
{
	struct lsc_loop *loop = loop_thread;

	for (size_t i = 0; i < n; i++)
		if (futures[i]->loop != loop)
			return NULL;
	if (!loop || n > (SIZE_MAX - sizeof(struct lsc_as_completed)) / sizeof(struct member))
		return NULL;
	struct lsc_as_completed *all = calloc(1, sizeof(*all) + n * sizeof(struct member));
	if (!all)
		return NULL;
	all->loop = loop;
	all->left = n;
	all->n = n;
	list_init(&all->ended);
	for (size_t i = 0; i < n; i++) {
		struct member *m = &all->members[i];

		*m = (struct member){.waiter.ops = &waiter_ops, .all = all};
		m->future = lsc_ref(futures[i]);
		list_init(&m->waiter.link);
		list_init(&m->ended);
		if (m->future->done)
			member_ended(&m->waiter);
		else
			future_wait(m->future, &m->waiter);
	}
	return all;
}

/* On the stack of the task in lsc_as_completed_next(). */
struct next {
	struct park park;
	struct lsc_as_completed *all;
};

static bool stop(struct park *park)
{
	container_of(park, struct next, park)->all->park = NULL;
	return true;
}

int lsc_as_completed_next(struct lsc_as_completed *all, struct lsc_future **ret)
{
	struct task *task = task_current();
	struct next next = {.park.cancel = stop, .all = all};

	if (!task || all->loop != task->future.loop)
		return -EPERM;
	if (all->left == 0)
		return 0;
	if (list_empty(&all->ended)) {
		if (all->park)
			return -EBUSY;
		all->park = &next.park;
		int r = task_park(task, &next.park, LSC_WAIT_GROUP, all->left);
		if (r < 0)
			return r;
	}
	struct member *m = container_of(all->ended.next, struct member, ended);
	list_remove(&m->ended);
	all->left--;
	*ret = m->future;
	return 1;
}

struct lsc_as_completed *lsc_as_completed_free(struct lsc_as_completed *all)
{
	for (size_t i = 0; all && i < all->n; i++) {
		list_remove(&all->members[i].waiter.link);
		lsc_unref(all->members[i].future);
	}
	free(all);
	return NULL;
}
