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
#include "inspect/strikes.h"

struct target {
	int pid;	/* 0: free */
	bool ready;	/* the worker's table is as good as it gets; else it is asked for */
	bool has_table; /* the worker has one, perhaps an old one */
	uint64_t used_ns;
	struct strikes strikes; /* it cost a worker or a broker */
	struct strikes files;	/* one of its files cost indexers */
	struct strikes map;	/* its perf map cost a worker */
	uint64_t looks_ns;	/* when the second began ... */
	unsigned int looks; /* ... in which it was opened so often because of unknown addresses */
	bool in_vain;	    /* ... of which one did not help */
	uint64_t rest_ns;   /* no look before, since one did not help */
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

/* An address lies in no known mapping: it may be looked at again for that, at most TARGET_LOOKS_MAX
 * times a second. A look that finds other files, which are parsed anew, or that takes long, is the
 * last one of that second. After one that finds the address in no mapping either there is none for
 * a while: not for long, for a stack that is no good says nothing of the next one, which may be in
 * code that was made since. */
#define TARGET_LOOKS_MAX 8
#define TARGET_REST_NS	 (50 * LSC_NS_PER_MS)
bool target_look_again(struct target *t, uint64_t now_ns);
void target_look_in_vain(struct target *t, uint64_t now_ns);
void target_end_looks(struct target *t);

/* A worker or broker was lost over it. From the second time on it is quarantined. */
void target_strike(struct target *t, uint64_t now_ns);
bool target_quarantined(const struct target *t, uint64_t now_ns);

/* One of its files has cost two indexers: that costs it the names in that file (shelf.h). From the
 * eighth one on none of its files is asked about for a while. */
void target_strike_files(struct target *t, uint64_t now_ns);

/* A new worker knows no tables. */
void target_lose_tables(struct target_set *s);

#endif
