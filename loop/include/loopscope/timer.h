/* SPDX-License-Identifier: MIT */
/* Time: sleeping, and calls that the loop makes later. Calls are made outside of any task, in the
 * order of their times, equal ones in the order in which they were set; they must not suspend, and
 * may spawn, resolve, cancel, and release themselves. */
#ifndef LOOPSCOPE_TIMER_H
#define LOOPSCOPE_TIMER_H

#include "loopscope/api.h"

LSC_BEGIN

/* CLOCK_MONOTONIC, now, in nanoseconds: the clock of all deadlines. Never fails. */
LSC_API uint64_t lsc_time(void);

/* Suspends the running task for at least duration_ns; 0 is lsc_yield(). 0, -EPERM, -ECANCELED. */
LSC_API int lsc_sleep(uint64_t duration_ns);

/* Suspends it until CLOCK_MONOTONIC has reached deadline_ns. Timers that are due together end in
 * the order of their deadlines, equal ones in the order in which they were set. 0, -EPERM,
 * -ECANCELED. */
LSC_API int lsc_sleep_until(uint64_t deadline_ns);

/* ---- calls ---- */

/* A call that was asked for. Counted references, apart from those of futures. */
struct lsc_handle;

/* Has fn(arg) called after what is ready now. Gives a handle; NULL when out of memory or when this
 * thread has no loop. The call is made without the reference, too:
 * lsc_handle_unref(lsc_call_soon(fn, arg)). Calls that are left when the loop ends are dropped. */
LSC_API struct lsc_handle *lsc_call_soon(lsc_call_fn fn, void *arg);

/* The same, delay_ns from now. */
LSC_API struct lsc_handle *lsc_call_later(uint64_t delay_ns, lsc_call_fn fn, void *arg);

/* The same, once CLOCK_MONOTONIC has reached when_ns. */
LSC_API struct lsc_handle *lsc_call_at(uint64_t when_ns, lsc_call_fn fn, void *arg);

/* Takes a call back. 1; 0 when it was made, taken back or dropped before; -EPERM in debug mode from
 * another thread. Borrows the handle. */
LSC_API int lsc_handle_cancel(struct lsc_handle *handle);

/* 1 when it was taken back, or dropped. Never fails. */
LSC_API int lsc_handle_is_cancelled(const struct lsc_handle *handle);

/* The time it was set for; 0 for lsc_call_soon(). Never fails. */
LSC_API uint64_t lsc_handle_when(const struct lsc_handle *handle);

/* Drops the reference (takes it; NULL is allowed). Returns NULL. */
LSC_API struct lsc_handle *lsc_handle_unref(struct lsc_handle *handle);

/* ---- timers without an allocation ---- */

/* A timer in the application's own memory; its content is the library's. */
struct lsc_timer {
	uint64_t opaque[8];
};

/* Prepares a timer, for the loop of this thread, that calls fn(arg). Never fails. */
LSC_API void lsc_timer_init(struct lsc_timer *timer, lsc_call_fn fn, void *arg);

/* Sets it to when_ns (CLOCK_MONOTONIC); one that is set is set anew. Borrows it until it has
 * called, or is stopped; from its own call on it may be set again or released. Stop it before the
 * loop ends. 0; -EPERM from another thread, or when there was no loop at its lsc_timer_init(). */
LSC_API int lsc_timer_start(struct lsc_timer *timer, uint64_t when_ns);

/* 1 when it was set and will not call; 0 when it was not set; -EPERM in debug mode from another
 * thread. */
LSC_API int lsc_timer_stop(struct lsc_timer *timer);

/* 1 while it is set. Never fails. */
LSC_API int lsc_timer_is_set(const struct lsc_timer *timer);

LSC_END

#endif
