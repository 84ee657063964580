/* SPDX-License-Identifier: MIT */
/*
 * The stack of a thread that runs while it holds the lock that a loop waits for. User space names
 * such threads; the sampler copies the stack once, and only while the loop still waits and the lock
 * still names the thread.
 */
#ifndef LSC_PROBES_OWNER_H
#define LSC_PROBES_OWNER_H

#include "block.bpf.h"

__u32 have_owners; /* the map is not empty */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_OWNERS);
	__type(key, __u32);
	__type(value, struct owner_watch);
} owners SEC(".maps");

__noinline int owner_sample(__u64 id, __u64 now)
{
	__u32 tid = id, waiter, number = 0;
	struct owner_watch *w = bpf_map_lookup_elem(&owners, &tid);

	if (!w || w->done)
		return 0;
	waiter = w->waiter;
	struct thread_state *t = thread_find(waiter);
	if (!t || t->off != OFF_BLOCK || t->off_ns != w->off_ns)
		return 0;
	if (bpf_probe_read_user(&number, sizeof(number), (void *)w->address) ||
	    (number & w->mask) != w->ns_tid)
		return 0;
	w->done = 1;
	struct event_block *b = &w->slot.block;
	stack_copy(&w->slot, false);
	__u32 size = b->stack_size;
	if (size > PROBE_STACK_BYTES)
		size = 0;
	b->e.kind = EVENT_OWNER;
	b->e.size = sizeof(*b) + size;
	b->e.ts_ns = now;
	b->e.tgid = id >> 32;
	b->e.tid = waiter;
	b->off_ns = w->off_ns;
	b->owner = tid;
	count(COUNT_EMITTED);
	if (bpf_ringbuf_output(&events, &w->slot, sizeof(*b) + size, wakeup_flags()))
		count(COUNT_RING_FULL);
	return 0;
}

#endif
