/* SPDX-License-Identifier: MIT */
/* From the clock of a ring's records to CLOCK_MONOTONIC ns: one line through the pair of both
 * clocks that the header gives and a pair taken now. */
#ifndef LSC_TRACER_RING_CLOCK_H
#define LSC_TRACER_RING_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct ring_clock {
	bool tsc;
	uint64_t tsc0, mono0; /* the target's pair */
	uint64_t tsc1, mono1; /* ours, the anchor; mono1 0: not calibrated */
};

/* 0; -EPROTO: an unknown clock, one that this machine lacks, or a start in the future. */
int ring_clock_init(struct ring_clock *c, uint32_t clock, uint64_t tsc0, uint64_t mono0);
/* Takes a new pair if the last is old. 0; -EAGAIN while the two pairs are too close for a rate;
 * -EPROTO when the rate is absurd. */
int ring_clock_calibrate(struct ring_clock *c);
/* 0 and writes *ret_ns; -ERANGE when the time lies well before the ring's start or after now_ns. */
int ring_clock_convert(const struct ring_clock *c, uint64_t time, uint64_t now_ns,
		       uint64_t *ret_ns);

#endif
