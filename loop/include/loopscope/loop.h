/* SPDX-License-Identifier: MIT */
/* Running loops. */
#ifndef LOOPSCOPE_LOOP_H
#define LOOPSCOPE_LOOP_H

#include "loopscope/api.h"

LSC_BEGIN

/* lsc_loop_options.debug */
#define LSC_DEBUG_BY_ENVIRONMENT 0u /* on when LSC_DEBUG is set and not 0 */
#define LSC_DEBUG_ON		 1u
#define LSC_DEBUG_OFF		 2u

/* What debug mode says: one line without an end of line. Must not call the library. */
typedef void (*lsc_log_fn)(const char *message, void *arg);

struct lsc_loop_options {
	uint32_t size;	      /* sizeof(struct lsc_loop_options), so that fields can be added */
	uint32_t record_bits; /* the ring holds 2^record_bits records: 8..20; 0 means 15 (1 MiB) */
	uint64_t stack_size;  /* bytes of a task's stack, rounded up to a power of two of at least
				 16 KiB; 0 means 64 KiB */
	uint32_t debug;	      /* LSC_DEBUG_* */
	uint32_t reserved;
	uint64_t slow_step_ns; /* debug mode tells steps from here; 0 means 100 ms */
	lsc_log_fn log;	       /* where debug mode says it; NULL: on stderr */
	void *log_arg;
};

/* Makes a loop, runs main(arg) as its first task, named "main", until that returns; then cancels
 * the tasks that are left, runs them to their end (what they spawn is cancelled before it runs),
 * and closes the loop. Returns what main returned; -EBUSY when this thread has a loop already;
 * -ENOMEM, -EMFILE, ... when the loop cannot be made. Recording never makes it fail: where the ring
 * cannot be had, the loop runs unrecorded. */
LSC_API int lsc_run(lsc_task_fn main, void *arg);

/* The same with options (borrowed; NULL for the defaults). Also -EINVAL for options out of range.
 */
LSC_API int lsc_run_with(const struct lsc_loop_options *options, lsc_task_fn main, void *arg);

/* Makes the loop of this thread, which does not run yet; tasks may be spawned. 0 and *ret (owned by
 * the caller, lsc_loop_free()); errors as of lsc_run_with(). */
LSC_API int lsc_loop_new(const struct lsc_loop_options *options, struct lsc_loop **ret);

/* Runs the loop until the future (borrowed; of this loop) has ended; returns its result. Or until
 * lsc_loop_stop(): -EINTR. -EPERM from another thread, -EBUSY when the loop runs. */
LSC_API int lsc_loop_run_until(struct lsc_loop *loop, struct lsc_future *future);

/* Runs the loop until lsc_loop_stop(): 0; also -EPERM, -EBUSY, or what the wait for events said. */
LSC_API int lsc_loop_run(struct lsc_loop *loop);

/* Has the loop return to who runs it at the end of this tick, or of the first one if it does not
 * run. From another thread: lsc_call_soon_threadsafe(). Never fails. */
LSC_API void lsc_loop_stop(struct lsc_loop *loop);

/* Cancels the tasks that are left, runs them to their end, drops the calls that are left, and takes
 * the loop (NULL is allowed). 0; -EBUSY from within the loop, -EPERM from another thread: then
 * nothing has happened. */
LSC_API int lsc_loop_free(struct lsc_loop *loop);

/* The loop of this thread, or NULL. Owned by who made it. */
LSC_API struct lsc_loop *lsc_loop_current(void);

/* Has fn(arg) called by the loop, outside of any task, in its next tick; calls keep their order.
 * For any thread. fn must not suspend; it may spawn, resolve and cancel. The caller sees to it that
 * the loop still exists; calls not yet made when the loop ends are dropped. 0 or -ENOMEM. */
LSC_API int lsc_call_soon_threadsafe(struct lsc_loop *loop, lsc_call_fn fn, void *arg);

LSC_END

#endif
