/* SPDX-License-Identifier: MIT */
/* A task of a ring as a row of the store. */
#ifndef LSC_FEED_ROW_H
#define LSC_FEED_ROW_H

#include "ring_track.h"
#include "store.h"

struct feed_row {
	struct store_task task;
	char waiting_on[40];
};

/* Unique in a capture: a ring never reuses a number. 0 stays 0. */
static inline int64_t feed_row_id(int64_t loop, uint32_t ring_task)
{
	return ring_task ? loop << 32 | ring_task : 0;
}

/* Borrows from t. state: enum lsc_task_state or RING_STATE_UNKNOWN. */
void feed_row_fill(struct feed_row *ret_row, int64_t loop, const struct ring_task *t, int state);

#endif
