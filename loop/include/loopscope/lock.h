/* SPDX-License-Identifier: MIT */
/* Locks between tasks of one loop. */
#ifndef LOOPSCOPE_LOCK_H
#define LOOPSCOPE_LOCK_H

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_lock;

/* A free lock. NULL when out of memory or when this thread has no loop. */
LSC_API struct lsc_lock *lsc_lock_new(void);

/* Takes the lock; NULL is allowed. Who still waits gets -EIDRM. Returns NULL. */
LSC_API struct lsc_lock *lsc_lock_free(struct lsc_lock *lock);

/* Suspends until the running task has the lock; those who wait get it in the order of their
 * arrival. 0; -EDEADLK when the task has it already, -EPERM, -ECANCELED (then the task does not
 * have it), -EIDRM. */
LSC_API int lsc_lock_acquire(struct lsc_lock *lock);

/* Hands the lock to who has waited longest, or frees it. Any task may, as in asyncio. 0, or -EPERM
 * when it is free, or on its way to who has waited. */
LSC_API int lsc_lock_release(struct lsc_lock *lock);

/* 1 when a task has it. Never fails. */
LSC_API int lsc_lock_is_locked(const struct lsc_lock *lock);

LSC_END

#endif
