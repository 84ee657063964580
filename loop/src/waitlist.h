/* SPDX-License-Identifier: MIT */
/* Tasks that wait for the same thing, in the order of their arrival. */
#ifndef LSC_LOOP_WAITLIST_H
#define LSC_LOOP_WAITLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

struct lsc_loop;
struct task;

struct waitlist {
	struct list waiters;
	struct list woken; /* those that have not run since: what they wait for may still go away */
	size_t count;	   /* of waiters */
	struct lsc_loop *loop;
};

/* Of this thread's loop. */
void waitlist_init(struct waitlist *list);

/* Parks the running task at the end. Returns what it was woken with, or -ECANCELED; *ret_woken is
 * what it was woken with even then, -ECANCELED when it was not. The list may be gone afterwards. */
int waitlist_wait(struct waitlist *list, struct task *task, uint8_t kind, uint64_t detail,
		  int *ret_woken);

/* Takes the first one off and wakes it. Returns it, or NULL when nobody waits. */
struct task *waitlist_wake(struct waitlist *list, int result);

void waitlist_wake_all(struct waitlist *list, int result);

/* What they wait for goes away: -EIDRM to all, also in place of what they were woken with. */
void waitlist_close(struct waitlist *list);

static inline bool waitlist_empty(const struct waitlist *list)
{
	return list->count == 0;
}

#endif
