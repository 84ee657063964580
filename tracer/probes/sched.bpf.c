// SPDX-License-Identifier: MIT
/*
 * The base probes: ticks, blocks and samples of event loops from sched_switch and a CPU-wide clock,
 * with sys_exit and sched_waking as the precise mode that user space arms while a loop is held.
 * Filtering and accounting happen here; only slow ticks, long blocks, samples inside long ticks and
 * lifecycle events leave the kernel. docs/probes.md says what each mode sees.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "owner.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define STATE_DEAD 0xb0 /* EXIT_DEAD | EXIT_ZOMBIE | TASK_DEAD */

/* ---- on and off the CPU ---- */

/* From a block or from the run queue. `delay` of the time was spent in run queues. */
__noinline int resumed(struct thread_state *t, __u64 id, __u64 now, __u64 delay)
{
	if (!t)
		return 0;
	__u64 off = t->off_ns, began = off;
	__u8 what = t->off;

	t->off = OFF_NONE;
	t->split_used = 1;
	if (what == OFF_RUNQUEUE)
		delay = now - off;
	else
		began = block_began(t);
	t->runqueue_ns += delay;
	runqueue_charge(t, delay);
	tick_certain(t, began, now);
	if (what == OFF_BLOCK || t->open)
		tick_inside(t, now);
	if (what == OFF_RUNQUEUE)
		return 0;
	__u64 wake = now - delay, d = wake - off;
	int cause = block_cause(t);
	t->split[cause & 15] += d;
	if (d > t->longest_block_ns) {
		t->longest_block_ns = d;
		t->longest_block_start_ns = off;
	}
	if (t->tick_ns && is_loop(t) && (t->expected || d >= stall_ns / 2))
		site_learn(t, id, d);
	if (block_is_told(t, wake))
		emit_block(t, id, now, wake, cause);
	if (t->candidate) {
		t->candidate = 0;
		__u64 least = t->main && t->primary_class < WAIT_POLL ? 1000000ull
			      : t->timed			      ? 20000000ull
								      : 5000000ull;
		if (d > least && learn(t, id, t->sp, NR_FUTEX, t->args, WAIT_FUTEX, now))
			tick_begin(t, now, t->off_delay + delay);
	}
	return 0;
}

/* p runs again since `now`, after a delay in run queues, by the kernel's account of `said`. */
static __always_inline void came_back(struct thread_state *t, __u64 id, const struct task_struct *p,
				      __u64 now, __u64 said)
{
	__u64 off = t->off_ns;

	if (t->off == OFF_NONE)
		return;
	if (now < off)
		now = off;
	__u64 delay = delay_true(t, p, said, now);
	if (t->off == OFF_BLOCK)
		was_parked(t, id);
	if (t->off == OFF_BLOCK && t->cause == LSC_CAUSE_SLEEP && delay > SLEEP_DELAY_NS &&
	    !is_interrupted(p))
		delay = sleep_delay(t, now, delay);
	if (delay > now - off)
		delay = now - off;
	if (t->off != OFF_IDLE) {
		t->tick_delay += said - delay; /* was none of the tick's */
		resumed(t, id, now, delay);
		return;
	}
	t->off = OFF_NONE;
	t->runqueue_ns += delay;
	t->idle_ns += now - delay - off;
	t->wait_delay_ns = delay;
	leave_idle(t, id, now, t->off_delay + said);
}

/* p runs, and its way onto the CPU was not seen: the program was not called for it, or user space
 * saw it sleep and placed it when it had woken up. It has run for what its clock says, up to now.
 */
static __always_inline void was_in(struct thread_state *t, __u64 id, const struct task_struct *p,
				   __u64 now)
{
	__u64 ran = p->se.sum_exec_runtime - t->off_runtime;

	count(COUNT_MISSED_IN);
	t->runtime = t->off_runtime;
	came_back(t, id, p, ran < now ? now - ran : now, p->sched_info.run_delay - t->off_delay);
}

/* A thread has state from its first sleep in a wait that a loop may idle in until its exit: the
 * many threads that never wait so cost nothing. */
static __always_inline void switch_out(struct task_struct *prev, bool preempt, __u32 state)
{
	__u32 tid = prev->pid;
	bool sleeps = !preempt && state;
	struct thread_state *t = thread_find(tid);

	if (!t) {
		if (!sleeps || prev->flags & PF_EXITING || !is_target(prev->tgid) ||
		    !probe_wait_class((__s32)((struct pt_regs *)bpf_task_pt_regs(prev))->orig_ax))
			return;
		t = thread_add(tid, prev->pid == prev->tgid);
		if (!t)
			return;
	}
	__u64 now = switch_now(prev), id = (__u64)prev->tgid << 32 | tid;
	__u64 runtime = prev->se.sum_exec_runtime, delay = prev->sched_info.run_delay;
	if (t->off)
		was_in(t, id, prev, now);
	if (now < t->tick_ns)
		now = t->tick_ns; /* the clocks of the other hooks may be some us ahead */
	t->runtime = runtime;
	t->off_ns = now;
	t->off_runtime = runtime;
	t->off_delay = delay;
	t->off_migrations = prev->se.nr_migrations;
	t->off_delayed = bpf_core_field_exists(prev->se.sched_delayed) ? prev->se.sched_delayed : 0;
	throttle_begin(t, prev, sleeps);
	if (!sleeps)
		enter_runqueue(t, now);
	else if (!(state & STATE_DEAD))
		go_to_sleep(t, prev, id, state, now);
}

static __always_inline void switch_in(struct task_struct *next)
{
	__u32 tid = next->pid;
	struct thread_state *t = thread_find(tid);

	if (!t)
		return;
	t->runtime = next->se.sum_exec_runtime;
	came_back(t, (__u64)next->tgid << 32 | tid, next, switch_now(next), delay_said(t, next));
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int state)
{
	if (!only_tgid || prev->tgid == only_tgid)
		switch_out(prev, preempt, state);
	if (!only_tgid || next->tgid == only_tgid)
		switch_in(next);
	return 0;
}

/* Who ends a block: armed together with the precise mode, while some loop is held. */
SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *p)
{
	__u32 tgid = p->tgid;

	if (only_tgid && tgid != only_tgid)
		return 0;
	struct thread_state *t = thread_find(p->pid);
	if (!t || t->off != OFF_BLOCK)
		return 0;
	struct task_struct *waker = bpf_get_current_task_btf(), *up = waker->real_parent;
	bool child = false;
	if (waker->tgid != tgid) {
#pragma unroll
		for (int i = 0; i < 3; i++) {
			if (up->tgid == tgid)
				child = true;
			up = up->real_parent;
		}
	}
	t->waker_child = child;
	t->waker_exiting = child && (waker->flags & PF_EXITING);
	t->waker_pid = waker->tgid;
	bpf_probe_read_kernel(t->waker_comm, sizeof(t->waker_comm), waker->comm);
	t->wake_ns = bpf_ktime_get_ns();
	t->waker_seen = 1;
	return 0;
}

/* A thread that is not known to be in a loop's tick: it may be in a wait that does not sleep. */
__noinline int sample_awake(struct thread_state *t, __u64 id)
{
	struct task_struct *p = bpf_get_current_task_btf();
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(p);
	__s64 nr = (__s32)r->orig_ax; /* negative in user mode */
	int class = probe_wait_class(nr);
	__u64 args[4] = {r->di, r->si, r->dx, r->r10};

	if (p->flags & PF_EXITING) /* it dies in that call, and may take long to free its memory */
		return 0;
	if (class < WAIT_POLL || ((nr == NR_POLL || nr == NR_PPOLL) && args[1] < 2))
		return 0;
	if (!t && (!is_target(p->tgid) || !(t = thread_add(p->pid, p->pid == p->tgid))))
		return 0;
	t->runtime = p->se.sum_exec_runtime;
	learn_awake(t, id, r->sp, nr, args, class, bpf_ktime_get_ns(), p->sched_info.run_delay);
	return 0;
}

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;

	if (only_tgid && id >> 32 != only_tgid)
		return 0;
	struct thread_state *t = thread_find(tid);
	if (t && t->off)
		was_in(t, id, bpf_get_current_task_btf(), bpf_ktime_get_ns());
	if (have_owners)
		owner_sample(id, bpf_ktime_get_ns());
	if (!t || !t->tick_ns || !is_loop(t) || t->confidence < 3)
		sample_awake(t, id);
	if (!t || !t->tick_ns || !is_loop(t))
		return 0;
	bool kernel = ctx->regs.ip >> 63;
	t->split_used = 1;
	if (kernel)
		t->samples_kernel++;
	else
		t->samples_user++;
	__u64 now = bpf_ktime_get_ns();
	if (now - t->tick_ns < stall_ns / 2)
		return 0;
	if (has_left(t))
		return leave_loop(t, id);
	tick_inside(t, now);
	if ((t->samples_user + t->samples_kernel) & sample_mask)
		return 0;
	struct stack_slot *slot = bpf_map_lookup_elem(&stacks, &tid);
	if (!slot)
		return 0;
	struct event_block *b = &slot->block;
	if (have_gils)
		python_sample(id, now);
	stack_copy(slot, PROBE_STACK_USUAL);
	__u32 size = b->stack_size;
	if (size > PROBE_STACK_BYTES)
		size = 0;
	b->e.kind = EVENT_SAMPLE;
	b->e.size = sizeof(*b) + size;
	b->e.ts_ns = now;
	b->e.tgid = id >> 32;
	b->e.tid = tid;
	b->tick_ns = t->tick_ns;
	b->kernel = kernel;
	b->task = current_task_number(tid);
	b->confidence = t->confidence;
	b->class = t->primary_class;
	b->off_ns = 0;
	t->task = b->task;
	count(COUNT_EMITTED);
	if (bpf_ringbuf_output(&events, slot, sizeof(*b) + size, wakeup_flags()))
		count(COUNT_RING_FULL);
	return 0;
}

/* ---- returns from the wait ---- */

/* The thread returns from a wait: a tick boundary, if it is the primary one. */
static __noinline int wait_returned(struct pt_regs *regs, __s64 nr)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (only_tgid && id >> 32 != only_tgid)
		return 0;
	struct thread_state *t = thread_find((__u32)id);
	__u64 args[4] = {regs->di, regs->si, regs->dx, regs->r10};
	if (!t || !site_is_primary(t, nr, regs->sp, args))
		return 0;
	struct task_struct *p = bpf_get_current_task_btf();
	__u64 now = bpf_ktime_get_ns();
	count(COUNT_PRECISE_EXITS);
	if (t->off)
		was_in(t, id, p, now);
	t->runtime = p->se.sum_exec_runtime;
	bool slept = t->slept_in_wait;
	t->slept_in_wait = 0;
	/* It slept in this wait: the tick began at the wake-up. A flag from before the arming is
	 * stale. */
	if (slept && (exact || t->tick_ns >= armed_at))
		return 0;
	victim_timer(t, id, regs, now);
	turn_over(t, id, args, now, true);
	if (!is_select(
		    t->primary_nr)) /* which has put what it found in place of what it was asked */
		anchor_keep(t, regs->di, regs->si, now);
	tick_begin(t, now, p->sched_info.run_delay);
	t->due_ns = victim_due((__s32)regs->orig_ax, regs, now);
	return 0;
}

/* Precise mode, where single calls cannot be hooked; and who is served after a stall. */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	__s64 nr = (__s32)regs->orig_ax;

	if (probe_wait_class(nr) >= WAIT_POLL)
		return exact ? 0 : wait_returned(regs, nr);
	return victims_pending > 0 && victim_is_read(nr) ? victim_read(regs, ret) : 0;
}

/* The same for good, where the kernel has fentry: other calls pay nothing. */
#define WAIT_RETURN(call, nr)                                                                      \
	SEC("?fexit/__x64_sys_" #call) int BPF_PROG(on_##call, struct pt_regs *regs)               \
	{                                                                                          \
		return wait_returned(regs, nr);                                                    \
	}
WAIT_RETURN(epoll_wait, NR_EPOLL_WAIT)
WAIT_RETURN(epoll_pwait, NR_EPOLL_PWAIT)
WAIT_RETURN(epoll_pwait2, NR_EPOLL_PWAIT2)
WAIT_RETURN(poll, NR_POLL)
WAIT_RETURN(ppoll, NR_PPOLL)
WAIT_RETURN(select, NR_SELECT)
WAIT_RETURN(pselect6, NR_PSELECT6)
WAIT_RETURN(io_uring_enter, NR_IO_URING_ENTER)

/* ---- lifecycle ---- */

static __always_inline void process_fill(struct event_process *e, __u32 kind, __u32 size,
					 const struct task_struct *p, __u32 child, const char *comm)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->e.kind = kind;
	e->e.size = size;
	e->e.ts_ns = bpf_ktime_get_ns();
	e->e.tgid = p->tgid;
	e->e.tid = p->pid;
	e->child = child;
	bpf_probe_read_kernel(e->comm, sizeof(e->comm), comm);
}

static __always_inline bool emit_process(__u32 kind, const struct task_struct *p, __u32 child,
					 const char *comm)
{
	struct event_process *e;

	count(COUNT_EMITTED);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNT_RING_FULL);
		return false;
	}
	process_fill(e, kind, sizeof(*e), p, child, comm);
	bpf_ringbuf_submit(e, wakeup_flags());
	return true;
}

/* The same with t, what is known of the thread; NULL nothing. */
static __always_inline bool emit_last(__u32 kind, const struct task_struct *p, __u32 child,
				      const struct thread_state *t)
{
	__u32 zero = 0;
	const struct thread_state *empty = bpf_map_lookup_elem(&blank, &zero);
	struct event_last *e;

	count(COUNT_EMITTED);
	e = empty ? bpf_ringbuf_reserve(&events, sizeof(*e), 0) : NULL;
	if (!e) {
		count(COUNT_RING_FULL);
		return false;
	}
	process_fill(&e->p, kind, sizeof(*e), p, child, p->comm);
	bpf_probe_read_kernel(&e->last, sizeof(e->last), t ? t : empty);
	bpf_ringbuf_submit(e, wakeup_flags());
	return true;
}

static __always_inline void drop_scratch(__u32 tid)
{
	bpf_map_delete_elem(&stacks, &tid);
	bpf_map_delete_elem(&task_addresses, &tid);
	bpf_map_delete_elem(&python_threads, &tid);
}

/* The last thread of a target ends: the process's number is another's as soon as it is reaped. */
static __always_inline void process_ended(__u32 tgid)
{
	__u32 *state = only_tgid ? &only_state : bpf_map_lookup_elem(&targets, &tgid);

	if (state)
		*state = TARGET_ENDED;
}

/* What is known under these numbers is of an earlier bearer, if that has ended. User space may not
 * have heard of it yet: it has all that it needs from the events. */
static __always_inline void numbers_given(__u32 tid, __u32 tgid)
{
	struct thread_state *t = thread_find(tid);

	if (t && t->exited) {
		thread_drop(tid);
		drop_scratch(tid);
	}
	if (tid != tgid)
		return;
	if (only_tgid) {
		if (tgid == only_tgid && only_state == TARGET_ENDED)
			only_state = TARGET_REUSED;
		return;
	}
	__u32 *state = bpf_map_lookup_elem(&targets, &tgid);
	if (state && *state == TARGET_ENDED)
		bpf_map_delete_elem(&targets, &tgid);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = child->tgid, one = TARGET_LIVES;

	numbers_given(child->pid, tgid);
	if (!follow || child->pid != child->tgid || !is_target(parent->tgid))
		return 0;
	if (bpf_map_update_elem(&targets, &tgid, &one, BPF_ANY)) {
		count(COUNT_THREADS_FULL);
		return 0;
	}
	emit_process(EVENT_FORK, parent, tgid, child->comm);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, int old_pid)
{
	__u32 tid = p->pid, old = old_pid;

	if (!is_target(p->tgid))
		return 0;
	struct thread_state *t = thread_find(old);
	if (t && t->primary_sp) {
		if (t->off)
			was_in(t, (__u64)p->tgid << 32 | old, p, bpf_ktime_get_ns());
		t->runtime = p->se.sum_exec_runtime;
		tick_end(t, (__u64)p->tgid << 32 | old, bpf_ktime_get_ns(), false, true);
		driver_drop((__u64)p->tgid << 32 | old, t->primary_fd);
	}
	emit_last(EVENT_EXEC, p, old, t);
	thread_drop(tid);
	thread_drop(old);
	drop_scratch(tid); /* the new program's first wait gives it its own */
	if (old == tid)
		return 0;
	drop_scratch(old);
	roomless_forget(old);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *p)
{
	__u32 tid = p->pid;

	if (!is_target(p->tgid))
		return 0;
	roomless_forget(tid);
	if (!p->signal->live.counter)
		process_ended(p->tgid);
	struct thread_state *t = thread_find(tid);
	if (t && t->primary_sp) {
		if (t->off)
			was_in(t, (__u64)p->tgid << 32 | tid, p, bpf_ktime_get_ns());
		t->runtime = p->se.sum_exec_runtime;
		if (has_left(t))
			leave_loop(t, (__u64)p->tgid << 32 | tid);
		else
			tick_end(t, (__u64)p->tgid << 32 | tid, bpf_ktime_get_ns(), false, true);
		driver_drop((__u64)p->tgid << 32 | tid, t->primary_fd);
		t->tick_ns = 0;
		t->exited = 1;
		/* the number of the main thread is another's soon, if a thread calls exec */
		bool told = p->pid == p->tgid ? emit_last(EVENT_EXIT, p, 0, t)
					      : emit_process(EVENT_EXIT, p, 0, p->comm);
		if (told)
			return 0; /* user space takes the totals and deletes */
		drop_scratch(tid);
	}
	thread_drop(tid);
	return 0;
}
