/* SPDX-License-Identifier: MIT */
/* Bounds on time. */
#ifndef LOOPSCOPE_TIMEOUT_H
#define LOOPSCOPE_TIMEOUT_H

#include "loopscope/api.h"

LSC_BEGIN

/*
 * A scope of the running task that ends it when its time is up: what the task is suspended in then
 * returns -ECANCELED, and lsc_timeout_end() turns that into -ETIMEDOUT.
 *
 *	struct lsc_timeout timeout;
 *	lsc_timeout_begin(&timeout, 50000000);
 *	int r = fetch(url);                  // suspends here and there; returns what it got
 *	r = lsc_timeout_end(&timeout, r);    // -ETIMEDOUT when that took longer than 50 ms
 *
 * Scopes nest: they end in the reverse order. Every scope that began must be ended, in the function
 * that began it. Its content is the library's.
 */
struct lsc_timeout {
	uint64_t opaque[8];
};

/* Begins a scope of duration_ns; UINT64_MAX: no bound. 0, or -EPERM outside of tasks. */
LSC_API int lsc_timeout_begin(struct lsc_timeout *timeout, uint64_t duration_ns);

/* The same, until CLOCK_MONOTONIC has reached deadline_ns. */
LSC_API int lsc_timeout_begin_at(struct lsc_timeout *timeout, uint64_t deadline_ns);

/* Sets another deadline (UINT64_MAX: none). 0; -EALREADY when the time was up; -EPERM from another
 * task than the one that began it. */
LSC_API int lsc_timeout_reschedule(struct lsc_timeout *timeout, uint64_t deadline_ns);

/* 1 when its time was up, and the task was asked to end. Never fails. */
LSC_API int lsc_timeout_expired(const struct lsc_timeout *timeout);

/* Ends the scope. Returns -ETIMEDOUT when result is -ECANCELED because of this scope; otherwise
 * result. A request of somebody else remains one. */
LSC_API int lsc_timeout_end(struct lsc_timeout *timeout, int result);

/* Suspends: lsc_await() with a bound. Cancels the future (borrowed) when the time is up, and waits
 * for its end: -ETIMEDOUT, unless it ends with a result nevertheless. Protect it with lsc_shield()
 * if it shall go on. Errors as of lsc_await(). */
LSC_API int lsc_wait_for(struct lsc_future *future, uint64_t timeout_ns);

LSC_END

#endif
