/* SPDX-License-Identifier: MIT */
/* A task: a future that ends when its body returns. It waits for one thing at a time. */
#ifndef LSC_LOOP_TASK_H
#define LSC_LOOP_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "coro.h"
#include "future.h"
#include "job.h"
#include "list.h"
#include "loopscope/task.h"
#include "runner.h"

/*
 * One wait of a task: of whatever holds it, on the stack of the waiting task as a rule. The task
 * parks; somebody unparks it once, or it is cancelled.
 */
struct park {
	struct task *task; /* who waits; set by task_park() */
	/* Somebody asks the task to end: undo the wait. True: it is undone, and nobody will unpark
	 * the task. False: that takes a while; the task stays parked until task_unpark(). NULL:
	 * there is nothing to undo. Called at most once a wait, from the loop's thread. */
	bool (*cancel)(struct park *park);
	struct lsc_future *awaited; /* what it waits for, where that is a future */
	int result;		    /* what task_unpark() said; -ECANCELED when undone */
	bool asked;		    /* cancel() was called */
};

/* Lines of the cache, as they are touched: by a switch, by life and end, by waiting. */
struct task {
	struct job job;	   /* in a queue while it is ready */
	struct coro coro;  /* where it goes on; sp is NULL while that is the begin */
	uint8_t state;	   /* enum lsc_task_state; READY also while it runs */
	uint8_t wait_kind; /* enum lsc_wait_kind: of the present wait, else of the last one */
	uint8_t size_class;
	bool must_cancel; /* asked, not yet delivered */
	uint32_t id;

	struct lsc_future future;
	struct runner *runner; /* NULL: it has not run yet, or has ended */
	struct lsc_site *site;

	struct list live; /* in lsc_loop.live until it ends */
	struct list held; /* lsc_lock.held of the locks it has */
	lsc_task_fn fn;
	void *arg;
	uint64_t cancel_round;	  /* lsc_loop.cancel_round when it was last asked */
	uint32_t cancel_requests; /* asked so far, less those taken back */
	uint16_t name_length;	  /* 0: no name */
	bool detached;		  /* nobody held it when it ended */
	bool cancelling;	  /* on the path of the request that is being handed on */

	struct park *park;	  /* while it is suspended */
	uint64_t since;		  /* while it records: of the state, in the ring's clock, ... */
	uint32_t parent;	  /* ... and the id of the task that spawned it, 0: none */
	struct task *cancel_path; /* while cancelling: the task before it on that path */
	char *name;		  /* NUL-terminated, its own; see task_name() */
};

static inline const char *task_name(const struct task *task)
{
	return task->name_length > 0 ? task->name : "";
}

/* A new, ready task, held by the loop and by the caller; NULL when out of memory. */
struct task *task_new(struct lsc_loop *loop, struct lsc_site *site, lsc_task_fn fn, void *arg,
		      const char *name, unsigned size_class);

/* The future as a task, or NULL. */
struct task *task_of(const struct lsc_future *future);

/* The wait is over (or there was none): the task runs in the next round. */
void task_ready(struct task *task);

/* Suspends the running task until it is unparked or cancelled; kind and detail are what it waits
 * for (enum lsc_wait_kind). Returns park->result; or -ECANCELED, which delivers a request to end:
 * park->result then tells whether the operation had ended nevertheless. One whose result must not
 * be lost calls task_recancel() and returns that result. A request that came before is met without
 * suspending. */
int task_park(struct task *task, struct park *park, uint8_t kind, uint64_t detail);

/* Ends the wait: the task runs in the next round. From the loop's thread, once a wait. */
void task_unpark(struct park *park, int result);

/* Puts back the request that task_park() delivered; the next suspension meets it. Of the running
 * task. */
void task_recancel(struct task *task);

/* Takes a request to end back; with the last one also what is not delivered yet. Returns how many
 * are left. */
uint32_t task_uncancel(struct task *task);

/* Asks a wait to end, once. True when it has ended; the caller then makes the task ready. */
bool task_interrupt(struct park *park);

/* ---- for the scheduler: loop.c and runner.c ---- */

/* Makes task, which has a runner, the running one: on its own stack, or about to be switched to. */
void task_enter(struct task *task);

/* On its runner's stack: calls the body, ends the task, and returns the task that is next, if that
 * is a task. */
struct task *task_run(struct task *task);

/* Where to go on: with the task, or, when NULL, or when it cannot have a stack, in the loop. */
struct coro *task_context(struct lsc_loop *loop, struct task *next);

/* The same with the task that is next to run, if what is next is a task. No task runs. */
struct coro *task_next_context(struct lsc_loop *loop);

#endif
