/* SPDX-License-Identifier: MIT */
/* Bounds and split of a tick. */
#include "tick.h"

#include <string.h>

#define NOTHING_NS 200000ull /* an uncertainty that nobody minds */

/* What is neither accounted for nor on the CPU clock, unless it is little. */
static uint64_t unknown(const struct event_stall *e, uint64_t little)
{
	uint64_t known = e->cpu_ns, duration = e->end_ns - e->begin_ns;

	for (int i = 0; i < PROBE_CAUSES; i++)
		known += e->split[i];
	return duration > known + little ? duration - known : 0;
}

uint64_t tick_unexplained(const struct event_stall *e)
{
	return unknown(e, TICK_CPU_SLACK_NS);
}

uint64_t tick_taken(const struct event_stall *e)
{
	return e->precise || e->exited ? 0 : unknown(e, NOTHING_NS);
}

void tick_bounds(const struct event_stall *e, uint64_t prelude, uint64_t *ret_begin,
		 uint64_t *ret_duration)
{
	uint64_t high = e->end_ns - e->begin_ns, low = e->low_ns, rest = high - low;
	/* A tick that computes is noticed at half the threshold, so most of it is certain; one that
	 * blocks may follow many others, but something mostly led to the block. */
	uint64_t may_be = e->certain_ns < low / 2 ? low / 4 : low / 16;

	if (e->certain_ns >= low / 2 && may_be > prelude)
		may_be = prelude;
	if (rest <= may_be || rest <= NOTHING_NS) {
		*ret_begin = e->begin_ns;
		*ret_duration = high;
		return;
	}
	/* either the longest time off the CPU, or all from some time on */
	*ret_begin = low > e->certain_ns ? e->end_ns - low : e->certain_start_ns;
	*ret_duration = low;
}

enum lsc_cause tick_top_cause(const uint64_t split[LSC_CAUSE_COUNT])
{
	int top = 0;

	for (int i = 1; i < LSC_CAUSE_COUNT; i++)
		if (split[i] > split[top])
			top = i;
	return (enum lsc_cause)top;
}

enum lsc_cause tick_own_cause(const uint64_t split[LSC_CAUSE_COUNT])
{
	uint64_t own[LSC_CAUSE_COUNT];

	memcpy(own, split, sizeof(own));
	own[LSC_CAUSE_RUNQUEUE] = own[LSC_CAUSE_THROTTLED] = own[LSC_CAUSE_STEAL] = 0;
	enum lsc_cause top = tick_top_cause(own);
	return own[top] ? top : tick_top_cause(split);
}

uint64_t tick_unknown(const uint64_t split[LSC_CAUSE_COUNT], uint64_t duration, uint64_t cpu)
{
	uint64_t known = cpu;

	for (int i = 0; i < LSC_CAUSE_COUNT; i++)
		known += split[i];
	return duration > known ? duration - known : 0;
}

static void cut(uint64_t *part, uint64_t *over)
{
	uint64_t n = *over < *part ? *over : *part;

	*part -= n;
	*over -= n;
}

void tick_split_close(uint64_t split[LSC_CAUSE_COUNT], uint64_t duration, uint64_t samples_user,
		      uint64_t samples_kernel)
{
	uint64_t sum = 0, in_kernel = 0;

	for (int i = 0; i < LSC_CAUSE_COUNT; i++)
		sum += split[i];
	if (sum > duration) {
		uint64_t over = sum - duration;
		int top = (int)tick_top_cause(split);
		if (top != LSC_CAUSE_RUNQUEUE)
			cut(&split[LSC_CAUSE_RUNQUEUE], &over);
		for (int i = 0; i < LSC_CAUSE_COUNT; i++)
			if (i != top)
				cut(&split[i], &over);
		cut(&split[top], &over);
		return;
	}
	uint64_t cpu = duration - sum;
	if (samples_user + samples_kernel)
		in_kernel = (uint64_t)((double)cpu * (double)samples_kernel /
				       (double)(samples_user + samples_kernel));
	split[LSC_CAUSE_CPU_KERNEL] += in_kernel;
	split[LSC_CAUSE_CPU_USER] += cpu - in_kernel;
}
