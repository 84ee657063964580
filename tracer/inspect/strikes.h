/* SPDX-License-Identifier: MIT */
/* How often something has cost a child, and until when it is left alone for that. */
#ifndef LSC_INSPECT_STRIKES_H
#define LSC_INSPECT_STRIKES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define STRIKES_REST_NS	  (30 * LSC_NS_PER_S)
#define STRIKES_DOUBLINGS 7 /* about an hour */

struct strikes {
	unsigned int count;
	uint64_t until_ns;
};

/* One more. The last of those that it may have begins a quarantine, each further one another, twice
 * as long: a child that hangs may keep its memory for as long as the target likes. */
static inline void strikes_add(struct strikes *s, unsigned int may, uint64_t now_ns)
{
	if (++s->count < may)
		return;
	unsigned int more = s->count - may;
	s->until_ns =
		now_ns + (STRIKES_REST_NS << (more < STRIKES_DOUBLINGS ? more : STRIKES_DOUBLINGS));
}

static inline bool strikes_hold(const struct strikes *s, uint64_t now_ns)
{
	return now_ns < s->until_ns;
}

#endif
