/* SPDX-License-Identifier: MIT */
/* A future that ends as another does, and whose cancellation stops at itself. */
#include "future.h"

#include <errno.h>
#include <stdlib.h>

#include "loop.h"
#include "loopscope/gather.h"

struct shield {
	struct lsc_future future; /* first: a shield is a future */
	struct lsc_future *inner;
	struct future_waiter waiter;
};

static struct shield *shield_of(struct lsc_future *future)
{
	return container_of(future, struct shield, future);
}

static void inner_ended(struct future_waiter *waiter)
{
	struct shield *s = container_of(waiter, struct shield, waiter);

	future_take(s->inner);
	future_complete(&s->future, s->inner->result);
}

static const struct future_waiter_ops waiter_ops = {.wake = inner_ended};

static bool cancel(struct lsc_future *future)
{
	list_remove(&shield_of(future)->waiter.link);
	future_complete(future, -ECANCELED);
	return true;
}

static void release(struct lsc_future *future)
{
	struct shield *s = shield_of(future);

	list_remove(&s->waiter.link);
	lsc_unref(s->inner);
	free(s);
}

static const struct future_ops shield_ops = {.cancel = cancel, .release = release};

struct lsc_future *lsc_shield(struct lsc_future *inner)
{
	struct lsc_loop *loop = loop_thread;
	struct shield *s = loop && inner->loop == loop ? malloc(sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	future_init(&s->future, &shield_ops, loop);
	s->inner = lsc_ref(inner);
	s->waiter.ops = &waiter_ops;
	list_init(&s->waiter.link);
	if (inner->done)
		inner_ended(&s->waiter);
	else
		future_wait(inner, &s->waiter);
	return &s->future;
}
