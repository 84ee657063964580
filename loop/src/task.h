/* SPDX-License-Identifier: MIT */
/* A task: a future that ends when its coroutine returns. It waits for one thing at a time. */
#ifndef LSC_LOOP_TASK_H
#define LSC_LOOP_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "coro.h"
#include "fd.h"
#include "future.h"
#include "list.h"
#include "timer.h"

struct task {
	struct lsc_future future; /* first: a task is a future */
	struct list live;	  /* in lsc_loop.live until it ends */
	struct list ready;	  /* in lsc_loop.ready while it is ready */
	struct coro coro;
	struct lsc_site *site;
	lsc_task_fn fn;
	void *arg;
	uint32_t id;
	uint32_t parent;   /* id of the task that spawned it, 0: none */
	uint8_t state;	   /* enum lsc_task_state */
	uint8_t wait_kind; /* enum lsc_wait_kind: of the present wait, else of the last one */
	bool started;
	bool must_cancel;		   /* asked, not yet delivered */
	uint64_t since;			   /* of the state, in the ring's clock */
	bool cancelling;		   /* on the path of the request that is being handed on */
	struct task *cancel_path;	   /* the task before it on that path */
	uint64_t cancel_round;		   /* lsc_loop.cancel_round when it was last asked */
	int exit;			   /* what fn returned */
	void (*unhook)(struct task *task); /* ends the present wait without its event; NULL: nothing
					      to end */
	struct lsc_future *awaited;
	struct future_waiter waiter;
	struct timer timer;
	struct fd_wait fd_wait;
	uint32_t name_length;
	char name[]; /* NUL-terminated */
};

/* A new, ready task, held by the loop and by the caller; NULL when out of memory. */
struct task *task_new(struct lsc_loop *loop, struct lsc_site *site, lsc_task_fn fn, void *arg,
		      const char *name);

/* The wait is over (or there was none): the task runs in the next tick. */
void task_ready(struct task *task);

/* Runs one step of a task that was taken off the ready list. */
void task_step(struct task *task);

/* Suspends the running task until task_ready(). 0, or -ECANCELED: then unhook has undone the wait.
 * Returns at once when a request to cancel came before. unhook is NULL for a yield only. */
int task_suspend(struct task *task, uint8_t wait_kind, uint64_t detail,
		 void (*unhook)(struct task *task));

/* The task that runs on this thread, or NULL. */
struct task *task_current(void);

#endif
