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
	struct next *next; /* of the task in lsc_as_completed_next(); NULL: none */
	size_t n;
	struct member members[];
};

/* On the stack of that task, until it runs again. */
struct next {
	struct park park;
	struct lsc_as_completed *all; /* NULL: freed meanwhile */
	bool waits;
};

static void wake(struct next *next, int result)
{
	if (!next || !next->waits)
		return;
	next->waits = false;
	task_unpark(&next->park, result);
}

static void member_ended(struct future_waiter *waiter)
{
	struct member *m = container_of(waiter, struct member, waiter);

	list_append(&m->all->ended, &m->ended);
	wake(m->all->next, 0);
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

static bool stop(struct park *park)
{
	container_of(park, struct next, park)->waits = false;
	return true;
}

static int wait_for_next(struct lsc_as_completed *all, struct task *task)
{
	struct next next = {.park.cancel = stop, .all = all, .waits = true};

	all->next = &next;
	int r = task_park(task, &next.park, LSC_WAIT_GROUP, all->left);
	if (!next.all)
		return r < 0 ? r : -EIDRM;
	all->next = NULL;
	return r;
}

int lsc_as_completed_next(struct lsc_as_completed *all, struct lsc_future **ret)
{
	struct task *task = task_current();

	if (!task || all->loop != task->future.loop)
		return -EPERM;
	if (all->next)
		return -EBUSY;
	if (all->left == 0)
		return 0;
	int r = list_empty(&all->ended) ? wait_for_next(all, task) : 0;
	if (r < 0)
		return r;
	struct member *m = container_of(all->ended.next, struct member, ended);
	list_remove(&m->ended);
	all->left--;
	*ret = m->future;
	return 1;
}

struct lsc_as_completed *lsc_as_completed_free(struct lsc_as_completed *all)
{
	if (all && all->next) {
		all->next->all = NULL;
		wake(all->next, -EIDRM);
	}
	for (size_t i = 0; all && i < all->n; i++) {
		list_remove(&all->members[i].waiter.link);
		lsc_unref(all->members[i].future);
	}
	free(all);
	return NULL;
}
