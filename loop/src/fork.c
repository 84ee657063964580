/* SPDX-License-Identifier: MIT */
/* See fork.h. The locks that a worker or another thread may hold are taken ahead of the fork, so
 * that what they protect is whole in the child. */
#include "fork.h"

#include <errno.h>
#include <pthread.h>

#include "loop.h"
#include "overflow.h"
#include "pool.h"
#include "signals.h"

/* ---- the child's backend: nothing comes any more ---- */

static void close_backend(struct lsc_loop *loop)
{
	loop->forked_from->close(loop);
}

static int watch(struct lsc_loop *loop, struct backend_watch *w, uint32_t events)
{
	(void)loop;
	(void)w;
	(void)events;
	return -ECHILD;
}

/* The watch is the parent's. */
static void unwatch(struct lsc_loop *loop, struct backend_watch *w)
{
	(void)loop;
	w->events = 0;
}

/* The kernel writes into the parent's memory alone. */
static void cancel(struct lsc_loop *loop, struct backend_op *op)
{
	(void)loop;
	op->done(op, -ECANCELED);
}

static int wait_events(struct lsc_loop *loop, uint64_t timeout_ns)
{
	(void)loop;
	(void)timeout_ns;
	return -ECHILD;
}

static const struct backend_ops backend_forked = {
	.name = "none",
	.close = close_backend,
	.watch = watch,
	.unwatch = unwatch,
	.cancel = cancel,
	.wait = wait_events,
};

/* ---- the fork ---- */

static void before(void)
{
	struct lsc_loop *loop = loop_thread;

	if (!loop)
		return;
	pool_hold(loop);
	pthread_mutex_lock(&loop->remote.lock);
}

static void in_parent(void)
{
	struct lsc_loop *loop = loop_thread;

	if (!loop)
		return;
	pthread_mutex_unlock(&loop->remote.lock);
	pool_let_go(loop);
}

static void in_child(void)
{
	struct lsc_loop *loop = loop_thread;

	in_parent();
	signals_forked();
	overflow_forked();
	if (!loop || loop->forked_from)
		return;
	loop->forked_from = loop->backend;
	loop->backend = &backend_forked;
	pool_forked(loop);
}

int fork_watch(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool watching;
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!watching)
		r = -pthread_atfork(before, in_parent, in_child);
	watching |= r == 0;
	pthread_mutex_unlock(&lock);
	return r;
}
