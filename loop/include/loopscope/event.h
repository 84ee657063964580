/* SPDX-License-Identifier: MIT */
/* Events: a flag that tasks wait for. */
#ifndef LOOPSCOPE_EVENT_H
#define LOOPSCOPE_EVENT_H

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_event;

/* A flag that is not set. NULL when out of memory or when this thread has no loop. */
LSC_API struct lsc_event *lsc_event_new(void);

/* Takes the event; NULL is allowed. Who still waits gets -EIDRM. Returns NULL. */
LSC_API struct lsc_event *lsc_event_free(struct lsc_event *event);

/* Suspends until the flag is set; returns at once when it is. 0, -EPERM, -ECANCELED, -EIDRM. */
LSC_API int lsc_event_wait(struct lsc_event *event);

/* Sets the flag and wakes all who wait, also when it is cleared before they run. 0; -EPERM in debug
 * mode from another thread. */
LSC_API int lsc_event_set(struct lsc_event *event);

/* Takes the flag back; who was woken stays woken. Never fails. */
LSC_API void lsc_event_clear(struct lsc_event *event);

/* 1 when it is set. Never fails. */
LSC_API int lsc_event_is_set(const struct lsc_event *event);

LSC_END

#endif
