/* SPDX-License-Identifier: MIT */
/* Tasks that wait for the same thing, in order of arrival. */
#ifndef LSC_LOOP_WAITLIST_H
#define LSC_LOOP_WAITLIST_H

#include <stdint.h>

#include "list.h"

struct task;

struct waitlist {
	struct list waiters;
};

static inline void waitlist_init(struct waitlist *w)
{
	list_init(&w->waiters);
}

/* Suspends the running task until it is woken; kind and detail are what it waits for. What
 * waitlist_wake() says, or -ECANCELED. */
int waitlist_wait(struct waitlist *w, struct task *task, uint8_t kind, uint64_t detail);

/* Wakes all that wait now. */
void waitlist_wake(struct waitlist *w, int result);

#endif
