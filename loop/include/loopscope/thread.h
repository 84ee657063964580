/* SPDX-License-Identifier: MIT */
/*
 * Calls that block, in worker threads of the loop: min(32, CPUs + 4) of them, which come when there
 * is work and go with the loop. A loop that ends waits for the calls that run, and drops those that
 * have not begun.
 */
#ifndef LOOPSCOPE_THREAD_H
#define LOOPSCOPE_THREAD_H

#include "loopscope/api.h"

LSC_BEGIN

/* Suspends the running task until fn(arg) has run in a worker thread, and returns what it returned.
 * fn must not call into the loop, but for lsc_call_soon_threadsafe(). When the task is cancelled
 * before fn began, fn is not called: -ECANCELED. Once fn runs it cannot be stopped: the task gets
 * its result, and the next call that suspends gets -ECANCELED. So arg may lie on the task's stack.
 * Also -EPERM outside of tasks, -ENOMEM, -EAGAIN when no thread can be had. */
LSC_API int lsc_to_thread(int (*fn)(void *arg), void *arg);

/* The same as a future, given at once, that ends with fn's result. It takes arg: release(arg)
 * (NULL: nothing) is called on the loop's thread when fn is not running (any more) and the last
 * reference of the future is gone. Cancelling it ends it with -ECANCELED at once; an fn that runs
 * already then runs on, unheeded. NULL, with arg not taken: out of memory, no thread, or no loop in
 * this thread. */
LSC_API struct lsc_future *lsc_thread_start(int (*fn)(void *arg), void *arg,
					    void (*release)(void *arg));

LSC_END

#endif
