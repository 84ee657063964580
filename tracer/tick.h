/* SPDX-License-Identifier: MIT */
/*
 * What the kernel side's account of a busy period says about one tick: pure arithmetic, no state.
 * docs/architecture.md, "Time and precision".
 */
#ifndef LSC_TICK_H
#define LSC_TICK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cause.h"
#include "event.h"

/* Both clocks of a thread may be a scheduler tick apart at either end (4 ms at 250 Hz). */
#define TICK_CPU_SLACK_NS 8000000ull
/* Busy time before a block that is taken for the same tick's; of a loop that rests, which seldom
 * has two ticks in a row without sleeping between them. */
#define TICK_PRELUDE_NS	      5000000ull
#define TICK_PRELUDE_RESTS_NS 20000000ull

/* Time that is neither accounted for nor spent on the CPU, 0 within the clocks' slack: the kernel
 * side was not called for some switch, so the tick may not be one. */
uint64_t tick_unexplained(const struct event_stall *e);

/* The same to the last, of a tick that ended in a sleep, for there the CPU clock is exact: what
 * interrupts and the hypervisor took is not on that clock. 0 where the tick ended otherwise. */
uint64_t tick_taken(const struct event_stall *e);

/* Begin and length of the tick within the busy period of e, of which e->low_ns is certain: all of
 * it, unless the rest is long against the certain part and may have been other ticks. prelude: so
 * many ns before a block may well be the same tick's. */
void tick_bounds(const struct event_stall *e, uint64_t prelude, uint64_t *ret_begin,
		 uint64_t *ret_duration);

/* What is left of the duration when split and at most cpu are taken off. */
uint64_t tick_unknown(const uint64_t split[LSC_CAUSE_COUNT], uint64_t duration, uint64_t cpu);

/* Makes split sum to duration: what is missing was spent on the CPU, in the modes of the samples;
 * what is too much lay outside, and is taken from the run queue and the smaller parts first. */
void tick_split_close(uint64_t split[LSC_CAUSE_COUNT], uint64_t duration, uint64_t samples_user,
		      uint64_t samples_kernel);

/* The cause with the largest part. */
enum lsc_cause tick_top_cause(const uint64_t split[LSC_CAUSE_COUNT]);

/* The same of what the thread itself did: the host's parts (run queue, throttled, steal) count only
 * where there is nothing else. */
enum lsc_cause tick_own_cause(const uint64_t split[LSC_CAUSE_COUNT]);

#endif
