/* SPDX-License-Identifier: MIT */
/* Conditions: waiting, with a lock, for a state that others bring about. */
#ifndef LOOPSCOPE_CONDITION_H
#define LOOPSCOPE_CONDITION_H

#include "loopscope/api.h"
#include "loopscope/lock.h"

LSC_BEGIN

struct lsc_condition;

/* A condition on lock (borrowed; it must outlive the condition and the calls that wait for it;
 * several may share it). NULL when out of memory or when this thread has no loop. */
LSC_API struct lsc_condition *lsc_condition_new(struct lsc_lock *lock);

/* Takes the condition; NULL is allowed. Who still waits gets -EIDRM. Returns NULL. */
LSC_API struct lsc_condition *lsc_condition_free(struct lsc_condition *condition);

/* Releases the lock, suspends until notified, and acquires the lock again, also when cancelled.
 * There are no spurious returns, but the state may have changed again: check it. 0; -EPERM when the
 * running task has not the lock, -ECANCELED, -EIDRM. */
LSC_API int lsc_condition_wait(struct lsc_condition *condition);

/* The same until predicate(arg), which is called with the lock held, returns something else than 0;
 * returns that, or the error of the wait. */
LSC_API int lsc_condition_wait_for(struct lsc_condition *condition, int (*predicate)(void *arg),
				   void *arg);

/* Wakes up to n who wait, the longest waiting first; SIZE_MAX is all. They run when they have got
 * the lock. Returns their number; -EPERM when the running task has not the lock. */
LSC_API int lsc_condition_notify(struct lsc_condition *condition, size_t n);

LSC_END

#endif
