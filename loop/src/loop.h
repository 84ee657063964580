/* SPDX-License-Identifier: MIT */
/* The loop itself, for the files of the library: its state, and turning it step by step. */
#ifndef LSC_LOOP_LOOP_H
#define LSC_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "fd.h"
#include "list.h"
#include "loopscope/loop.h"
#include "remote.h"
#include "stack.h"
#include "task.h"
#include "timer.h"
#include "trace.h"

struct lsc_loop {
	const struct backend_ops *backend;
	void *backend_data;
	struct trace trace;
	struct stack_pool stacks;
	struct list ready; /* task.ready, in the order in which they will run */
	struct list live;  /* task.live, in the order of their ids */
	struct task *current;
	struct timer_heap timers;
	struct fd_table fds;
	struct remote remote;
	bool closing;	   /* what is spawned from now on does not run */
	bool snapshotting; /* a snapshot goes on in the next tick */
	uint64_t cancel_round;
	unsigned cancel_depth;
};

/* Makes the loop of this thread. 0, -EBUSY, -EINVAL, -ENOMEM or what a syscall said. */
int loop_open(struct lsc_loop **ret, const struct lsc_loop_options *options);

/* One tick: waits (not at all while tasks are ready, and for timeout_ns at most), finds out who
 * became ready, runs those and nobody who becomes ready meanwhile. 0 or -errno. */
int loop_turn(struct lsc_loop *loop, uint64_t timeout_ns);

/* Cancels all tasks, turns until they have ended, and releases the loop. */
void loop_close(struct lsc_loop *loop);

/* From the backend: fd_ready(), or the loop's own descriptor. */
void loop_fd_ready(struct lsc_loop *loop, int fd, uint32_t events);

#endif
