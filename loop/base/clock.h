/* SPDX-License-Identifier: MIT */
/* The one clock: CLOCK_MONOTONIC in nanoseconds. */
#ifndef LSC_BASE_CLOCK_H
#define LSC_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define LSC_NS_PER_MS 1000000ull
#define LSC_NS_PER_S  1000000000ull

static inline uint64_t lsc_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* CLOCK_REALTIME, for the capture's offset to wall time. */
static inline int64_t lsc_wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * (int64_t)LSC_NS_PER_S + t.tv_nsec;
}

/* CPU time of the calling thread: what something cost, on a crowded host too. */
static inline uint64_t lsc_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* So long from now; UINT64_MAX when that is beyond all time. */
static inline uint64_t lsc_after_ns(uint64_t duration_ns)
{
	uint64_t now = lsc_now_ns();

	return duration_ns > UINT64_MAX - now ? UINT64_MAX : now + duration_ns;
}

#endif
