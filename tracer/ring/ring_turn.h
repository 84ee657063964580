/* SPDX-License-Identifier: MIT */
/* The tick in progress: which tasks ran in it, and for how long. */
#ifndef LSC_TRACER_RING_TURN_H
#define LSC_TRACER_RING_TURN_H

#include "ring_track.h"

struct ring_turn {
	bool open; /* its beginning was seen */
	uint64_t begin_ns, events;
	struct ring_task **ran; /* owns; the tasks are borrowed */
	size_t n, space;
	struct ring_task *longest; /* of the longest single step */
	uint64_t longest_ns;
	uint32_t number; /* in ring_task.tick of those that ran */
};

void ring_turn_begin(struct ring_turn *u, uint64_t begin_ns, uint64_t events);
/* t ran for ns. Nothing where no tick is open. -ENOMEM: it is dropped, for better no tick than one
 * without its culprits. */
int ring_turn_add(struct ring_turn *u, struct ring_task *t, uint64_t ns);
/* Tells it, with its culprits in the caller's array. */
void ring_turn_end(struct ring_turn *u, uint64_t end_ns,
		   struct ring_culprit culprits[RING_TRACK_CULPRITS], struct ring_tick *ret);
/* Nothing is said about it. */
void ring_turn_drop(struct ring_turn *u);
void ring_turn_done(struct ring_turn *u);

#endif
