/* SPDX-License-Identifier: MIT */
/* The rings of a process, looked at for a while: how busy their loops are, and which tasks they
 * have.
 */
#ifndef LSC_RING_VIEW_H
#define LSC_RING_VIEW_H

#include "ring.h"
#include "ring_track.h"
#include "target.h"

struct ring_view {
	struct ring_view *next;
	struct ring *ring;	  /* owns */
	struct ring_track *track; /* owns */
	int pid, tid;		  /* ours */
	char comm[16];
	uint64_t begin_ns, busy_ns;
	bool broken; /* not to be trusted any more */
};

/* Opens all sound rings of a process whose threads live, in front of *list. Their snapshots are
 * asked for. */
void ring_view_open(const struct target *t, struct ring_view **list);
struct ring_view *ring_view_free(struct ring_view *list);

/* Reads what came. Bounded. */
void ring_view_read(struct ring_view *v);
/* The share of the time since the opening that the loop was busy; less than 0: unknown. */
double ring_view_utilization(const struct ring_view *v, uint64_t now);

#endif
