/* SPDX-License-Identifier: MIT */
/* A number of permits. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "debug.h"
#include "loop.h"
#include "loopscope/semaphore.h"
#include "loopscope/wire.h"
#include "task.h"
#include "waitlist.h"

struct lsc_semaphore {
	struct waitlist waiters; /* nobody waits while there are permits */
	size_t permits;
	size_t bound;
};

struct lsc_semaphore *lsc_semaphore_new(size_t permits, size_t bound)
{
	if (bound == 0)
		bound = SIZE_MAX;
	if (permits > bound || !loop_thread)
		return NULL;
	struct lsc_semaphore *semaphore = calloc(1, sizeof(*semaphore));
	if (!semaphore)
		return NULL;
	waitlist_init(&semaphore->waiters);
	semaphore->permits = permits;
	semaphore->bound = bound;
	return semaphore;
}

struct lsc_semaphore *lsc_semaphore_free(struct lsc_semaphore *semaphore)
{
	if (semaphore)
		waitlist_close(&semaphore->waiters);
	free(semaphore);
	return NULL;
}

int lsc_semaphore_acquire(struct lsc_semaphore *semaphore)
{
	struct task *task = task_current();
	int woken;

	if (!task)
		return -EPERM;
	if (semaphore->permits > 0) {
		semaphore->permits--;
		return 0;
	}
	int r = waitlist_wait(&semaphore->waiters, task, LSC_WAIT_SEMAPHORE, 0, &woken);
	if (r == -ECANCELED && woken == 0)
		lsc_semaphore_release(semaphore); /* it was given meanwhile: pass it on */
	return r;
}

int lsc_semaphore_release(struct lsc_semaphore *semaphore)
{
	if (debug_is_foreign(semaphore->waiters.loop))
		return -EPERM;
	if (semaphore->permits == semaphore->bound)
		return -EOVERFLOW;
	if (!waitlist_wake(&semaphore->waiters, 0))
		semaphore->permits++;
	return 0;
}

size_t lsc_semaphore_permits(const struct lsc_semaphore *semaphore)
{
	return semaphore->permits;
}
