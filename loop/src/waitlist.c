/* SPDX-License-Identifier: MIT */
/* Lists of waiting tasks; the entries lie on the tasks' stacks. */
#include "waitlist.h"

#include "task.h"

struct waiter {
	struct park park;
	struct list link;
};

static bool leave(struct park *park)
{
	list_remove(&container_of(park, struct waiter, park)->link);
	return true;
}

int waitlist_wait(struct waitlist *w, struct task *task, uint8_t kind, uint64_t detail)
{
	struct waiter waiter = {.park.cancel = leave};

	list_append(&w->waiters, &waiter.link);
	return task_park(task, &waiter.park, kind, detail);
}

void waitlist_wake(struct waitlist *w, int result)
{
	while (!list_empty(&w->waiters)) {
		struct waiter *waiter = container_of(w->waiters.next, struct waiter, link);

		list_remove(&waiter->link);
		task_unpark(&waiter->park, result);
	}
}
