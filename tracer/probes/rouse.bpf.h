/* SPDX-License-Identifier: MIT */
/*
 * While all loops idle, user space sleeps. The first that begins a tick wakes it up: from then on
 * it looks at them every few ms.
 *
 * User space says that it sleeps, and then looks whether all idle; a loop says that it does not, and
 * then looks whether user space sleeps. So at least one of them sees the other, if neither's look
 * passes its own word by: each has a full barrier in between (tests/tracer/test_rouse.c).
 */
#ifndef LSC_PROBES_ROUSE_H
#define LSC_PROBES_ROUSE_H

#include "maps.bpf.h"

volatile __u32 asleep; /* user space is; it is woken up once */

__noinline int rouse(__u64 now, __u32 tid)
{
	asleep = 0;
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0; /* a ring as full as that wakes it up anyway */
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = EVENT_ROUSE;
	e->size = sizeof(*e);
	e->ts_ns = now;
	e->tid = tid;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

#endif
