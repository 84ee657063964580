/* SPDX-License-Identifier: MIT */
/* A call that the loop makes outside of any task: soon, or at a time. Lies in its owner's memory.
 */
#ifndef LSC_LOOP_CALL_H
#define LSC_LOOP_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "job.h"
#include "timer.h"

struct lsc_loop;
struct call;

struct call_ops {
	void (*run)(struct call *call);	 /* may release it, or set it again */
	void (*drop)(struct call *call); /* the loop ends before; NULL: nothing to release */
};

struct call {
	struct job job;
	struct timer timer;
	const struct call_ops *ops;
	struct lsc_loop *loop;
	bool queued; /* its job is in a queue of the loop */
};

void call_init(struct call *call, const struct call_ops *ops, struct lsc_loop *loop);

/* Each sets a call that is not set. */
void call_soon(struct call *call);
void call_at(struct call *call, uint64_t when_ns);

static inline bool call_is_set(const struct call *call)
{
	return call->queued || timer_is_set(&call->timer);
}

/* Takes it back; false when it was not set. */
bool call_cancel(struct call *call);

#endif
