/* SPDX-License-Identifier: MIT */
/*
 * Many futures as one, in the meaning of asyncio.gather(). The gather holds a reference of each
 * member, and takes its waiters back when it is released: members that never end do not keep it.
 */
#include "future.h"

#include <errno.h>
#include <stdlib.h>

#include "cancel.h"
#include "loop.h"
#include "loopscope/gather.h"
#include "loopscope/wire.h"

struct member {
	struct future_waiter waiter;
	struct gather *gather;
	struct lsc_future *future;
};

struct gather {
	struct lsc_future future; /* first: a gather is a future */
	size_t count;
	size_t pending; /* members that have not ended */
	bool all;	/* LSC_GATHER_ALL */
	bool cancelled;
	struct cancel_frame frame;
	struct member members[];
};

static struct gather *gather_of(const struct lsc_future *future)
{
	return container_of(future, struct gather, future);
}

static struct cancel_frame *gather_begin_cancel(struct lsc_future *future)
{
	struct gather *g = gather_of(future);

	g->cancelled = true; /* ahead of members that end at once */
	return &g->frame;
}

static struct lsc_future *gather_member(struct lsc_future *future, size_t i)
{
	struct gather *g = gather_of(future);

	return i < g->count ? g->members[i].future : NULL;
}

static void gather_release(struct lsc_future *future)
{
	struct gather *g = gather_of(future);

	for (size_t i = 0; i < g->count; i++) {
		list_remove(&g->members[i].waiter.link);
		lsc_unref(g->members[i].future);
	}
	free(g);
}

static uint8_t gather_wait_kind(const struct lsc_future *future, uint64_t *ret_detail)
{
	*ret_detail = gather_of(future)->count;
	return LSC_WAIT_GROUP;
}

static const struct future_ops gather_ops = {
	.cancel = cancel_walk,
	.begin_cancel = gather_begin_cancel,
	.member = gather_member,
	.release = gather_release,
	.wait_kind = gather_wait_kind,
};

static void end_if_decided(struct gather *g, int latest)
{
	if (g->future.done)
		return;
	if (g->pending == 0)
		future_complete(&g->future, g->cancelled	   ? -ECANCELED
					    : g->all || latest > 0 ? 0
								   : latest);
	else if (latest < 0 && !g->all && !g->cancelled)
		future_complete(&g->future, latest);
}

static void member_ended(struct future_waiter *waiter)
{
	struct member *m = container_of(waiter, struct member, waiter);
	struct gather *g = m->gather;

	g->pending--;
	future_take(m->future);
	end_if_decided(g, m->future->result);
}

static const struct future_waiter_ops waiter_ops = {.wake = member_ended};

struct lsc_future *lsc_gather(struct lsc_future *const *members, size_t n, unsigned flags)
{
	struct lsc_loop *loop = loop_thread;

	for (size_t i = 0; i < n; i++)
		if (members[i]->loop != loop)
			return NULL;
	if (!loop || n > (SIZE_MAX - sizeof(struct gather)) / sizeof(struct member))
		return NULL;
	struct gather *g = malloc(sizeof(*g) + n * sizeof(struct member));
	if (!g)
		return NULL;
	*g = (struct gather){.count = n, .all = flags & LSC_GATHER_ALL};
	future_init(&g->future, &gather_ops, loop);
	int failed = 0;
	for (size_t i = 0; i < n; i++) {
		struct member *m = &g->members[i];

		*m = (struct member){.waiter.ops = &waiter_ops, .gather = g};
		m->future = lsc_ref(members[i]);
		list_init(&m->waiter.link);
		if (m->future->done) {
			if (m->future->result < 0 && failed == 0)
				failed = m->future->result;
			continue;
		}
		g->pending++;
		future_wait(m->future, &m->waiter);
	}
	end_if_decided(g, failed);
	return &g->future;
}

int lsc_gather_results(const struct lsc_future *gather, int *ret_results, size_t n)
{
	if (gather->ops != &gather_ops)
		return -EINVAL;
	const struct gather *g = gather_of(gather);
	if (g->pending > 0)
		return -EAGAIN;
	if (n < g->count)
		return -ENOSPC;
	for (size_t i = 0; i < g->count; i++)
		ret_results[i] = g->members[i].future->result;
	return (int)g->count;
}
