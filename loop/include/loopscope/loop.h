/* SPDX-License-Identifier: MIT */
/* Running loops. */
#ifndef LOOPSCOPE_LOOP_H
#define LOOPSCOPE_LOOP_H

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_loop_options {
	uint32_t size;	      /* sizeof(struct lsc_loop_options), so that fields can be added */
	uint32_t record_bits; /* the ring holds 2^record_bits records: 8..20; 0 means 15 (1 MiB) */
	uint64_t stack_size;  /* bytes of a task's stack, rounded up to pages; 0 means 64 KiB */
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

/* The loop of this thread, or NULL. Owned by who made it. */
LSC_API struct lsc_loop *lsc_loop_current(void);

/* Has fn(arg) called by the loop, outside of any task, in its next tick; calls keep their order.
 * For any thread. fn must not suspend; it may spawn, resolve and cancel. The caller sees to it that
 * the loop still exists; calls not yet made when the loop ends are dropped. 0 or -ENOMEM. */
LSC_API int lsc_call_soon_threadsafe(struct lsc_loop *loop, lsc_call_fn fn, void *arg);

LSC_END

#endif
