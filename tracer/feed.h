/* SPDX-License-Identifier: MIT */
/*
 * A loop's ring inside the collector: its records become tasks, waits, ticks and packed transitions.
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
struct target;

/* Looks for rings of a target that are not read yet, and opens them. */
void feed_scan(struct collector *c, struct target *t);
/* Reads what came, feeds stalls and rows. */
void feed_read(struct collector *c, struct loop *l);
/* Stores the tasks and what is left of the transitions. */
void feed_store(struct collector *c, struct loop *l);
struct feed *feed_free(struct feed *f);

/* The kernel's account of a busy period: true when the feed keeps it for the tick that its ring tells. */
bool feed_kernel_tick(struct feed *f, const struct event_stall *e);
/* Busy, idle and lag as the ring tells them. */
void feed_totals(const struct feed *f, uint64_t *ret_ticks, uint64_t *ret_busy_ns, uint64_t *ret_idle_ns,
		 const struct lsc_histogram **ret_lag);
/* For the live line. */
const struct store_task *feed_task(struct feed *f, uint32_t ring_task);
void feed_victims(struct feed *f, uint64_t begin, uint64_t end, uint64_t *ret_count, uint64_t *ret_sum,
		  uint64_t *ret_max, const char **ret_worst);

/* stall.c: a tick over the threshold that a ring told. */
void stall_from_ring(struct collector *c, struct loop *l, uint64_t begin, uint64_t end, uint32_t task,
		     const struct event_stall *kernel);

#endif
