/* SPDX-License-Identifier: MIT */
/* Waiting, with a lock, for a state that others bring about. */
#include <errno.h>
#include <stdlib.h>

#include "lock.h"
#include "loop.h"
#include "loopscope/condition.h"
#include "loopscope/wire.h"
#include "task.h"
#include "waitlist.h"

struct lsc_condition {
	struct lsc_lock *lock;
	struct waitlist waiters;
	struct list returning; /* a link of each that was notified, and wants the lock back */
};

struct lsc_condition *lsc_condition_new(struct lsc_lock *lock)
{
	struct lsc_condition *condition = loop_thread ? calloc(1, sizeof(*condition)) : NULL;

	if (!condition)
		return NULL;
	condition->lock = lock;
	waitlist_init(&condition->waiters);
	list_init(&condition->returning);
	return condition;
}

struct lsc_condition *lsc_condition_free(struct lsc_condition *condition)
{
	if (condition) {
		waitlist_close(&condition->waiters);
		while (!list_empty(&condition->returning))
			list_remove(condition->returning.next);
	}
	free(condition);
	return NULL;
}

/* The lock back, come what may. True when the task was asked to end meanwhile. */
static bool reacquire(struct lsc_lock *lock)
{
	bool asked = false;

	while (lsc_lock_acquire(lock) == -ECANCELED)
		asked = true;
	return asked;
}

int lsc_condition_wait(struct lsc_condition *condition)
{
	struct task *task = task_current();
	struct lsc_lock *lock = condition->lock;
	int woken;

	if (!task || lock->owner != task)
		return -EPERM;
	lsc_lock_release(lock);
	int r = waitlist_wait(&condition->waiters, task, LSC_WAIT_CONDITION, 0, &woken);
	bool notified = woken == 0;
	struct list link;
	if (notified)
		list_append(&condition->returning, &link);
	if (reacquire(lock))
		r = -ECANCELED;
	if (!notified)
		return r;
	if (list_empty(&link)) /* the condition was freed meanwhile */
		return r < 0 ? r : -EIDRM;
	list_remove(&link);
	/* A notification that this task will not answer goes to the next one. */
	if (r < 0)
		waitlist_wake(&condition->waiters, 0);
	return r;
}

int lsc_condition_wait_for(struct lsc_condition *condition, int (*predicate)(void *arg), void *arg)
{
	int result, r = 0;

	while ((result = predicate(arg)) == 0 && r == 0)
		r = lsc_condition_wait(condition);
	return r < 0 ? r : result;
}

int lsc_condition_notify(struct lsc_condition *condition, size_t n)
{
	struct task *task = task_current();
	int woken = 0;

	if (!task || condition->lock->owner != task)
		return -EPERM;
	while (n-- > 0 && waitlist_wake(&condition->waiters, 0))
		woken++;
	return woken;
}
