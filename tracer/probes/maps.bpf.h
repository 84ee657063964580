/* SPDX-License-Identifier: MIT */
/*
 * Tunables, maps and counters of the base probes, and the filter by process.
 */
#ifndef LSC_PROBES_MAPS_H
#define LSC_PROBES_MAPS_H

#include "event.h"

const volatile __u32 only_tgid = 0; /* the one target, or 0: look into `targets` */
enum { TARGET_LIVES = 1, TARGET_ENDED, TARGET_REUSED };
__u32 only_state = TARGET_LIVES; /* of the one target */
const volatile __u64 stall_ns = 10000000;
const volatile __u64 ring_wake_bytes = 0; /* that lie in the ring: user space is woken up */
const volatile __u8 follow = 0;
const volatile __u8 exact = 0; /* each return from a wait is hooked: ticks need no precise mode */

__u64 armed_at;	 /* precise mode since; 0: off. Written by user space */
__u64 waking_at; /* the same of the wake-ups of blocked loops */
/* What user space changes while the programs run, to see less: tracer/overhead.c. */
volatile __u64 block_ns = 1000000;
volatile __u32 copy_mask;   /* of the stacks of blocks one in copy_mask + 1 is copied */
volatile __u32 sample_mask; /* and of the samples */

__u32 have_rings; /* some thread has its current task at a known address */
__u32 have_gils;  /* some process is a CPython whose lock is known */
__u64 counters[COUNT_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES_MIN); /* at least: user space sets it by the CPUs */
} events SEC(".maps");

struct { /* user space maps it, too: it seeds, and reads what is going on without a system call */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROBE_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct thread_state);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_THREADS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct thread_state);
} crowd SEC(".maps");

struct { /* a bit of each thread: it has found no room and was counted */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROBE_TIDS / 64);
	__type(key, __u32);
	__type(value, __u64);
} roomless SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_TARGETS);
	__type(key, __u32);
	__type(value, __u32); /* TARGET_LIVES, TARGET_ENDED */
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_STACKS);
	__type(key, __u32);
	__type(value, struct stack_slot);
} stacks SEC(".maps");

struct { /* the zero value of a slot */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack_slot);
} blank_slot SEC(".maps");

struct { /* tid -> address of its current task's number in the target's memory */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_STACKS * 8);
	__type(key, __u32);
	__type(value, __u64);
} task_addresses SEC(".maps");

struct { /* tgid -> where its global interpreter lock lies */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_TARGETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct gil_place);
} gils SEC(".maps");

struct { /* tid -> a loop's thread that runs Python */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_STACKS * 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct python_thread);
} python_threads SEC(".maps");

struct { /* (tgid, epoll set) -> the thread that waits in it; ~0: several do */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PROBE_MAX_TARGETS);
	__type(key, __u64);
	__type(value, __u32);
} drivers SEC(".maps");

struct { /* the zero value of a new thread: too large for the BPF stack */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread_state);
} blank SEC(".maps");

static __always_inline void count(enum probe_counter c)
{
	__sync_fetch_and_add(&counters[c], 1);
}

static __always_inline bool is_target(__u32 tgid)
{
	if (only_tgid)
		return tgid == only_tgid && only_state != TARGET_REUSED;
	return bpf_map_lookup_elem(&targets, &tgid) != NULL;
}

static __always_inline __u64 wakeup_flags(void)
{
	/* Nobody waits for an event: user space looks every few ms. Only a filling ring wakes it.
	 */
	return bpf_ringbuf_query(&events, 0) > ring_wake_bytes ? BPF_RB_FORCE_WAKEUP
							       : BPF_RB_NO_WAKEUP;
}

__noinline int emit_loop(struct thread_state *t, __u32 tgid, __u32 tid, __u64 now, int replaced)
{
	struct event_loop *e;

	if (!t)
		return 0;
	count(COUNT_EMITTED);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNT_RING_FULL);
		return 0;
	}
	e->e.kind = EVENT_LOOP;
	e->e.size = sizeof(*e);
	e->e.ts_ns = now;
	e->e.tgid = tgid;
	e->e.tid = tid;
	e->sp = t->primary_sp;
	e->nr = t->primary_nr;
	e->fd = t->primary_fd;
	e->class = t->primary_class;
	e->confidence = t->confidence;
	e->main = t->main;
	e->replaced = replaced;
	e->pad = 0;
	bpf_ringbuf_submit(e, wakeup_flags());
	return 0;
}

#endif
