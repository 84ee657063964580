/* SPDX-License-Identifier: MIT */
/*
 * Causes that lie outside of the call a thread is in: stopped and frozen, kept off the CPU by its
 * cgroup's quota, waiting for CPython's lock.
 */
#ifndef LSC_PROBES_CAUSE_H
#define LSC_PROBES_CAUSE_H

#include <bpf/bpf_core_read.h>

#include "base/cause.h"
#include "maps.bpf.h"

#define STATE_INTERRUPTIBLE   0x1
#define STATE_UNINTERRUPTIBLE 0x2
#define STATE_STOPPED	      0xc	  /* __TASK_STOPPED | __TASK_TRACED */
#define STATE_FROZEN	      0x8000	  /* TASK_FROZEN: cgroup v1's freezer; since 6.1 */
#define JOBCTL_TRAP_FREEZE    (1ul << 23) /* cgroup v2's: an interruptible sleep in a trap */
#define JOBCTL_PENDING                                                                             \
	(JOBCTL_TRAP_FREEZE | 0x1aul << 16) /* STOP_PENDING, TRAP_STOP, TRAP_NOTIFY */
#define NR_RESTART_SYSCALL 219
#define THROTTLE_LEAST_NS  100000 /* no quota is handed out that fast */

/* ---- stopped ---- */

static __always_inline bool is_stopped(struct task_struct *p, __u32 state)
{
	return state & (STATE_STOPPED | STATE_FROZEN) ||
	       (state & STATE_INTERRUPTIBLE && p->jobctl & JOBCTL_TRAP_FREEZE);
}

/* Something ends its sleep, whatever that was for: a signal, a stop, work of its own in the kernel.
 */
static __always_inline bool is_interrupted(const struct task_struct *p)
{
	__u64 signals = p->pending.signal.sig[0] | p->signal->shared_pending.signal.sig[0];

	return signals & ~p->blocked.sig[0] || p->jobctl & JOBCTL_PENDING || p->task_works;
}

/* After a stop nanosleep, poll and futex go on under another number, with the same registers. */
static __always_inline __s32 call_restarted(const struct thread_state *t, __s32 nr, __u64 sp)
{
	if (nr != NR_RESTART_SYSCALL)
		return nr;
	if (sp == t->primary_sp && probe_wait_class(t->primary_nr) == WAIT_POLL)
		return t->primary_nr;
	return sp == t->sp ? t->nr : nr;
}

/* ---- the run queue, and what is not its own ---- */

/* For how long tasks of this queue were throttled so far, up to now, in ns. It goes up for a queue
 * below the throttled group as well. */
static __always_inline __u64 throttle_clock(struct cfs_rq *q)
{
	__u64 ns = 0, since;

	if (bpf_core_field_exists(q->throttled_clock_self_time)) { /* since 6.6 */
		since = kernel_field(struct cfs_rq, q, throttled_clock_self);
		ns = kernel_field(struct cfs_rq, q, throttled_clock_self_time);
		if (since) {
			struct rq *rq = kernel_field(struct cfs_rq, q, rq);
			ns += kernel_field(struct rq, rq, clock) - since;
		}
	} else if (bpf_core_field_exists(q->throttled_clock_pelt_time)) { /* since 5.19 */
		since = kernel_field(struct cfs_rq, q, throttled_clock_pelt);
		ns = kernel_field(struct cfs_rq, q, throttled_clock_pelt_time);
		if (kernel_field(struct cfs_rq, q, throttle_count)) {
			struct rq *rq = kernel_field(struct cfs_rq, q, rq);
			ns += kernel_field(struct rq, rq, clock_pelt) - since;
		}
	}
	return ns;
}

/* The thread leaves the CPU; p is it. Since 6.18 a throttled task is put off when it returns to its
 * program, so not right behind a sleep; before, a group's tasks wake up throttled. */
static __always_inline void throttle_begin(struct thread_state *t, struct task_struct *p,
					   bool sleeps)
{
	t->throttle_rq = 0;
	if (!t->tick_ns || (sleeps && bpf_core_field_exists(p->throttled)) ||
	    !bpf_core_field_exists(p->se.cfs_rq))
		return;
	struct cfs_rq *q = p->se.cfs_rq;
	t->throttle_rq = (__u64)q;
	t->throttle_ns = throttle_clock(q);
}

/* It was runnable for ns and did not run. A throttled task does not leave its queue. */
static __always_inline void runqueue_charge(struct thread_state *t, __u64 ns)
{
	__u64 throttled = 0;

	if (t->throttle_rq && ns > THROTTLE_LEAST_NS) {
		throttled = throttle_clock((struct cfs_rq *)t->throttle_rq) - t->throttle_ns;
		if (throttled > ns)
			throttled = ns;
	}
	t->throttle_rq = 0;
	t->split[LSC_CAUSE_THROTTLED] += throttled;
	t->split[LSC_CAUSE_RUNQUEUE] += ns - throttled;
}

#endif
