/* SPDX-License-Identifier: MIT */
/* A binary heap of timers, the earliest first; equal deadlines keep the order in which they were
 * set. */
#ifndef LSC_LOOP_TIMER_H
#define LSC_LOOP_TIMER_H

#include <stddef.h>
#include <stdint.h>

struct timer {
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	uint64_t order;	 /* set by timer_heap_push() */
	size_t at;	 /* index in the heap */
};

struct timer_heap {
	struct timer **slots;
	size_t count;
	size_t room;
	uint64_t pushed;
};

/* 0 or -ENOMEM; the heap borrows the timer until it is popped or removed. */
int timer_heap_push(struct timer_heap *heap, struct timer *timer);
/* The earliest, or NULL. */
struct timer *timer_heap_first(const struct timer_heap *heap);
void timer_heap_remove(struct timer_heap *heap, struct timer *timer);
void timer_heap_done(struct timer_heap *heap);

#endif
