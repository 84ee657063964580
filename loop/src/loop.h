/* SPDX-License-Identifier: MIT */
/* The loop itself, for the files of the library: its state, and turning it step by step. */
#ifndef LSC_LOOP_LOOP_H
#define LSC_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "coro.h"
#include "fd.h"
#include "job.h"
#include "list.h"
#include "loopscope/loop.h"
#include "remote.h"
#include "resource.h"
#include "runner.h"
#include "slab.h"
#include "timer.h"
#include "trace.h"

/* No time that anything is due. */
#define LOOP_NO_ALARM UINT64_MAX

/* What each turn looks at comes first, and together. */
struct lsc_loop {
	struct job_queue batch; /* of the round that goes on */
	struct job_queue ready; /* of the next one */
	struct task *current;
	struct debug *debug;   /* NULL: not in debug mode */
	uint64_t burst_end_ns; /* no round of this tick begins later */
	uint32_t tries;	       /* operations on descriptors, for io.c */
	bool unguarded;	       /* some stacks have canaries */
	bool observed;	       /* recorded, or in debug mode */
	bool attended;	       /* observed, or unguarded: a step is more than a switch */
	bool running;	       /* somebody turns it */
	bool stopping;	       /* it is to return to who runs it */
	bool closing;	       /* what is spawned from now on does not run */
	bool snapshotting;     /* a snapshot goes on in the next tick */
	bool has_signals;      /* some signal is handled, or was */
	struct coro thread;    /* the stack that turns the loop */
	const struct backend_ops *backend;
	void *backend_data;
	uint64_t burst_ns;
	uint64_t alarm_ns;	  /* when the backend ends a wait by itself */
	uint64_t alarm_wanted_ns; /* the deadline that was asked for last */
	struct trace trace;
	struct fd_table fds;
	struct runner_pool runners;

	struct coro_stack thread_stack;
	struct list live; /* task.live, in the order of their ids */
	struct slab_pool tasks;
	unsigned size_class; /* of a task's stack, unless it says otherwise */
	struct remote remote;
	struct pool *pool;     /* NULL until it is needed */
	struct list resources; /* struct resource */
	uint32_t refs;	       /* the owner's and one of each future */
	uint64_t cancel_round;
	bool handles_overflow;		       /* it has a share in the handler of SIGSEGV */
	void *alternate_stack;		       /* ours; NULL: the thread had one */
	const struct backend_ops *forked_from; /* in a forked child: the parent's backend */
	uint64_t kept_signals;	   /* for the next lsc_signal_wait(): bits, from number 1 on */
	struct timer_wheel timers; /* the last: it is large */
};

/* The loop of this thread, or NULL. */
extern __thread struct lsc_loop *loop_thread
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The task that runs on this thread, or NULL. */
static inline struct task *task_current(void)
{
	return loop_thread ? loop_thread->current : NULL;
}

/* Makes the loop of this thread. 0, -EBUSY, -EINVAL, -ENOMEM or what a syscall said. */
int loop_open(struct lsc_loop **ret, const struct lsc_loop_options *options);

/* One tick: waits (not at all while something is ready, and for timeout_ns at most), finds out who
 * became ready, and runs rounds: what is ready, and nothing that becomes ready meanwhile. Further
 * rounds begin until nothing is ready, but none later than burst_ns after the wait. 0 or -errno. */
int loop_turn(struct lsc_loop *loop, uint64_t timeout_ns);

/* The same where something is ready. */
bool loop_begin_round(struct lsc_loop *loop);

/* The round is over: makes what became ready meanwhile the next one. False when nothing is ready,
 * or when it is time to look for events. */
static inline bool loop_next_round(struct lsc_loop *loop)
{
	return loop->ready.first && loop_begin_round(loop);
}

/* Cancels all tasks, turns until they have ended, and releases the loop. */
void loop_close(struct lsc_loop *loop);

/* A future is gone. */
void loop_unref(struct lsc_loop *loop);

/* From the backend: fd_ready(), or the loop's own descriptor. */
void loop_fd_ready(struct lsc_loop *loop, uint64_t token, uint32_t events);

/* From the backend: fd_unwatched(), or nothing for the loop's own descriptor. */
void loop_fd_unwatched(struct lsc_loop *loop, uint64_t token, int error);

#endif
