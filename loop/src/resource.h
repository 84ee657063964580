/* SPDX-License-Identifier: MIT */
/* What outlives the tasks that made it - a stream that still flushes, a child not yet reaped - and
 * ends with the loop at the latest. */
#ifndef LSC_LOOP_RESOURCE_H
#define LSC_LOOP_RESOURCE_H

#include "list.h"

struct resource {
	struct list link; /* in lsc_loop.resources */
	/* The loop ends, and no task is left: end at once, and leave the list. */
	void (*close)(struct resource *resource);
};

static inline void resource_close_all(struct list *resources)
{
	while (!list_empty(resources)) {
		struct resource *r = container_of(resources->next, struct resource, link);

		r->close(r);
	}
}

#endif
