/* SPDX-License-Identifier: MIT */
/* Calibration and conversion of record times. Both values of the first pair come from the target
 * and may be lies: a plausible lie shifts the target's own times and nothing else. */
#include "ring_clock.h"

#include <errno.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/clock.h"
#include "loopscope/wire.h"

#define APART_NS   (10 * LSC_NS_PER_MS) /* a pair is good to 100 ns: 10 ppm */
#define REFRESH_NS LSC_NS_PER_S
#define SLACK_NS   (10 * LSC_NS_PER_MS) /* how far a time may lie outside what is possible */

#if defined(__x86_64__)
#define HAVE_TSC 1
static uint64_t read_tsc(void)
{
	return __rdtsc();
}
#else
#define HAVE_TSC 0
static uint64_t read_tsc(void)
{
	return 0;
}
#endif

int ring_clock_init(struct ring_clock *c, uint32_t clock, uint64_t tsc0, uint64_t mono0)
{
	*c = (struct ring_clock){.tsc = clock == LSC_CLOCK_TSC, .tsc0 = tsc0, .mono0 = mono0};
	if (clock != LSC_CLOCK_MONOTONIC && !(c->tsc && HAVE_TSC))
		return -EPROTO;
	return mono0 <= lsc_now_ns() ? 0 : -EPROTO;
}

/* Of five tries the tightest. */
static void take_pair(struct ring_clock *c)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t before = read_tsc(), mono = lsc_now_ns(), took = read_tsc() - before;
		if (took >= best)
			continue;
		best = took;
		c->tsc1 = before + took / 2;
		c->mono1 = mono;
	}
}

int ring_clock_calibrate(struct ring_clock *c)
{
	uint64_t now = lsc_now_ns();

	if (!c->tsc || (c->mono1 && now - c->mono1 < REFRESH_NS))
		return 0;
	if (now < c->mono0 + APART_NS)
		return -EAGAIN;
	take_pair(c);
	uint64_t ticks = c->tsc1 - c->tsc0, ns = c->mono1 - c->mono0;
	return c->tsc1 > c->tsc0 && ticks / 10 <= ns && ticks >= ns / 10 ? 0 : -EPROTO;
}

int ring_clock_convert(const struct ring_clock *c, uint64_t time, uint64_t now_ns, uint64_t *ret_ns)
{
	__int128 ns = time;

	if (c->tsc) {
		__int128 ticks = (__int128)time - c->tsc1;
		ns = (__int128)c->mono1 +
		     ticks * (__int128)(c->mono1 - c->mono0) / (__int128)(c->tsc1 - c->tsc0);
	}
	if (ns < 0 || ns + (__int128)SLACK_NS < (__int128)c->mono0 ||
	    ns > (__int128)now_ns + (__int128)SLACK_NS)
		return -ERANGE;
	*ret_ns = ns < (__int128)now_ns ? (uint64_t)ns : now_ns;
	return 0;
}
