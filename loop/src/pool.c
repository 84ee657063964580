/* SPDX-License-Identifier: MIT */
/*
 * The pool. Workers know no tasks: they take work from a locked queue and post it back to the loop.
 * Every signal is blocked in them, so that the program's handlers run where they did before.
 */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop.h"
#include "task.h"

/* As many as asyncio's default executor: min(32, CPUs + 4). */
#define WORKERS_MAX  32
#define WORKERS_MORE 4

struct pool {
	struct lsc_loop *loop;
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct list queue;   /* struct pool_work */
	struct list running; /* the same, taken by workers */
	unsigned queued;
	unsigned idle;
	bool closing;
	unsigned count; /* of threads; the loop's alone */
	unsigned max;
	pthread_t threads[WORKERS_MAX];
};

static struct pool_work *work_of(struct list *link)
{
	return container_of(link, struct pool_work, link);
}

static void come_back(struct remote_call *call)
{
	struct pool_work *work = container_of(call, struct pool_work, done);

	work->ended(work, work->result);
}

/* The next of the queue, or NULL when the pool closes. With the lock held. */
static struct pool_work *next_work(struct pool *pool)
{
	pool->idle++;
	while (list_empty(&pool->queue) && !pool->closing)
		pthread_cond_wait(&pool->news, &pool->lock);
	pool->idle--;
	if (list_empty(&pool->queue))
		return NULL;
	struct pool_work *work = work_of(pool->queue.next);
	list_remove(&work->link);
	list_append(&pool->running, &work->link);
	work->begun = true;
	pool->queued--;
	return work;
}

static void *run_worker(void *arg)
{
	struct pool *pool = arg;
	struct pool_work *work;

	pthread_mutex_lock(&pool->lock);
	while ((work = next_work(pool))) {
		pthread_mutex_unlock(&pool->lock);
		int result = work->fn(work->arg);
		pthread_mutex_lock(&pool->lock);
		list_remove(&work->link);
		work->result = result;
		/* With the lock held: a fork finds it either here or there. */
		remote_post(pool->loop, &work->done);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static struct pool *make(struct lsc_loop *loop)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!pool)
		return NULL;
	pool->loop = loop;
	pool->max = cpus < 1 ? 1 + WORKERS_MORE : (unsigned)cpus + WORKERS_MORE;
	if (pool->max > WORKERS_MAX)
		pool->max = WORKERS_MAX;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->news, NULL);
	list_init(&pool->queue);
	list_init(&pool->running);
	return pool;
}

/* 0, or -EAGAIN. */
static int add_worker(struct pool *pool)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&pool->threads[pool->count], NULL, run_worker, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return -r;
	pthread_setname_np(pool->threads[pool->count++], "lsc-worker");
	return 0;
}

int pool_submit(struct lsc_loop *loop, struct pool_work *work)
{
	if (loop->forked_from)
		return -EAGAIN; /* nobody would hear of its end */
	if (!loop->pool)
		loop->pool = make(loop);
	struct pool *pool = loop->pool;
	if (!pool)
		return -ENOMEM;
	work->begun = false;
	work->done = (struct remote_call){.run = come_back, .drop = come_back};
	pthread_mutex_lock(&pool->lock);
	list_append(&pool->queue, &work->link);
	pool->queued++;
	bool more = pool->queued > pool->idle && pool->count < pool->max;
	pthread_cond_signal(&pool->news);
	pthread_mutex_unlock(&pool->lock);
	int r = more ? add_worker(pool) : 0;
	/* Without any worker nobody would ever do it. */
	if (r < 0 && pool->count == 0) {
		pool_withdraw(loop, work);
		return -EAGAIN;
	}
	return 0;
}

bool pool_withdraw(struct lsc_loop *loop, struct pool_work *work)
{
	struct pool *pool = loop->pool;

	pthread_mutex_lock(&pool->lock);
	bool waits = !list_empty(&work->link) && (!work->begun || loop->forked_from);
	if (waits) {
		list_remove(&work->link);
		pool->queued -= !work->begun;
	}
	pthread_mutex_unlock(&pool->lock);
	return waits;
}

void pool_close(struct lsc_loop *loop)
{
	struct pool *pool = loop->pool;
	struct list dropped;

	if (!pool)
		return;
	list_init(&dropped);
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	list_splice(&dropped, &pool->queue);
	pool->queued = 0;
	pthread_cond_broadcast(&pool->news);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->count; i++)
		pthread_join(pool->threads[i], NULL);
	while (!list_empty(&dropped)) {
		struct pool_work *work = work_of(dropped.next);

		list_remove(&work->link);
		work->ended(work, -ECANCELED);
	}
	pthread_cond_destroy(&pool->news);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	loop->pool = NULL;
}

/* ---- around a fork ---- */

void pool_hold(struct lsc_loop *loop)
{
	if (loop->pool)
		pthread_mutex_lock(&loop->pool->lock);
}

void pool_let_go(struct lsc_loop *loop)
{
	if (loop->pool)
		pthread_mutex_unlock(&loop->pool->lock);
}

void pool_forked(struct lsc_loop *loop)
{
	struct pool *pool = loop->pool;

	if (!pool)
		return;
	pool->count = 0;
	list_splice(&pool->queue, &pool->running);
	pthread_cond_init(&pool->news, NULL); /* nobody waits there any more */
}

/* ---- a task that waits for a call ---- */

struct parked_call {
	struct park park;
	struct pool_work work;
	struct lsc_loop *loop;
};

static void unpark(struct pool_work *work, int result)
{
	task_unpark(&container_of(work, struct parked_call, work)->park, result);
}

static bool withdraw(struct park *park)
{
	struct parked_call *call = container_of(park, struct parked_call, park);

	return pool_withdraw(call->loop, &call->work);
}

int pool_call(struct lsc_loop *loop, int (*fn)(void *arg), void *arg)
{
	struct task *task = loop->current;
	struct parked_call call = {.park.cancel = withdraw,
				   .work = {.fn = fn, .arg = arg, .ended = unpark},
				   .loop = loop};

	int r = pool_submit(loop, &call.work);
	if (r < 0)
		return r;
	r = task_park(task, &call.park, LSC_WAIT_THREAD, 0);
	if (r != -ECANCELED || call.park.result == -ECANCELED)
		return r;
	/* It ran to its end all the same, and what it did counts. */
	task_recancel(task);
	return call.park.result;
}
