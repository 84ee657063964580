/* SPDX-License-Identifier: MIT */
/* A flag that tasks wait for. */
#include <errno.h>
#include <stdlib.h>

#include "debug.h"
#include "loop.h"
#include "loopscope/event.h"
#include "loopscope/wire.h"
#include "task.h"
#include "waitlist.h"

struct lsc_event {
	struct waitlist waiters;
	bool set;
};

struct lsc_event *lsc_event_new(void)
{
	struct lsc_event *event = loop_thread ? calloc(1, sizeof(*event)) : NULL;

	if (event)
		waitlist_init(&event->waiters);
	return event;
}

struct lsc_event *lsc_event_free(struct lsc_event *event)
{
	if (event)
		waitlist_close(&event->waiters);
	free(event);
	return NULL;
}

int lsc_event_wait(struct lsc_event *event)
{
	struct task *task = task_current();
	int woken;

	if (!task)
		return -EPERM;
	if (event->set)
		return 0;
	return waitlist_wait(&event->waiters, task, LSC_WAIT_EVENT, 0, &woken);
}

int lsc_event_set(struct lsc_event *event)
{
	if (debug_is_foreign(event->waiters.loop))
		return -EPERM;
	event->set = true;
	waitlist_wake_all(&event->waiters, 0);
	return 0;
}

void lsc_event_clear(struct lsc_event *event)
{
	event->set = false;
}

int lsc_event_is_set(const struct lsc_event *event)
{
	return event->set;
}
