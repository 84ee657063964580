/* SPDX-License-Identifier: MIT */
/* A lock that is handed to the task that has waited longest. */
#include "lock.h"

#include <errno.h>
#include <stdlib.h>

#include "debug.h"
#include "loop.h"
#include "loopscope/wire.h"
#include "task.h"

/* Stands for an owner that has ended without releasing. */
static struct task nobody;

struct lsc_lock *lsc_lock_new(void)
{
	struct lsc_lock *lock = loop_thread ? calloc(1, sizeof(*lock)) : NULL;

	if (!lock)
		return NULL;
	waitlist_init(&lock->waiters);
	list_init(&lock->held);
	return lock;
}

struct lsc_lock *lsc_lock_free(struct lsc_lock *lock)
{
	if (lock) {
		list_remove(&lock->held);
		waitlist_close(&lock->waiters);
	}
	free(lock);
	return NULL;
}

static void give_to(struct lsc_lock *lock, struct task *task)
{
	list_remove(&lock->held);
	lock->owner = task;
	if (task)
		list_append(&task->held, &lock->held);
}

int lsc_lock_acquire(struct lsc_lock *lock)
{
	struct task *task = task_current();
	int woken;

	if (!task)
		return -EPERM;
	if (lock->owner == task)
		return -EDEADLK;
	if (!lock->owner) {
		give_to(lock, task);
		return 0;
	}
	int r = waitlist_wait(&lock->waiters, task, LSC_WAIT_LOCK, lock->owner->id, &woken);
	if (r == -ECANCELED && woken == 0)
		lsc_lock_release(lock); /* it was handed over meanwhile: pass it on */
	return r;
}

int lsc_lock_release(struct lsc_lock *lock)
{
	/* It has been released already when its new owner has not run yet. */
	bool on_its_way = !list_empty(&lock->waiters.woken);

	if (!lock->owner || on_its_way || debug_is_foreign(lock->waiters.loop))
		return -EPERM;
	give_to(lock, waitlist_wake(&lock->waiters, 0));
	return 0;
}

int lsc_lock_is_locked(const struct lsc_lock *lock)
{
	return lock->owner != NULL;
}

unsigned lock_orphan(struct task *task)
{
	unsigned count = 0;

	for (; !list_empty(&task->held); count++) {
		struct lsc_lock *lock = container_of(task->held.next, struct lsc_lock, held);

		list_remove(&lock->held);
		lock->owner = &nobody;
	}
	return count;
}
