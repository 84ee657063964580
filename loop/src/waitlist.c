/* SPDX-License-Identifier: MIT */
/* See waitlist.h. */
#include "waitlist.h"

#include <errno.h>

#include "loop.h"
#include "task.h"

/* On the waiting task's stack. */
struct waiter {
	struct park park;
	struct list link;
	struct waitlist *list;
};

void waitlist_init(struct waitlist *list)
{
	list_init(&list->waiters);
	list_init(&list->woken);
	list->count = 0;
	list->loop = loop_thread;
}

static void take_off(struct waiter *w)
{
	list_remove(&w->link);
	w->list->count--;
}

static bool stop(struct park *park)
{
	take_off(container_of(park, struct waiter, park));
	return true;
}

int waitlist_wait(struct waitlist *list, struct task *task, uint8_t kind, uint64_t detail,
		  int *ret_woken)
{
	struct waiter w = {.park.cancel = stop, .list = list};

	list_append(&list->waiters, &w.link);
	list->count++;
	int r = task_park(task, &w.park, kind, detail);
	list_remove(&w.link);
	*ret_woken = w.park.result;
	return r;
}

struct task *waitlist_wake(struct waitlist *list, int result)
{
	if (waitlist_empty(list))
		return NULL;
	struct waiter *w = container_of(list->waiters.next, struct waiter, link);
	struct task *task = w->park.task;
	take_off(w);
	list_append(&list->woken, &w->link);
	task_unpark(&w->park, result);
	return task;
}

void waitlist_wake_all(struct waitlist *list, int result)
{
	while (waitlist_wake(list, result))
		;
}

void waitlist_close(struct waitlist *list)
{
	waitlist_wake_all(list, -EIDRM);
	while (!list_empty(&list->woken)) {
		struct waiter *w = container_of(list->woken.next, struct waiter, link);

		list_remove(&w->link);
		w->park.result = -EIDRM;
	}
}
