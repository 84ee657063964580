/* SPDX-License-Identifier: MIT */
/* A call that the loop makes outside of any task: soon, or at a time. Lies in its owner's memory.
 */
#ifndef LSC_LOOP_CALL_H
#define LSC_LOOP_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "timer.h"

struct lsc_loop;

struct call {
	struct timer timer;
	struct lsc_loop *loop;
};

/* ops->run may release it, or set it again, once it has called call_begin(). */
static inline void call_init(struct call *call, const struct job_ops *ops, struct lsc_loop *loop)
{
	*call = (struct call){.timer.job.ops = ops, .loop = loop};
}

/* The call of a job that runs, or is dropped: it is set no longer. */
struct call *call_begin(struct job *job);

/* Each sets a call that is not set. */
void call_soon(struct call *call);
void call_at(struct call *call, uint64_t when_ns);

static inline bool call_is_set(const struct call *call)
{
	return timer_is_set(&call->timer);
}

/* Takes it back; false when it was not set. */
bool call_cancel(struct call *call);

#endif
