/* SPDX-License-Identifier: MIT */
/*
 * The distance of a CPU's scheduler clock from CLOCK_MONOTONIC, as it is known from comparisons of
 * the two: the rule by which one counts. Without the clocks themselves, which the kernel programs
 * read (thread.bpf.h).
 */
#ifndef LSC_PROBES_CLOCK_H
#define LSC_PROBES_CLOCK_H

#ifndef __bpf__
#include <stdbool.h>
#include <linux/types.h>
#endif

#define CLOCK_AGE   4000000ull /* ns; then they are compared anew */
#define CLOCK_APART 2000ll     /* the two run apart by less than that meanwhile */

/* Of one CPU. All zeros: not compared yet. */
struct cpu_clock {
	__u64 offset;	/* CLOCK_MONOTONIC less the scheduler's clock */
	__u64 compared; /* when that was found, by the latter; 0 not at all */
	__u64 seen;	/* what the last comparison found, whether or not it counts */
};

static inline __attribute__((always_inline)) bool clock_is_known(const struct cpu_clock *c,
								 __u64 clock)
{
	return clock - c->compared <= CLOCK_AGE;
}

/* It was `now` when the scheduler's clock was found to stand at `clock`. That was read a little
 * before, at the wake-up for one that has just woken up: if the way from there was long, or the
 * host took the CPU away meanwhile, what is found is too large by that time, and would put up to
 * 4 ms of what follows into the future. It counts where it is no larger than what is known, or is
 * found twice. */
static inline __attribute__((always_inline)) void clock_compare(struct cpu_clock *c, __u64 clock,
								__u64 now)
{
	__u64 offset = now - clock, seen = c->seen;
	bool known = c->compared && (__s64)(offset - c->offset) <= CLOCK_APART;

	c->seen = offset;
	if (known || offset - seen + CLOCK_APART <= 2 * CLOCK_APART) {
		c->offset = offset;
		c->compared = clock;
	}
}

#endif
