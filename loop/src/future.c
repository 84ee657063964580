/* SPDX-License-Identifier: MIT */
/* Plain futures and what all futures have in common. Knows nothing of tasks: it only wakes waiters.
 */
#include "future.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static const struct future_ops plain_ops;

void future_init(struct lsc_future *future, const struct future_ops *ops, struct lsc_loop *loop)
{
	*future = (struct lsc_future){.ops = ops, .loop = loop, .refs = 1};
	list_init(&future->waiters);
}

void future_complete(struct lsc_future *future, int result)
{
	assert(!future->done);
	lsc_ref(future);
	future->done = true;
	future->result = result;
	while (!list_empty(&future->waiters)) {
		struct future_waiter *waiter =
			container_of(future->waiters.next, struct future_waiter, link);

		list_remove(&waiter->link);
		waiter->wake(waiter);
	}
	lsc_unref(future);
}

bool future_cancel(struct lsc_future *future)
{
	if (future->done)
		return false;
	if (future->ops->cancel)
		return future->ops->cancel(future);
	future_complete(future, -ECANCELED);
	return true;
}

void future_wait(struct lsc_future *future, struct future_waiter *waiter)
{
	list_append(&future->waiters, &waiter->link);
}

struct lsc_future *lsc_future_new(void)
{
	struct lsc_loop *loop = lsc_loop_current();
	struct lsc_future *future = loop ? malloc(sizeof(*future)) : NULL;

	if (future)
		future_init(future, &plain_ops, loop);
	return future;
}

int lsc_resolve(struct lsc_future *future, int result)
{
	if (future->ops != &plain_ops)
		return -EINVAL;
	if (future->done)
		return -EALREADY;
	future_complete(future, result);
	return 0;
}

int lsc_cancel(struct lsc_future *future)
{
	return future_cancel(future);
}

int lsc_is_done(const struct lsc_future *future)
{
	return future->done;
}

int lsc_result(const struct lsc_future *future)
{
	return future->done ? future->result : -EAGAIN;
}

struct lsc_future *lsc_ref(struct lsc_future *future)
{
	future->refs++;
	return future;
}

struct lsc_future *lsc_unref(struct lsc_future *future)
{
	if (!future || --future->refs > 0)
		return NULL;
	assert(list_empty(&future->waiters));
	if (future->ops->release)
		future->ops->release(future);
	else
		free(future);
	return NULL;
}
