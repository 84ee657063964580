/* SPDX-License-Identifier: MIT */
/*
 * Ticks: their begin, their end, and the stall that a long one is told as.
 */
#ifndef LSC_PROBES_TICK_H
#define LSC_PROBES_TICK_H

#include "base/cause.h"
#include "learn.bpf.h"
#include "thread.bpf.h"

/* delay: what the thread's run-queue delays have added up to. */
static __always_inline void tick_begin(struct thread_state *t, __u64 now, __u64 delay)
{
	t->tick_ns = now;
	t->tick_delay = delay;
	t->tick_runtime = t->runtime;
	if (!t->split_used)
		return;
	t->split_used = 0;
	t->longest_block_ns = 0;
	t->longest_block_start_ns = 0;
	t->certain_ns = t->certain_start_ns = 0;
	t->watched_ns = 0;
	t->inside_ns = 0;
	t->samples_user = t->samples_kernel = 0;
	__builtin_memset(t->split, 0, sizeof(t->split));
}

/* The tick goes on, and so does the loop. */
static __always_inline void tick_inside(struct thread_state *t, __u64 now)
{
	if (t->tick_ns && now > t->tick_ns)
		t->inside_ns = now - t->tick_ns;
}

/* Off the CPU from one time to another, blocked or in the run queue: no tick ended in between. */
static __always_inline void tick_certain(struct thread_state *t, __u64 from, __u64 to)
{
	if (to - from > t->certain_ns) {
		t->certain_ns = to - from;
		t->certain_start_ns = from;
	}
	if (from < armed_at && armed_at <= to)
		t->watched_ns = from;
}

__noinline int emit_stall(struct thread_state *t, __u64 id, __u64 end, __u64 low, __u32 flags)
{
	struct event_stall *e;

	if (!t)
		return 0;
	count(COUNT_EMITTED);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNT_RING_FULL);
		return 0;
	}
	e->e.kind = EVENT_STALL;
	e->e.size = sizeof(*e);
	e->e.ts_ns = end;
	e->e.tgid = id >> 32;
	e->e.tid = id;
	e->begin_ns = t->tick_ns;
	e->end_ns = end;
	e->low_ns = low;
	__builtin_memcpy(e->split, t->split, sizeof(e->split));
	e->cpu_ns = t->runtime - t->tick_runtime;
	/* Switches are missed now and then: what is neither accounted for nor on the CPU clock was
	 * spent in run queues as far as the kernel's own account has more of that. */
	__u64 delay = bpf_get_current_task_btf()->sched_info.run_delay - t->tick_delay;
	__u64 known = e->cpu_ns, all = end - t->tick_ns;
#pragma unroll
	for (int i = 0; i < PROBE_CAUSES; i++)
		known += t->split[i];
	delay -= t->split[LSC_CAUSE_RUNQUEUE] + t->split[LSC_CAUSE_THROTTLED];
	if ((__s64)delay > 0 && known < all)
		e->split[LSC_CAUSE_RUNQUEUE] += delay < all - known ? delay : all - known;
	e->samples_user = t->samples_user;
	e->samples_kernel = t->samples_kernel;
	e->longest_block_ns = t->longest_block_ns;
	e->longest_block_start_ns = t->longest_block_start_ns;
	e->certain_ns = t->certain_ns;
	e->certain_start_ns = t->certain_start_ns;
	e->task = t->task;
	e->class = t->primary_class;
	e->confidence = t->confidence;
	e->precise = flags & 1;
	e->exited = flags >> 1;
	bpf_ringbuf_submit(e, wakeup_flags());
	return 0;
}

static __always_inline void lag_add(struct thread_state *t, __u64 ns)
{
	__u64 slot = lsc_hist_index(ns);

	asm volatile("" : "+r"(slot)); /* keeps the check below on the register that is used */
	if (slot >= LSC_HIST_SLOTS)
		return;
	t->lag.slot[slot]++;
	t->lag.count++;
	t->lag.sum_ns += ns;
	if (ns > t->lag.max_ns)
		t->lag.max_ns = ns;
}

/* Its ring tells its ticks apart: what is told here is where their time went. */
static __always_inline bool has_ring(__u64 id)
{
	__u32 tid = id;

	return bpf_map_lookup_elem(&task_addresses, &tid) != NULL;
}

/* The tick ended. What is certainly one tick: the time since exits are watched, and the longest
 * time off the CPU (nothing ends inside it); where the block spans the arming, both together. */
static __always_inline void tick_end(struct thread_state *t, __u64 id, __u64 end, bool precise,
				     bool exited)
{
	__u64 begin = t->tick_ns;

	if (!begin || end <= begin)
		return;
	__u64 d = end - begin;
	t->ticks++;
	t->busy_ns += d;
	lag_add(t, d + t->wait_delay_ns);
	t->wait_delay_ns = 0;
	if (d < stall_ns || !is_loop(t))
		return;

	__u64 low = t->certain_ns;
	__u64 since = exact ? begin : armed_at;
	if (t->primary_class == WAIT_FUTEX)
		since = 0; /* one that would not sleep is not called: its turns are not told apart
			    */
	if (since && since < end) {
		if (since <= begin)
			since = begin;
		else if (t->split_used && t->watched_ns)
			since = t->watched_ns;
		if (end - since > low)
			low = end - since;
	}
	if (low > d) /* by another hook's clock, which may be some us ahead */
		low = d;
	if (low < stall_ns / 2 && !has_ring(id))
		t->unsure_ns += tick_unsure(d, low, t->split, stall_ns);
	else
		emit_stall(t, id, end, low, (precise ? 1 : 0) | (exited ? 2 : 0));
}

#endif
