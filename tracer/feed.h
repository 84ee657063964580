/* SPDX-License-Identifier: MIT */
/*
 * A loop's ring inside the collector: its records become tasks, waits, ticks and packed
 * transitions. What a ring holds from before the capture helps to know the tasks, and is not
 * stored.
 */
#ifndef LSC_FEED_H
#define LSC_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "store.h"

struct collector;
struct feed;
struct loop;
struct ring;

/* Takes the ring of the loop's thread. NULL out of memory: it is the caller's still. */
struct feed *feed_new(struct collector *c, struct loop *l, struct ring *ring);
/* Which ring it is. */
uint64_t feed_inode(const struct feed *f);
/* Reads what came: waits and transitions to the store, long ticks to stall.c. Bounded. */
void feed_read(struct collector *c, struct loop *l);
/* Stores the transitions so far and the tasks that are not stored yet. */
void feed_store(struct collector *c, struct loop *l);
/* Reads to the end, stores all, closes the ledger. Once. */
void feed_end(struct collector *c, struct loop *l);
/* Without storing anything. NULL is fine. Returns NULL. */
struct feed *feed_free(struct feed *f);

/* The kernel's account of a busy period: true when the feed keeps it for the tick that its ring
 * tells, or gives it to stall_from_account() when it tells none. */
bool feed_kernel_tick(struct feed *f, const struct event_stall *e);
/* Whether the loop is in a tick, as far as its ring was read, since when, and whose step (0
 * unknown). */
bool feed_tick(const struct feed *f, uint64_t *ret_begin_ns, uint32_t *ret_task);
/* The capture ends, and the thread goes on, of which the kernel side knows nothing. */
void feed_goes_on(struct feed *f, uint64_t now_ns);
/* Busy time of which the ring does not tell, and the kernel's account is unsure. */
uint64_t feed_unsure_ns(const struct feed *f);
/* Busy, idle and lag as the ring tells them. ret_lag is borrowed from f. */
void feed_totals(const struct feed *f, uint64_t *ret_ticks, uint64_t *ret_busy_ns,
		 uint64_t *ret_idle_ns, const struct lsc_histogram **ret_lag);
/* "loopscope", ...: what the ring says of itself; hostile bytes. Borrowed from f. */
const char *feed_runtime(const struct feed *f);

/* For the live line: a task that lives, borrowed until the next call, or NULL; and who waited. */
const struct store_task *feed_task(struct feed *f, uint32_t ring_task);
struct feed_victims {
	uint64_t count[3]; /* by enum store_wait_kind */
	uint64_t sum_ns, max_ns;
	const char *worst; /* name of the one that waited longest; borrowed from f, NULL unknown */
};
/* Its latest mark from begin_ns to end_ns; borrowed from f. NULL none. */
const char *feed_mark(const struct feed *f, uint64_t begin_ns, uint64_t end_ns, uint64_t *ret_ns);
struct feed_victims feed_victims(const struct feed *f, uint64_t begin_ns, uint64_t end_ns);

#endif
