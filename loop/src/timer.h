/* SPDX-License-Identifier: MIT */
/*
 * Timers on a hierarchical wheel: six levels of 256 slots. A slot of the lowest level is 16 us
 * wide, one of the next as wide as the whole level below. A timer lies in the level of the highest
 * digit in which its time differs from the present one, and moves down as that time comes near;
 * so adding and removing are O(1), each timer moves at most five times, and those of one slot keep
 * the order in which they were added. The slot that is due is sorted.
 */
#ifndef LSC_LOOP_TIMER_H
#define LSC_LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_LEVELS	6u
#define TIMER_SLOT_BITS 8u
#define TIMER_SLOTS	(1u << TIMER_SLOT_BITS)

struct timer;

struct timer_ops {
	/* It is due, and off the wheel. Must not change the wheel. */
	void (*expired)(struct timer *timer);
	/* The loop ends before; NULL: nothing to release. */
	void (*dropped)(struct timer *timer);
};

struct timer {
	struct timer *next;
	struct timer **link; /* what points to it; NULL: it is in no wheel */
	uint64_t due_ns;     /* CLOCK_MONOTONIC */
	const struct timer_ops *ops;
	uint32_t slot; /* level * TIMER_SLOTS + index */
};

struct timer_slot {
	struct timer *first;
	struct timer **last; /* only while there is a first */
};

struct timer_wheel {
	uint64_t now; /* in units of the lowest level: all slots before it are empty */
	size_t count;
	uint64_t occupied[TIMER_LEVELS][TIMER_SLOTS / 64];
	struct timer_slot slots[TIMER_LEVELS * TIMER_SLOTS];
};

/* The wheel is zeroed memory. */
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);

/* The wheel borrows the timer until it has expired or is removed. */
void timer_add(struct timer_wheel *wheel, struct timer *timer);
void timer_remove(struct timer_wheel *wheel, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
	return timer->link;
}

/* When to look again: none that is not due already is due before; UINT64_MAX when there is none.
 * The deadline of the first timer, or something earlier when many lie in one slot. */
uint64_t timer_wheel_next(const struct timer_wheel *wheel);

/* Takes all timers off, and calls dropped() for each. */
void timer_wheel_drop(struct timer_wheel *wheel);

/* Takes what is due by now_ns off the wheel, and calls expired() for each: in the order of their
 * deadlines, equal ones in the order in which they were added. */
void timer_wheel_expire(struct timer_wheel *wheel, uint64_t now_ns);

#endif
