/* SPDX-License-Identifier: MIT */
/* The core of every future: its end, who waits for it, its references. Tasks and gathers build on
 * it. */
#ifndef LSC_LOOP_FUTURE_H
#define LSC_LOOP_FUTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "loopscope/future.h"

struct task;

/* In a future that stands for others: where a request to end is among them. */
struct cancel_frame {
	struct lsc_future *outer; /* the one around it on the request's way; NULL: none */
	struct task *path;	  /* the tasks on the way to it */
	size_t next;		  /* member */
	uint64_t round;		  /* lsc_loop.cancel_round when it was last asked */
	bool active;
};

/* Variants of a future; NULL means the plain behaviour. */
struct future_ops {
	/* Asks a pending one to end; false when it will not. Plain: ends it with -ECANCELED. */
	bool (*cancel)(struct lsc_future *future);
	/* Of one that stands for others, which a request to end is for: notes that, and returns
	 * room for its way. NULL: it stands for none. */
	struct cancel_frame *(*begin_cancel)(struct lsc_future *future);
	/* Of the same: member number i, NULL behind the last. */
	struct lsc_future *(*member)(struct lsc_future *future, size_t i);
	/* Releases the object that holds the future; no reference is left. Plain: free(). */
	void (*release)(struct lsc_future *future);
	/* What a task that awaits it waits for: enum lsc_wait_kind and its detail. Plain: FUTURE,
	 * 0. */
	uint8_t (*wait_kind)(const struct lsc_future *future, uint64_t *ret_detail);
};

struct lsc_future {
	const struct future_ops *ops;
	struct lsc_loop *loop;
	struct list waiters; /* struct future_waiter, in order of arrival */
	uint32_t refs;
	int result;
	bool done;
	bool taken; /* somebody has seen how it ended */
};

struct future_waiter;

struct future_waiter_ops {
	/* The future has ended; the waiter is off its list. Once. */
	void (*wake)(struct future_waiter *waiter);
	/* The future is released without having ended. Only for those that hold no reference. */
	void (*forget)(struct future_waiter *waiter);
};

/* Owned by who waits. */
struct future_waiter {
	struct list link;
	const struct future_waiter_ops *ops;
};

void future_init(struct lsc_future *future, const struct future_ops *ops, struct lsc_loop *loop);
void future_complete(struct lsc_future *future, int result);
/* False when it had ended, or will not. */
bool future_cancel(struct lsc_future *future);
/* Who waits must hold a reference, or can forget. */
void future_wait(struct lsc_future *future, struct future_waiter *waiter);

/* Its result, which somebody sees now. */
static inline int future_take(struct lsc_future *future)
{
	future->taken = true;
	return future->result;
}

#endif
