/* SPDX-License-Identifier: MIT */
/* Debug mode: says what is almost certainly a mistake. lsc_loop.debug is NULL when it is off. */
#ifndef LSC_LOOP_DEBUG_H
#define LSC_LOOP_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct lsc_future;
struct task;

struct debug {
	uint64_t slow_ns;  /* a step longer than this is told */
	uint64_t begin_ns; /* of the step or call that runs */
	lsc_log_fn log;
	void *log_arg;
};

/* For a loop with these options; *ret is NULL where neither they nor LSC_DEBUG ask for it. 0 or
 * -ENOMEM. */
int debug_open(struct debug **ret, const struct lsc_loop_options *options);

void debug_begin(struct debug *debug);
/* The step of the task, or the call when NULL, is over. */
void debug_end(struct debug *debug, const struct task *task);
/* The body of the task has returned, and this is its stack still; or it is suspended. */
void debug_stack(struct lsc_loop *loop, struct task *task);
/* The task has ended with so many locks. */
void debug_locks(struct debug *debug, const struct task *task, unsigned locks);
/* The last reference is gone. */
void debug_released(struct debug *debug, const struct lsc_future *future);
/* The loop ends; the task lives still. */
void debug_left(struct debug *debug, const struct task *task);
/* A function of the library was called by another thread than the loop's. */
void debug_foreign(struct debug *debug, const char *function);

/* In debug mode: whether the call comes from another thread than the loop's; that is told. */
#define debug_is_foreign(loop)                                                                     \
	((loop)->debug && loop_thread != (loop) && (debug_foreign((loop)->debug, __func__), true))

#endif
