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

/* The loop is in the wait that the watch is for. Of CPython's lock each lasts 5 ms at most: there
 * any later one of the tick will do that is long enough to be told. */
static __always_inline bool still_waits(const struct owner_watch *w, const struct thread_state *t,
					__u64 now)
{
	if (t->off != OFF_BLOCK)
		return false;
	if (!w->gil)
		return t->off_ns == w->off_ns;
	return t->cause == LSC_CAUSE_GIL && t->tick_ns <= w->off_ns && t->off_ns + block_ns <= now;
}

static __always_inline bool still_holds(const struct owner_watch *w)
{
	__u32 number = 0;

	if (w->gil)
		return gil_holder(w->address) == w->gil;
	return !bpf_probe_read_user(&number, sizeof(number), (void *)w->address) &&
	       (number & w->mask) == w->ns_tid;
}

__noinline int owner_sample(__u64 id, __u64 now)
{
	__u32 tid = id, waiter;
	struct owner_watch *w = bpf_map_lookup_elem(&owners, &tid);

	if (!w || w->done)
		return 0;
	waiter = w->waiter;
	struct thread_state *t = thread_find(waiter);
	if (!t || !still_waits(w, t, now) || !still_holds(w))
		return 0;
	__u64 off_ns = t->off_ns;
	w->done = 1;
	struct event_block *b = &w->slot.block;
	if (w->gil)
		python_take(id >> 32 << 32 | waiter, now, w->gil, 0);
	stack_copy(&w->slot, PROBE_STACK_USUAL);
	__u32 size = b->stack_size;
	if (size > PROBE_STACK_BYTES)
		size = 0;
	b->e.kind = EVENT_OWNER;
	b->e.size = sizeof(*b) + size;
	b->e.ts_ns = now;
	b->e.tgid = id >> 32;
	b->e.tid = waiter;
	b->off_ns = off_ns;
	b->owner = tid;
	count(COUNT_EMITTED);
	if (bpf_ringbuf_output(&events, &w->slot, sizeof(*b) + size, wakeup_flags()))
		count(COUNT_RING_FULL);
	return 0;
}

#endif
