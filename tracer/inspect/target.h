/* SPDX-License-Identifier: MIT */
/*
 * What the collector remembers of each inspected process: whether the present worker has its table,
 * and its strikes. Targets that hang or kill workers are left alone for a while, so that they
 * cannot starve the others.
 */
#ifndef LSC_INSPECT_TARGET_H
#define LSC_INSPECT_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "inspect/message.h"

struct target {
	int pid;	/* 0: free */
	bool ready;	/* the worker's table is as good as it gets; else it is asked for */
	bool has_table; /* the worker has one, perhaps an old one */
	unsigned int strikes;
	uint64_t used_ns, opened_ns, quarantine_ns;
};

/* The place in the array is the worker's slot. */
struct target_set {
	struct target targets[MESSAGE_SLOTS];
};

/* NULL: not known. */
struct target *target_find(struct target_set *s, int pid);
/* Finds or makes one, in the place of the one that was used longest ago. Not during an activity. */
struct target *target_get(struct target_set *s, int pid, uint64_t now_ns);
uint32_t target_slot(const struct target_set *s, const struct target *t);

/* A worker or broker was lost over it. From the second time on it is quarantined, each time for
 * twice as long: a worker that hangs in its memory may keep its own for as long as the target
 * likes. */
void target_strike(struct target *t, uint64_t now_ns);
bool target_quarantined(const struct target *t, uint64_t now_ns);

/* A new worker knows no tables. */
void target_lose_tables(struct target_set *s);

#endif
