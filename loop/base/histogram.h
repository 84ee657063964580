/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of durations in ns: 8 linear steps per power of two (at most 12.5 % wide),
 * exact below 16. Mergeable by adding counts. The indexing is a static inline so that BPF programs
 * can share it.
 */
#ifndef LSC_BASE_HISTOGRAM_H
#define LSC_BASE_HISTOGRAM_H

#ifndef __bpf__
#include <stdint.h>
#else
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#endif

#define LSC_HIST_SUB_BITS 3
#define LSC_HIST_SLOTS	  304 /* up to 2^40 ns (18 min); larger values count in the last slot */

struct lsc_histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint32_t slot[LSC_HIST_SLOTS];
};

static inline uint32_t lsc_hist_index(uint64_t ns)
{
	if (ns < (1u << (LSC_HIST_SUB_BITS + 1)))
		return (uint32_t)ns;
	uint32_t e = 63;
#ifdef __bpf__
	e = 0;
	uint64_t v = ns;
	if (v >> 32) {
		e += 32;
		v >>= 32;
	}
	if (v >> 16) {
		e += 16;
		v >>= 16;
	}
	if (v >> 8) {
		e += 8;
		v >>= 8;
	}
	if (v >> 4) {
		e += 4;
		v >>= 4;
	}
	if (v >> 2) {
		e += 2;
		v >>= 2;
	}
	if (v >> 1)
		e += 1;
#else
	e -= (uint32_t)__builtin_clzll(ns);
#endif
	uint32_t i = ((e - LSC_HIST_SUB_BITS) << LSC_HIST_SUB_BITS) +
		     (uint32_t)(ns >> (e - LSC_HIST_SUB_BITS));
	return i < LSC_HIST_SLOTS ? i : LSC_HIST_SLOTS - 1;
}

#ifndef __bpf__
void lsc_hist_add(struct lsc_histogram *h, uint64_t ns);
void lsc_hist_merge(struct lsc_histogram *h, const struct lsc_histogram *from);
/* The upper bound of the slot that holds quantile q (0..1), at most max_ns; 0 when empty. */
uint64_t lsc_hist_quantile(const struct lsc_histogram *h, double q);
/* The smallest value that counts in slot i. */
uint64_t lsc_hist_slot_low(uint32_t i);
#endif

#endif
