/* SPDX-License-Identifier: MIT */
/*
 * Finding a thread's state, and the clock of the scheduler. Both are on the way of every switch of
 * a target: a slot is found by indexing, and the run queue's own clock is read instead of the
 * timekeeper's, which costs 40 ns a call.
 */
#ifndef LSC_PROBES_THREAD_H
#define LSC_PROBES_THREAD_H

#include "maps.bpf.h"

#define PF_EXITING 0x4
#define MOVED_NS   20000000ull /* a sleeper has left its run queue by then */

#define CLOCK_AGE   4000000ull
#define CLOCK_APART 2000ll

/* CLOCK_MONOTONIC less the scheduler's clock of each CPU, as compared at a time of the latter; and
 * what the last comparison found, whether or not it counts. The two run apart by less than 2 us in
 * the 4 ms from one comparison to the next. */
__u64 clock_offset[PROBE_CPUS], clock_compared[PROBE_CPUS], clock_seen[PROBE_CPUS];

/* Compares the clocks of a CPU, where its run queue's stands at `clock`. That was read a little
 * before, at the wake-up for one that has just woken up: if the way from there was long, or the
 * host took the CPU away meanwhile, what is found is too large by that time, and would put up to
 * 4 ms of what follows into the future. It counts where it is no larger than what is known, or is
 * found twice. Returns now. */
static __always_inline __u64 clock_compare(__u64 cpu, __u64 clock)
{
	__u64 now = bpf_ktime_get_ns(), offset = now - clock, seen = clock_seen[cpu];
	bool known = clock_compared[cpu] && (__s64)(offset - clock_offset[cpu]) <= CLOCK_APART;

	clock_seen[cpu] = offset;
	if (known || offset - seen + CLOCK_APART <= 2 * CLOCK_APART) {
		clock_offset[cpu] = offset;
		clock_compared[cpu] = clock;
	}
	return now;
}

/* Now, for a thread that is being switched on this CPU. */
static __always_inline __u64 switch_now(const struct task_struct *p)
{
	const struct rq *rq = p->se.cfs_rq->rq;
	__u64 cpu = (__u32)rq->cpu, clock = rq->clock;

	if (!clock)
		return bpf_ktime_get_ns();
	cpu &= PROBE_CPUS - 1;
	if (clock - clock_compared[cpu] > CLOCK_AGE)
		return clock_compare(cpu, clock);
	return clock + clock_offset[cpu];
}

/* How long the thread that is switched in has stood in run queues since it was switched out, by the
 * kernel's account: what that has added up since (at each move to another CPU), and the time in the
 * present queue. */
static __always_inline __u64 delay_said(const struct thread_state *t,
					const struct task_struct *next)
{
	__u64 queued = next->sched_info.last_queued, clock = next->se.cfs_rq->rq->clock;
	__u64 delay = next->sched_info.run_delay - t->off_delay;

	if (queued && clock > queued)
		delay += clock - queued;
	return delay;
}

/* What of that was a delay, where p came back at `now`. From 6.12 on a sleeper may stay in its run
 * queue for some ms, and when it is moved to another CPU in these, its sleep counts as a delay from
 * there on, wherever it wakes up. When that was is known where wake-ups are watched: one that was
 * not seen was before. */
static __always_inline __u64 delay_true(const struct thread_state *t, const struct task_struct *p,
					__u64 said, __u64 now)
{
	if (t->off == OFF_RUNQUEUE || !t->off_delayed ||
	    t->off_migrations == (__u32)p->se.nr_migrations || now - said >= t->off_ns + MOVED_NS)
		return said;
	__u64 since = t->off == OFF_BLOCK ? waking_at : 0;
	if (t->off == OFF_BLOCK && t->waker_seen)
		since = t->wake_ns;
	if (since) {
		__u64 delay = now > since ? now - since : 0;
		return delay < said ? delay : said;
	}
	return said < MOVED_NS ? said : 0;
}

static __always_inline struct thread_state *thread_find(__u32 tid)
{
	__u32 i = tid % PROBE_SLOTS;
	struct thread_state *t = bpf_map_lookup_elem(&slots, &i);

	if (!t || t->tid == tid)
		return t;
	return t->crowded ? bpf_map_lookup_elem(&crowd, &tid) : NULL;
}

/* State for a thread that has none yet. NULL, counted, when there is no room. */
static __noinline struct thread_state *thread_add(__u32 tid, bool main)
{
	__u32 i = tid % PROBE_SLOTS, zero = 0;
	struct thread_state *t = bpf_map_lookup_elem(&slots, &i),
			    *empty = bpf_map_lookup_elem(&blank, &zero);

	if (!t || !empty)
		return NULL;
	if (__sync_val_compare_and_swap(&t->tid, SLOT_FREE, SLOT_TAKEN) == SLOT_FREE) {
		bpf_probe_read_kernel(&t->off, sizeof(*t) - offsetof(struct thread_state, off),
				      &empty->off);
		t->main = main;
		t->tid = tid;
		return t;
	}
	t->crowded = 1;
	bpf_map_update_elem(&crowd, &tid, empty, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&crowd, &tid);
	if (t)
		t->main = main;
	else
		count(COUNT_THREADS_FULL);
	return t;
}

/* The thread's number may be another's from now on. */
static __always_inline void thread_drop(__u32 tid)
{
	__u32 i = tid % PROBE_SLOTS;
	struct thread_state *t = bpf_map_lookup_elem(&slots, &i);

	if (t && t->tid == tid)
		t->tid = SLOT_FREE;
	else
		bpf_map_delete_elem(&crowd, &tid);
}

#endif
