/* SPDX-License-Identifier: MIT */
/* The worker threads of a loop, for calls that block. They come when there is work and none is
 * idle, and go with the loop. */
#ifndef LSC_LOOP_POOL_H
#define LSC_LOOP_POOL_H

#include <stdbool.h>

#include "list.h"
#include "remote.h"

struct lsc_loop;
struct pool;

/* One call. Owned by who submits it, until ended() or until it was withdrawn. */
struct pool_work {
	struct list link;	 /* in the queue, or among those that run */
	bool begun;		 /* a worker has taken it */
	struct remote_call done; /* on its way back */
	int (*fn)(void *arg);	 /* runs in a worker */
	void *arg;
	int result; /* of fn */
	/* fn has returned, or never will be called (-ECANCELED). On the loop's thread. */
	void (*ended)(struct pool_work *work, int result);
};

/* Queues work, whose fn, arg and ended are set. 0, -ENOMEM, or -EAGAIN when no thread can be had.
 */
int pool_submit(struct lsc_loop *loop, struct pool_work *work);

/* True: it had not begun, and never will; ended() is not called. */
bool pool_withdraw(struct lsc_loop *loop, struct pool_work *work);

/* Suspends the running task until fn(arg) has run in a worker, and returns its result. A request to
 * cancel withdraws a call that has not begun (-ECANCELED); one that runs is waited for, and the
 * request is met by the next suspension. Also -ENOMEM, -EAGAIN. */
int pool_call(struct lsc_loop *loop, int (*fn)(void *arg), void *arg);

/* Drops what has not begun, waits for what has, and ends the threads. */
void pool_close(struct lsc_loop *loop);

/* Around a fork: nobody changes the pool meanwhile. */
void pool_hold(struct lsc_loop *loop);
void pool_let_go(struct lsc_loop *loop);

/* In the child, which has no workers: what had begun never ends, and can be withdrawn. */
void pool_forked(struct lsc_loop *loop);

#endif
