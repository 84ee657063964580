/* SPDX-License-Identifier: MIT */
/*
 * Finding a thread's state, and the clock of the scheduler. Both are on the way of every switch of
 * a target: a slot is found by indexing, and the run queue's own clock is read instead of the
 * timekeeper's, which costs 40 ns a call.
 */
#ifndef LSC_PROBES_THREAD_H
#define LSC_PROBES_THREAD_H

#include "clock.h"
#include "maps.bpf.h"

#define PF_EXITING 0x4
#define MOVED_NS   20000000ull /* a sleeper has left its run queue by then */

struct cpu_clock clocks[PROBE_CPUS];

/* Now, for a thread that is being switched on this CPU. */
static __always_inline __u64 switch_now(const struct task_struct *p)
{
	const struct rq *rq = p->se.cfs_rq->rq;
	struct cpu_clock *c = &clocks[(__u32)rq->cpu & (PROBE_CPUS - 1)];
	__u64 clock = rq->clock, now;

	if (clock && clock_is_known(c, clock))
		return clock + c->offset;
	now = bpf_ktime_get_ns();
	if (clock)
		clock_compare(c, clock, now);
	return now;
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

/* The thread finds no room, as it may at each of its sleeps: it is counted once. */
static __always_inline void roomless_count(__u32 tid)
{
	__u64 bit = 1ull << tid % 64, *word;
	__u32 i = tid / 64;

	word = bpf_map_lookup_elem(&roomless, &i);
	if (word && !(__sync_fetch_and_or(word, bit) & bit))
		count(COUNT_THREADS_FULL);
}

/* The thread has ended, or has another number. */
static __always_inline void roomless_forget(__u32 tid)
{
	__u32 i = tid / 64;

	if (!counters[COUNT_THREADS_FULL])
		return;
	__u64 *word = bpf_map_lookup_elem(&roomless, &i);
	if (word)
		__sync_fetch_and_and(word, ~(1ull << tid % 64));
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
		roomless_count(tid);
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
