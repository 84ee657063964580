/* SPDX-License-Identifier: MIT */
/* Semaphores: a number of permits that tasks take and give back. */
#ifndef LOOPSCOPE_SEMAPHORE_H
#define LOOPSCOPE_SEMAPHORE_H

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_semaphore;

/* A semaphore with so many permits, and never more than bound (0: no bound). NULL when out of
 * memory, when permits is more than bound, or when this thread has no loop. */
LSC_API struct lsc_semaphore *lsc_semaphore_new(size_t permits, size_t bound);

/* Takes the semaphore; NULL is allowed. Who still waits gets -EIDRM. Returns NULL. */
LSC_API struct lsc_semaphore *lsc_semaphore_free(struct lsc_semaphore *semaphore);

/* Suspends until the running task has a permit; those who wait get them in the order of their
 * arrival. 0, -EPERM, -ECANCELED (then it has none), -EIDRM. */
LSC_API int lsc_semaphore_acquire(struct lsc_semaphore *semaphore);

/* Gives a permit back: to who has waited longest, else to the semaphore. 0, or -EOVERFLOW when that
 * is beyond the bound. */
LSC_API int lsc_semaphore_release(struct lsc_semaphore *semaphore);

/* Permits that are left; 0: the next lsc_semaphore_acquire() suspends. Never fails. */
LSC_API size_t lsc_semaphore_permits(const struct lsc_semaphore *semaphore);

LSC_END

#endif
