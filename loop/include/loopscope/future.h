/* SPDX-License-Identifier: MIT */
/* Futures: what ends once, with an int: 0 or more is a result, a negative number an error in -errno
 * form; -ECANCELED means cancelled. A task is a future, so is a gather. Counted references. */
#ifndef LOOPSCOPE_FUTURE_H
#define LOOPSCOPE_FUTURE_H

#include "loopscope/api.h"

LSC_BEGIN

/* Gives a pending future, or NULL when out of memory or when this thread has no loop. */
LSC_API struct lsc_future *lsc_future_new(void);

/* Ends a future made by lsc_future_new() with result and makes ready who awaits it. 0; -EALREADY
 * when it has ended, -EINVAL for a task or a gather, which end by themselves, -EPERM in debug mode
 * from another thread. */
LSC_API int lsc_resolve(struct lsc_future *future, int result);

/* Suspends the running task until the future (borrowed) has ended, and returns its result; returns
 * at once when it has. -EDEADLK for the task itself, -EPERM outside of tasks or for another loop's
 * future. Cancelling a task that awaits cancels what it awaits, as in asyncio. */
LSC_API int lsc_await(struct lsc_future *future);

/* Asks a future (borrowed) to end with -ECANCELED. A plain one ends at once. A task that has not
 * run yet ends without running; a suspended one gets -ECANCELED from the call it is suspended in,
 * one that runs from the next call that would suspend; it may clean up, suspend again, and return
 * what it likes. A request that a task never met makes it end as cancelled. 1 when asked, 0 when it
 * had ended before, -EPERM in debug mode from another thread. */
LSC_API int lsc_cancel(struct lsc_future *future);

/* 1 when the future has ended. Never fails. */
LSC_API int lsc_is_done(const struct lsc_future *future);

/* The result of an ended future; -EAGAIN while it is pending. */
LSC_API int lsc_result(struct lsc_future *future);

/* 1 when it has ended with -ECANCELED. */
LSC_API int lsc_is_cancelled(const struct lsc_future *future);

/* What is called at a future's end, outside of any task; must not suspend. */
typedef void (*lsc_done_fn)(struct lsc_future *future, void *arg);

/* Has fn(future, arg) called once the future (borrowed) has ended, after what is ready then;
 * several in the order in which they were added. Keeps no reference before: when the last one is
 * dropped first, there is no call. 0, -ENOMEM, -EPERM in debug mode from another thread. */
LSC_API int lsc_add_done_callback(struct lsc_future *future, lsc_done_fn fn, void *arg);

/* Takes back all of fn with arg that are not under way. Returns their number. Never
 * fails. */
LSC_API int lsc_remove_done_callback(struct lsc_future *future, lsc_done_fn fn, void *arg);

/* One more reference; returns future. Never fails. */
LSC_API struct lsc_future *lsc_ref(struct lsc_future *future);

/* Drops a reference (takes it; NULL is allowed). Returns NULL. References must be dropped before
 * the loop is closed. */
LSC_API struct lsc_future *lsc_unref(struct lsc_future *future);

LSC_END

#endif
