/* SPDX-License-Identifier: MIT */
/*
 * Timers on a hierarchical wheel: six levels of 256 slots. A slot of the lowest level is 16 us
 * wide, one of the next as wide as the whole level below. A timer lies in the level of the highest
 * digit in which its time differs from the present one, and moves down as that time comes near; so
 * adding and removing are O(1), and each timer moves at most five times. The slot that is due is
 * sorted.
 *
 * A slot is eight lists, used in turn: a list can only be followed one step after the other, each a
 * miss in the cache when there are many timers; eight are followed at once.
 */
#ifndef LSC_LOOP_TIMER_H
#define LSC_LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job.h"

#define TIMER_LEVELS	6u
#define TIMER_SLOT_BITS 8u
#define TIMER_SLOTS	(1u << TIMER_SLOT_BITS)
#define TIMER_LISTS	8u

/* What of a timer is due goes to the loop as a job: that is linked in the wheel before, in the
 * ready queue then. */
struct timer {
	struct job job;	 /* ops->run: at its turn; ops->drop: the loop ends before */
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	uint32_t order;	 /* of those with equal deadlines, modulo 2^32 */
	uint16_t slot;	 /* level * TIMER_SLOTS + index; while it is on the wheel */
	bool on_wheel : 1;
	bool queued : 1;
	bool direct : 1; /* run at once when it is due, without a turn: may only unpark */
};

struct timer_list {
	struct job *first;
	struct job **last; /* only while there is a first */
};

struct timer_wheel {
	uint64_t now; /* in units of the lowest level: all slots before it are empty */
	uint64_t
		seen; /* of the last expiry, which may have left some: what is added follows them */
	uint64_t begin;	  /* in the same units: all slots before it are empty, too */
	uint64_t next_ns; /* what timer_wheel_next() says; 0: that is to be found out */
	size_t count;
	uint32_t added;
	uint64_t occupied[TIMER_LEVELS][TIMER_SLOTS / 64];
	struct timer_list slots[TIMER_LEVELS * TIMER_SLOTS][TIMER_LISTS];
};

/* The wheel is zeroed memory. */
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);

/* The wheel borrows the timer until it has expired or is removed. One whose time was over at the
 * last expiry counts as due then: those that are always due do not keep back the others. */
void timer_add(struct timer_wheel *wheel, struct timer *timer);
void timer_remove(struct timer_wheel *wheel, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
	return timer->on_wheel || timer->queued;
}

/* When to look again: none that is not due already is due before; UINT64_MAX when there is none.
 * The deadline of the first timer, or something earlier when many lie in one slot. */
uint64_t timer_wheel_next(struct timer_wheel *wheel);

/* Takes all timers off, and drops them. */
void timer_wheel_drop(struct timer_wheel *wheel);

/* Takes what is due by now_ns off the wheel, and appends it to queue (or runs it, if direct): in
 * the order of their deadlines, equal ones in the order in which they were added. A slot at a time,
 * until there are max. True when more may be due. */
bool timer_wheel_expire(struct timer_wheel *wheel, uint64_t now_ns, size_t max,
			struct job_queue *queue);

#endif
