/* SPDX-License-Identifier: MIT */
/* Calls at a future's end. A pending one belongs to the future: it is gone with it. */
#include <errno.h>
#include <stdlib.h>

#include "debug.h"
#include "future.h"
#include "loop.h"

struct callback {
	struct future_waiter waiter;
	struct job job;
	struct lsc_future *future; /* referenced once its end is known */
	lsc_done_fn fn;
	void *arg;
};

static void run(struct job *job)
{
	struct callback *c = container_of(job, struct callback, job);

	c->fn(c->future, c->arg);
	lsc_unref(c->future);
	free(c);
}

static void drop(struct job *job)
{
	struct callback *c = container_of(job, struct callback, job);

	lsc_unref(c->future);
	free(c);
}

static const struct job_ops job_ops = {.run = run, .drop = drop};

static void ended(struct future_waiter *waiter)
{
	struct callback *c = container_of(waiter, struct callback, waiter);

	future_take(lsc_ref(c->future));
	job_push(&c->future->loop->ready, &c->job);
}

static void forgotten(struct future_waiter *waiter)
{
	free(container_of(waiter, struct callback, waiter));
}

static const struct future_waiter_ops waiter_ops = {.wake = ended, .forget = forgotten};

int lsc_add_done_callback(struct lsc_future *future, lsc_done_fn fn, void *arg)
{
	if (debug_is_foreign(future->loop))
		return -EPERM;
	struct callback *c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct callback){
		.waiter.ops = &waiter_ops,
		.job.ops = &job_ops,
		.future = future,
		.fn = fn,
		.arg = arg,
	};
	if (future->done)
		ended(&c->waiter);
	else
		future_wait(future, &c->waiter);
	return 0;
}

int lsc_remove_done_callback(struct lsc_future *future, lsc_done_fn fn, void *arg)
{
	int removed = 0;

	for (struct list *l = future->waiters.next, *next; l != &future->waiters; l = next) {
		struct future_waiter *waiter = container_of(l, struct future_waiter, link);
		struct callback *c = container_of(waiter, struct callback, waiter);

		next = l->next;
		if (waiter->ops != &waiter_ops || c->fn != fn || c->arg != arg)
			continue;
		list_remove(l);
		free(c);
		removed++;
	}
	return removed;
}
