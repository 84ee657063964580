/* SPDX-License-Identifier: MIT */
/*
 * Sleeps in a wait: whether they make it the primary one, and what idling means for the tick.
 */
#ifndef LSC_PROBES_IDLE_H
#define LSC_PROBES_IDLE_H

#include "anchor.bpf.h"
#include "rouse.bpf.h"
#include "tick.bpf.h"

/* Threads that take turns in one epoll set: notes that this one was seen in it. Returns whether
 * others were. */
static __always_inline bool driver_is_shared(__u64 id, __s32 fd)
{
	__u64 key = id >> 32 << 32 | (__u32)fd;
	__u32 tid = id, shared = ~0u, *owner = bpf_map_lookup_elem(&drivers, &key);

	if (!owner) {
		bpf_map_update_elem(&drivers, &key, &tid, BPF_ANY);
		return false;
	}
	if (*owner != tid && *owner != shared)
		bpf_map_update_elem(&drivers, &key, &shared, BPF_ANY);
	return *owner != tid;
}

/* The thread has left the set for good: the next one with that number is another. */
static __always_inline void driver_drop(__u64 id, __s32 fd)
{
	__u64 key = id >> 32 << 32 | (__u32)fd;
	__u32 tid = id, *owner = bpf_map_lookup_elem(&drivers, &key);

	if (owner && *owner == tid)
		bpf_map_delete_elem(&drivers, &key);
}

/* Its loop is over: the last tick is known up to when it was last seen inside. What the thread does
 * from then on is no turn. */
__noinline int leave_loop(struct thread_state *t, __u64 id)
{
	if (!t)
		return 0;
	tick_end(t, id, t->tick_ns + t->inside_ns, false, false);
	driver_drop(id, t->primary_fd);
	t->tick_ns = 0;
	t->due_ns = 0;
	t->anchored_ns = 0;
	t->confidence = 0;
	return 0;
}

/* What it waits for is closed. */
__noinline int leave_if_over(struct thread_state *t, __u64 id)
{
	return has_left(t) ? leave_loop(t, id) : 0;
}

/* The current thread is preempted. Whether a long tick goes on then is seen now: it does as long as
 * the thread does not run. */
static __always_inline void enter_runqueue(struct thread_state *t, __u64 now)
{
	t->off = OFF_RUNQUEUE;
	t->open = t->tick_ns && now - t->tick_ns >= stall_ns / 2 && !anchor_is_gone(t);
}

/* The tick ends with a wait in its place. A loop that is over may have a successor there. */
static __always_inline void turn_over(struct thread_state *t, __u64 id, const __u64 *args,
				      __u64 now, bool precise)
{
	bool other = t->primary_class == WAIT_EPOLL &&
		     probe_wait_key(t->primary_nr, 0, args) != t->primary_fd;

	if (other || now - t->tick_ns >= stall_ns)
		leave_if_over(t, id);
	tick_end(t, id, now, precise, false);
}

/* Where else the thread idles, as x becomes its primary wait. */
static __always_inline void learn_other(struct thread_state *t, __u64 id, __u64 sp, __s32 fd,
					int class)
{
	bool worker = t->primary_sp && t->primary_class == WAIT_FUTEX && !t->main;

	if (class == WAIT_EPOLL && driver_is_shared(id, fd))
		t->other = OTHER_DRIVER;
	else if (worker && class > WAIT_FUTEX && sp < t->primary_sp)
		t->other = OTHER_JOBS;
	else
		t->other = OTHER_NONE;
	t->other_sp = t->other == OTHER_JOBS ? t->primary_sp : 0;
}

/* Room for stack copies of a new loop, at once: a program may live so shortly that its only block
 * comes before user space knows the loop. That one counts loops without room. */
static __always_inline void stack_slot_add(const struct thread_state *t, __u32 tid)
{
	__u32 zero = 0;
	struct stack_slot *blank = bpf_map_lookup_elem(&blank_slot, &zero);

	if (blank && is_loop(t) && !bpf_map_lookup_elem(&stacks, &tid))
		bpf_map_update_elem(&stacks, &tid, blank, BPF_NOEXIST);
}

/* The thread idles elsewhere from now on, where it has slept x->run times since it was last in its
 * wait. If that was certain, what it did before the first of these sleeps was a turn; where there
 * are more of them, they are in it, and how much of it was a turn cannot be told. */
__noinline int leave_wait(struct thread_state *t, __u64 id, __u32 sleeps, int class)
{
	if (!t || !t->tick_ns || t->confidence < 3 || !is_loop(t) || t->off_ns <= t->tick_ns)
		return 0;
	if (sleeps == 1 && class > WAIT_FUTEX)
		tick_end(t, id, t->off_ns, false, false);
	else
		t->unsure_ns += tick_unsure(t->off_ns - t->tick_ns, 0, t->split, stall_ns);
	return 0;
}

/* Counts a sleep in site x. Returns whether it is the primary wait now. */
static __always_inline bool learn(struct thread_state *t, __u64 id, __u64 sp, __u32 nr,
				  const __u64 *args, int class, __u64 now)
{
	__u32 index = 0;
	struct wait_site *x = site_find(t, sp, nr, &index);
	__u64 top = probe_wait_top(nr, sp, args);

	if (!x)
		return false;
	x->fd = class == WAIT_FUTEX ? 0 : probe_wait_key(nr, sp, args);
	x->count++;
	x->last_ns = now;
	if (t->run_site == index + 1) {
		x->run++;
		if (now - t->run_start_ns > x->longest_run_ns)
			x->longest_run_ns = now - t->run_start_ns;
	} else {
		x->run = 1;
		t->run_site = index + 1;
		t->run_start_ns = now;
	}
	if (!site_replaces(t, x, top, class, now))
		return false;
	bool replaced = t->primary_sp && t->confidence;
	leave_wait(t, id, x->run, class);
	learn_other(t, id, sp, x->fd, class);
	t->primary_sp = sp;
	t->primary_top = top;
	t->primary_nr = nr;
	t->primary_fd = x->fd;
	t->primary_class = class;
	t->confidence = x->count > 3 ? 3 : x->count;
	t->primary_last_ns = now;
	t->primary_longest_run_ns = x->longest_run_ns;
	t->run_site = 0;
	t->run_start_ns = now;
	t->tick_ns = 0;
	anchor_take(t, args[0], args[1], now);
	stack_slot_add(t, id);
	emit_loop(t, id >> 32, id, now, replaced);
	return true;
}

/* The thread was in its primary wait once more. */
static __always_inline void confirm(struct thread_state *t, __u64 id, __u64 now)
{
	t->primary_last_ns = now;
	if (t->run_site) {
		t->run_site = 0;
		t->run_start_ns = now;
	} else if (now - t->run_start_ns > t->primary_longest_run_ns) {
		t->primary_longest_run_ns = now - t->run_start_ns;
	}
	if (t->confidence == 3)
		return;
	if (++t->confidence == 3)
		emit_loop(t, id >> 32, id, now, 0);
}

/* The thread goes to sleep in its primary wait. */
static __always_inline void enter_idle(struct thread_state *t, __u64 id, __u64 sp,
				       const __u64 *args, __u64 now)
{
	turn_over(t, id, args, now, false);
	t->tick_ns = 0;
	t->off = OFF_IDLE;
	t->away = 0;
	t->primary_top += sp - t->primary_sp;
	t->primary_sp = sp;
	__s32 fd = t->primary_class == WAIT_FUTEX ? 0 : probe_wait_key(t->primary_nr, sp, args);
	if (fd != t->primary_fd)
		t->anchored_ns = 0;
	t->primary_fd = fd;
	t->slept_in_wait = 1;
	anchor_keep(t, args[0], args[1], now);
	confirm(t, id, now);
}

/* Whether a sleep in a futex is idling: where a worker waits for jobs, or, beside the wait in an
 * epoll set that others share, in place of a turn there. */
static __always_inline bool idles_in_other(struct thread_state *t, __u64 id, __u64 sp,
					   const __u64 *args)
{
	if (t->other == OTHER_JOBS)
		return sp == t->other_sp;
	if (!probe_parks(t, sp, args))
		return false;
	if (t->other != OTHER_DRIVER && !driver_is_shared(id, t->primary_fd))
		return false;
	t->other = OTHER_DRIVER;
	return true;
}

/* The thread goes to sleep where it idles besides. A worker of a pool has left its loop, and what
 * it did since its last turn was no tick, but for the part in which the loop was not over. */
static __always_inline void enter_other(struct thread_state *t, __u64 id, __u64 now)
{
	t->away = t->other == OTHER_JOBS;
	if (!t->away)
		tick_end(t, id, now, false, false);
	else if (t->tick_ns && now - t->tick_ns >= stall_ns)
		leave_if_over(t, id);
	t->tick_ns = 0;
	t->due_ns = 0;
	t->off = OFF_IDLE;
}

/* It slept in a futex, as if in a block, before another thread was seen in its epoll set: the one
 * that took its turn there meanwhile. */
__noinline int was_parked(struct thread_state *t, __u64 id)
{
	if (!t || t->nr != NR_FUTEX || t->cause != LSC_CAUSE_LOCK || t->other != OTHER_NONE)
		return 0;
	__u64 args[4] = {t->args[0], t->args[1], t->args[2], t->args[3]};
	if (!idles_in_other(t, id, t->sp, args))
		return 0;
	enter_other(t, id, t->off_ns);
	t->call_ns = 0;
	return 1;
}

/* It runs again after idling. */
static __always_inline void leave_idle(struct thread_state *t, __u32 tid, __u64 now, __u64 delay)
{
	if (t->away)
		return;
	tick_begin(t, now, delay);
	__sync_lock_test_and_set(&t->tick_ns, now); /* before `asleep` is read: rouse.bpf.h */
	if (asleep && is_loop(t))
		rouse(now, tid);
}

/* The sampler met a thread in a wait that does not sleep: a loop that always asks with a timeout of
 * zero is seen nowhere else. Its tick is taken to begin here; precise mode finds the next ones. */
static __always_inline void learn_awake(struct thread_state *t, __u64 id, __u64 sp, __u32 nr,
					const __u64 *args, int class, __u64 now, __u64 delay)
{
	if (site_is_primary(t, nr, sp, args)) {
		if (t->confidence < 3)
			confirm(t, id, now);
	} else if ((t->primary_sp && t->confidence) || !learn(t, id, sp, nr, args, class, now)) {
		return;
	}
	if (!t->tick_ns && !t->off)
		tick_begin(t, now, delay);
}

#endif
