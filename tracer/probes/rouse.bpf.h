/* SPDX-License-Identifier: MIT */
/*
 * User space sleeps long while nothing is going on. The sampler, which runs on every CPU anyway,
 * looks at its loops meanwhile, and wakes it up when one has been held for as long as it says.
 */
#ifndef LSC_PROBES_ROUSE_H
#define LSC_PROBES_ROUSE_H

#include "maps.bpf.h"

volatile __u64 held_ns;
volatile __u32 asleep;		       /* user space is; it is woken up once */
volatile __u32 watched[PROBE_WATCHED]; /* thread ids with slots of their own; 0 ends */

static __always_inline bool is_held(const struct thread_state *t, __u64 now)
{
	__u64 since = t->tick_ns;

	if (!since || t->off == OFF_IDLE)
		return false;
	if (t->split_used)
		since += t->split[LSC_CAUSE_RUNQUEUE];
	if (t->off == OFF_RUNQUEUE)
		since += now - t->off_ns;
	return since < now && now - since >= held_ns;
}

/* Looks at the i-th; 1 when it is the last to be looked at. */
static long rouse_by(__u32 i, __u64 *now)
{
	__u64 at = i;

	asm volatile("" : "+r"(at)); /* keeps the check on the register that is used */
	if (at >= PROBE_WATCHED)
		return 1;
	__u32 tid = watched[at], slot = tid % PROBE_SLOTS;
	struct thread_state *t = bpf_map_lookup_elem(&slots, &slot);
	if (!tid)
		return 1;
	if (!t || t->tid != tid || !is_held(t, *now))
		return 0;
	asleep = 0;
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 1; /* a ring as full as that wakes it up anyway */
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = EVENT_ROUSE;
	e->size = sizeof(*e);
	e->ts_ns = *now;
	e->tid = tid;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 1;
}

static __always_inline void rouse(__u64 now)
{
	bpf_loop(PROBE_WATCHED, rouse_by, &now, 0); /* older verifiers give up at a plain loop */
}

#endif
