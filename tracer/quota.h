/* SPDX-License-Identifier: MIT */
/*
 * So many at once, and then one more each so often: a bucket that leaks. Pure arithmetic on times
 * that may lie near 0, since CLOCK_MONOTONIC starts with the host.
 */
#ifndef LSC_QUOTA_H
#define LSC_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct quota {
	uint64_t paid_ns; /* when all that was taken will be made up for; zero: nothing was taken */
};

static inline bool quota_has_room(const struct quota *q, uint64_t now, uint64_t most,
				  uint64_t each_ns)
{
	return q->paid_ns <= now || q->paid_ns - now <= (most - 1) * each_ns;
}

static inline void quota_take(struct quota *q, uint64_t now, uint64_t each_ns)
{
	q->paid_ns = (q->paid_ns > now ? q->paid_ns : now) + each_ns;
}

#endif
