/* SPDX-License-Identifier: MIT */
/*
 * The watch on ourselves: what the kernel programs and the collector cost, measured now and then,
 * and detail left out step by step while that is over the limit. docs/architecture.md, "Overhead".
 */
#ifndef LSC_OVERHEAD_H
#define LSC_OVERHEAD_H

#include <stdint.h>

struct collector;
struct overhead;

/* limit: a share of one CPU. Gives *ret_overhead; -ENOMEM. */
int overhead_new(struct collector *c, double limit, struct overhead **ret_overhead);
/* NULL is fine. Returns NULL. */
struct overhead *overhead_free(struct overhead *o);

/* Measures when it is time, and takes a step when it must. */
void overhead_steer(struct overhead *o, uint64_t now);
/* When overhead_steer() has something to do; UINT64_MAX: never. */
uint64_t overhead_deadline_ns(const struct overhead *o);
/* No more is measured: the kernel programs are about to go. */
void overhead_stop(struct overhead *o, uint64_t now);
/* Stores what the capture cost; overhead_stop() came before. */
void overhead_put(const struct overhead *o);

#endif
