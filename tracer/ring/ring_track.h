/* SPDX-License-Identifier: MIT */
/*
 * Rebuilds the tasks of a loop from its records: who exists, who runs, who waits for what, how long
 * each waited to run. A pure state machine: fed with records, it answers through callbacks. Behind
 * a gap all is unknown until it is seen again: no step, wait or tick that spans one is ever
 * reported.
 */
#ifndef LSC_TRACER_RING_TRACK_H
#define LSC_TRACER_RING_TRACK_H

#include <uthash.h>

#include "base/histogram.h"
#include "ring.h"
#include "ring_site.h"

#define RING_TRACK_MAX_TASKS 1000000
#define RING_TRACK_CULPRITS  16

#define RING_STATE_UNKNOWN (-1) /* next to enum lsc_task_state */

struct ring_task {
	uint32_t id;
	uint32_t parent;	      /* 0 none or unknown; may have ended */
	char *name;		      /* owns; NULL unknown */
	const struct ring_site *site; /* NULL unknown */
	int state;		      /* enum lsc_task_state or RING_STATE_UNKNOWN */
	uint16_t wait_kind;	      /* of a suspended task: enum lsc_wait_kind, or a later one */
	uint64_t wait_detail;	      /* see LSC_WAIT_*; 0 unknown */
	uint64_t created_ns, ended_ns, cancel_ns; /* 0 unknown or not yet */
	uint64_t steps, run_ns, max_step_ns;
	struct lsc_histogram *ready_wait; /* owns; NULL: none seen yet */
	void *user;			  /* of the caller */

	/* the tracker's own */
	uint64_t since_ns;	 /* in this state; 0 unknown */
	uint64_t tick_ns;	 /* its steps in this tick */
	uint64_t last_index;	 /* of the record that named it last */
	uint32_t epoch;		 /* state is of this stretch without a gap */
	uint32_t tick, snapshot; /* when it was last met */
	struct ring_task *next_dead;
	UT_hash_handle hh;
};

struct ring_culprit {
	const struct ring_task *task;
	uint64_t ns;
};

struct ring_tick {
	uint64_t begin_ns, end_ns;
	uint64_t events;		     /* that the wait before it returned */
	const struct ring_culprit *culprits; /* longest first; at most RING_TRACK_CULPRITS */
	size_t nculprits;
	size_t ntasks;			 /* that ran in it */
	const struct ring_task *longest; /* of the longest single step; NULL: none ran */
	uint64_t longest_ns;
};

/* All are optional. Tasks are lent; they live until task_gone returns (a tick's until the tick
 * callback does). */
struct ring_track_ops {
	/* A task became known, or more of it did (its name, behind a gap): may come again for the
	 * same task. */
	void (*task_new)(struct ring_task *t, bool snapshot, void *arg);
	void (*task_state)(struct ring_task *t, uint64_t ns, void *arg);
	void (*step)(struct ring_task *t, uint64_t begin_ns, uint64_t end_ns, void *arg);
	void (*ready_wait)(struct ring_task *t, uint64_t ready_ns, uint64_t run_ns, void *arg);
	/* It ended, or (ended_ns 0, state unknown) a snapshot no longer names it. */
	void (*task_gone)(struct ring_task *t, void *arg);
	void (*tick)(const struct ring_tick *tick, void *arg);
	/* What the application said, in the step of t (NULL: between steps, or unknown). The text
	 * is not NUL-terminated; NULL: none, or it was lost. */
	void (*mark)(struct ring_task *t, uint64_t ns, const char *text, size_t size, void *arg);
	void (*counter)(struct ring_task *t, uint64_t ns, const char *name, size_t size,
			int64_t value, void *arg);
	/* Records were lost: what is known ends here. A snapshot would help. */
	void (*gap)(void *arg);
};

struct ring_track_stats {
	uint64_t ticks, gaps;
	uint64_t refused; /* records of tasks or sites beyond the bounds, or without memory */
	uint64_t odd;	  /* records that contradict those before them */
};

struct ring_track;

/* Gives a tracker, NULL out of memory. ops is borrowed for its life. */
struct ring_track *ring_track_new(const struct ring_track_ops *ops, void *arg);
/* NULL is fine. Returns NULL. Calls nothing back. */
struct ring_track *ring_track_free(struct ring_track *k);
void ring_track_feed(struct ring_track *k, const struct ring_record *record);

/* A live task, or NULL. */
struct ring_task *ring_track_find(struct ring_track *k, uint32_t id);
/* Calls fn for each live task until it answers non-zero (returned). */
typedef int ring_task_fn(struct ring_task *t, void *arg);
int ring_track_each(struct ring_track *k, ring_task_fn *fn, void *arg);
/* Calls fn for each site that was told of until it answers non-zero (returned). */
typedef int ring_site_fn(struct ring_site *s, void *arg);
int ring_track_each_site(struct ring_track *k, ring_site_fn *fn, void *arg);
/* Whether the loop is in a tick by the records so far, since when, and which task runs (0: none, or
 * unknown). */
bool ring_track_in_tick(const struct ring_track *k, uint64_t *ret_begin_ns, uint32_t *ret_task);
size_t ring_track_count(const struct ring_track *k);
/* The task's state now: unknown when a gap lies behind what was seen of it last. */
int ring_track_state(const struct ring_track *k, const struct ring_task *t);
struct ring_track_stats ring_track_stats(const struct ring_track *k);

#endif
