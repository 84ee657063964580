/* SPDX-License-Identifier: MIT */
/*
 * Blocks: a sleep anywhere but in the primary wait. What it was in is kept when it begins, what it
 * was for is known when it ends.
 */
#ifndef LSC_PROBES_BLOCK_H
#define LSC_PROBES_BLOCK_H

#include "cause.bpf.h"
#include "fd.bpf.h"
#include "idle.bpf.h"
#include "python.bpf.h"
#include "regs.bpf.h"
#include "victim.bpf.h"

#define TELL_AGAIN_NS	   1000000ull
#define NR_CLOCK_NANOSLEEP 230
#define SLEEP_ABSOLUTE	   1	      /* TIMER_ABSTIME */
#define SLEEP_CLOCKS	   2	      /* CLOCK_REALTIME and _MONOTONIC: others run in another way */
#define SLEEP_DELAY_NS	   1000000ull /* shorter ones are believed */
#define SLEEP_SECONDS	   (1ull << 33)
#define NO_RESULT	   ((unsigned long)-38) /* in its place, while the call has not returned */

enum call_kind { CALL_OTHER, CALL_SLEEP, CALL_LOCK, CALL_CHILD, CALL_NET, CALL_FD, CALL_PATH };

static __always_inline int call_kind_of(__s64 nr)
{
	switch (nr) {
	case 35:
	case 230: /* nanosleep clock_nanosleep */
		return CALL_SLEEP;
	case NR_FUTEX:
	case 449:
	case 454:
	case 455: /* futex_waitv futex_wait futex_requeue */
	case 65:
	case 72:
	case 73:
	case 220: /* semop fcntl flock semtimedop */
		return CALL_LOCK;
	case 56:
	case 58:
	case 61:
	case 247:
	case 435: /* clone vfork wait4 waitid clone3 */
		return CALL_CHILD;
	case 42:
	case 43:
	case 44:
	case 45:
	case 46:
	case 47:
	case 288:
	case 299:
	case 307: /* connect.. */
		return CALL_NET;
	case 0:
	case 1:
	case 5:
	case 17:
	case 18:
	case 19:
	case 20:
	case 40:
	case 74:
	case 75:
	case 77:
	case 78:
	case 217:
	case 275:
	case 277:
	case 285:
	case 295:
	case 296:
	case 306:
	case 327:
	case 328:
		return CALL_FD; /* read write fstat pread pwrite readv writev sendfile fsync ... */
	case 2:
	case 4:
	case 6:
	case 21:
	case 59:
	case 76:
	case 82:
	case 83:
	case 84:
	case 85:
	case 86:
	case 87:
	case 88:
	case 89:
	case 257:
	case 258:
	case 262:
	case 263:
	case 264:
	case 316:
	case 332:
	case 437:
	case 439:
		return CALL_PATH; /* open stat lstat access execve truncate rename mkdir ... openat
				   */
	}
	return CALL_OTHER;
}

static __always_inline const void *path_argument(__s64 nr, const __u64 *args)
{
	return (const void *)(nr >= 257 ? args[1] : args[0]);
}

/* How much of the stack there is to copy, as far as it is known without looking: a read that fails
 * has cost as much as one that does not. */
static __always_inline __u64 stack_room(const struct task_struct *p, __u64 sp, __u64 most)
{
	__u64 end = p->pid == p->tgid ? p->mm->start_stack : p->thread.fsbase;

	return end > sp && end - sp < most ? (end - sp) & ~7ull : most;
}

/* Copies registers and at most so much of the stack of the current thread. */
__noinline int stack_copy(struct stack_slot *s, __u64 most)
{
	struct task_struct *p = bpf_get_current_task_btf();
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(p);
	__u64 from = r->sp - PROBE_RED_ZONE;

	if (!s)
		return 0;
	regs_copy(s->block.regs, r);
	__u64 size = stack_room(p, from, most);
	asm volatile("" : "+r"(size)); /* keeps the check on the register that is used */
	if (size > PROBE_STACK_BYTES)
		size = PROBE_STACK_BYTES;
	if (size && !bpf_probe_read_user(s->stack, size, (void *)from)) {
		s->block.stack_size = size;
		s->block.cut = size == most;
		return 0;
	}
	/* It ends sooner (a coroutine's), or a page is not there: page by page. One in the midst
	 * was never touched (most of libuv's array of events) and reads as zeros, as it would
	 * there; so may the one that holds nothing but the red zone. */
	__u32 first = 4096 - (from & 4095), done = 0;
	if (first > 4096)
		return 0;
	bool unused = first <= PROBE_RED_ZONE;
	if (!bpf_probe_read_user(s->stack, first, (void *)from) || unused) {
		if (!unused)
			done = first;
#pragma unroll
		for (int i = 0; i < PROBE_STACK_BYTES / 4096 - 1; i++) {
			if (first + i * 4096 >= size)
				break;
			if (!bpf_probe_read_user(s->stack + first + i * 4096, 4096,
						 (void *)(from + first + i * 4096)))
				done = first + (i + 1) * 4096;
		}
	}
	s->block.stack_size = done;
	s->block.cut = done >= most;
	return 0;
}

static __always_inline __u32 current_task_number(__u32 tid)
{
	__u32 task = 0;

	if (have_rings) {
		__u64 *address = bpf_map_lookup_elem(&task_addresses, &tid);
		if (address)
			bpf_probe_read_user(&task, sizeof(task), (void *)*address);
	}
	return task;
}

/* When the sleep that begins is to end, by its timespec; 0 unknown. */
static __always_inline __u64 sleep_until(const struct thread_state *t, const __s64 *time)
{
	bool plain = t->nr != NR_CLOCK_NANOSLEEP ||
		     (t->args[0] < SLEEP_CLOCKS && !(t->args[1] & SLEEP_ABSOLUTE));

	if (!plain || (__u64)time[0] > SLEEP_SECONDS)
		return 0;
	return t->off_ns + time[0] * 1000000000ull + time[1];
}

/* How much of the stack a block may need. What is deeper than a short copy is read while the block
 * lasts, and copied the next time. */
static __always_inline __u64 stack_most(const struct thread_state *t)
{
	if (!t->expected && !stall_is_known(t))
		return PROBE_STACK_SHORT;
	return t->cause == PROBE_CAUSE_NESTED ? PROBE_STACK_BYTES : PROBE_STACK_USUAL;
}

/* A block of a loop begins: keep what is only to be had now, in case it turns out long. */
static __always_inline void block_record(struct thread_state *t, struct stack_slot *slot, int kind,
					 bool begins)
{
	struct aux *aux = (struct aux *)slot->block.aux;

	slot->block.off_ns = t->off_ns;
	if (kind == CALL_SLEEP) {
		aux->type = AUX_TIME;
		bpf_probe_read_user(
			aux->time, sizeof(aux->time),
			(void *)(t->nr == NR_CLOCK_NANOSLEEP ? t->args[2] : t->args[0]));
		if (begins)
			t->until_ns = sleep_until(t, aux->time);
	} else if (kind == CALL_PATH) {
		aux->type = AUX_PATH;
		if (bpf_probe_read_user_str(aux->path, sizeof(aux->path),
					    path_argument(t->nr, t->args)) < 0)
			aux->type = AUX_NONE;
	} else if (t->cause == LSC_CAUSE_GIL) {
		gil_name(bpf_get_current_pid_tgid() >> 32, aux);
	} else if (t->nr == NR_FUTEX) {
		aux->type = AUX_FUTEX;
		if (bpf_probe_read_user(aux->futex, sizeof(aux->futex), (void *)t->args[0]))
			aux->type = AUX_NONE;
	}
	if (copy_mask && bpf_get_prandom_u32() & copy_mask)
		return;
	count(COUNT_COPIES);
	stack_copy(slot, stack_most(t));
}

/* poll and select have their descriptors in memory: which one was looked at. */
static __always_inline void aux_descriptor(struct aux *aux, __s32 fd)
{
	if (aux && aux->type == AUX_NONE) {
		aux->type = AUX_FD;
		aux->fd = fd;
	}
}

/* What the thread waits for, as far as it can be told when the wait begins. */
static __always_inline int block_begin_cause(struct thread_state *t, struct task_struct *prev,
					     __u32 state, int kind, struct aux *aux)
{
	__s32 nr = t->nr, fd = -1;

	if (is_stopped(prev, state))
		return LSC_CAUSE_STOPPED;
	if (nr < 0)
		return LSC_CAUSE_PAGE_FAULT;
	switch (nr) {
	case NR_POLL:
	case NR_PPOLL:
		if (!t->args[1])
			return LSC_CAUSE_SLEEP;
		bpf_probe_read_user(&fd, sizeof(fd), (void *)t->args[0]);
		t->fd_kind = fd_look(prev, fd, &t->ino, aux);
		aux_descriptor(aux, fd);
		return PROBE_CAUSE_NESTED;
	case NR_SELECT:
	case NR_PSELECT6:
		if (!t->args[0])
			return LSC_CAUSE_SLEEP;
		fd = t->args[0] - 1; /* the highest; exact where there is one */
		t->fd_kind = fd_look(prev, fd, &t->ino, aux);
		aux_descriptor(aux, fd);
		return PROBE_CAUSE_NESTED;
	}
	if (probe_wait_class(nr) > WAIT_FUTEX)
		return PROBE_CAUSE_NESTED;
	switch (kind) {
	case CALL_SLEEP:
		return LSC_CAUSE_SLEEP;
	case CALL_LOCK:
		if (nr == NR_FUTEX && is_gil(prev->tgid, t->args[0]))
			return LSC_CAUSE_GIL;
		t->timed = t->args[3] != 0;
		t->candidate = nr == NR_FUTEX && !probe_futex_is_lock(t->args);
		return LSC_CAUSE_LOCK;
	case CALL_CHILD:
		return LSC_CAUSE_CHILD_WAIT;
	case CALL_NET:
		t->fd_kind = fd_look(prev, t->args[0], &t->ino, aux);
		return LSC_CAUSE_NETWORK_IO;
	case CALL_FD:
		t->fd_kind = fd_look(prev, t->args[0], &t->ino, aux);
		return fd_cause(t->fd_kind);
	case CALL_PATH: /* an open that sleeps interruptibly waits for a FIFO's other end */
		return state & STATE_INTERRUPTIBLE ? LSC_CAUSE_PIPE_IO : LSC_CAUSE_FILE_IO;
	}
	return state & STATE_UNINTERRUPTIBLE ? LSC_CAUSE_FILE_IO : LSC_CAUSE_OTHER;
}

/* The call that slept goes on, after other work in the kernel: what is known of it stays. */
static __always_inline void block_goes_on(struct thread_state *t, __u32 tid)
{
	struct stack_slot *slot = bpf_map_lookup_elem(&stacks, &tid);

	t->off = OFF_BLOCK;
	t->waker_seen = t->waker_child = t->waker_exiting = 0;
	t->waker_pid = 0;
	if (slot)
		slot->block.off_ns = t->off_ns;
}

/* The current thread goes to sleep in a block. begins: it is the first sleep of its call, or may
 * be; not what is left of a call that a stop or other work interrupted, nor that stop. */
__noinline int enter_block(struct thread_state *t, __u64 id, __u32 state, bool begins)
{
	struct task_struct *prev = bpf_get_current_task_btf();
	struct stack_slot *slot = NULL;
	struct aux *aux = NULL;
	__u32 tid = id;

	if (!t)
		return 0;
	int kind = call_kind_of(t->nr);
	t->off = OFF_BLOCK;
	t->call_ns = is_stopped(prev, state) ? 0 : t->off_ns;
	t->told_ns = 0;
	t->candidate = 0;
	t->chained = t->expected = 0;
	t->fd_kind = FD_UNKNOWN;
	t->waker_seen = t->waker_child = t->waker_exiting = 0;
	t->waker_pid = 0;
	t->ino = 0;
	if (begins)
		t->until_ns = 0;
	if (is_loop(t)) {
		slot = bpf_map_lookup_elem(&stacks, &tid);
		t->task = current_task_number(tid);
	}
	if (slot) {
		slot->block.stack_size = slot->block.cut = 0;
		aux = (struct aux *)slot->block.aux;
		aux->type = AUX_NONE;
		t->expected = long_site(slot, t->nr, t->sp) != NULL;
	}
	t->cause = block_begin_cause(t, prev, state, kind, aux);
	if (slot)
		block_record(t, slot, kind, begins);
	if (slot && have_gils)
		python_block(t, id);
	return 0;
}

/* Whether the wait may be a loop's. Without descriptors it is a sleep; a poll of one socket is a
 * client's wait for its answer, unless the main thread does nothing else. */
static __always_inline bool may_idle(struct task_struct *prev, __s64 nr, const __u64 *args,
				     bool main)
{
	__s32 fd = -1;
	__u64 ino;

	if (nr == NR_SELECT || nr == NR_PSELECT6)
		return args[0] != 0;
	if (nr != NR_POLL && nr != NR_PPOLL)
		return true;
	if (args[1] != 1 || main)
		return args[1] != 0;
	bpf_probe_read_user(&fd, sizeof(fd), (void *)args[0]);
	int kind = fd_look(prev, fd, &ino, NULL);
	return kind != FD_INET && kind != FD_UNIX;
}

/* The thread goes to sleep: in its primary wait, in one that becomes it, or in a block. */
static __always_inline void go_to_sleep(struct thread_state *t, struct task_struct *prev, __u64 id,
					__u32 state, __u64 now)
{
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(prev);
	__u64 sp = r->sp, args[4] = {r->di, r->si, r->dx, r->r10};
	__s32 nr = call_restarted(t, r->orig_ax, sp);
	bool waits = (state & STATE_INTERRUPTIBLE) && !is_stopped(prev, state);
	int class = waits ? probe_wait_class(nr) : WAIT_NONE;

	if (class) {
		if (site_is_primary(t, nr, sp, args)) {
			enter_idle(t, id, sp, args, now);
			t->due_ns = victim_due(t->primary_nr, r, now);
			return;
		}
		if (class == WAIT_FUTEX && idles_in_other(t, id, sp, args)) {
			enter_other(t, id, now);
			return;
		}
	}
	leave_if_over(t, id);
	if (class > WAIT_FUTEX && may_idle(prev, nr, args, t->main) &&
	    learn(t, id, sp, nr, args, class, now)) {
		t->off = OFF_IDLE;
		t->away = 0;
		t->slept_in_wait = 1;
		return;
	}
	/* nothing of the program ran since it slept in the same call */
	if ((__s32)r->orig_ax == NR_RESTART_SYSCALL && t->call_ns && t->call_ns >= t->tick_ns &&
	    sp == t->sp && nr == t->nr && waits) {
		block_goes_on(t, id);
		return;
	}
	t->nr = nr;
	t->sp = sp;
	t->args[0] = args[0];
	t->args[1] = args[1];
	t->args[2] = args[2];
	t->args[3] = args[3];
	t->args[4] = r->r8;
	t->args[5] = r->r9;
	enter_block(t, id, state, r->ax == NO_RESULT && (__s32)r->orig_ax != NR_RESTART_SYSCALL);
}

/* What a wait was for is known when it ends: by who ended it and what lies behind the descriptor.
 */
static __always_inline int block_cause(const struct thread_state *t)
{
	int c = t->cause;

	if (c == PROBE_CAUSE_NESTED) {
		if (t->waker_exiting && t->fd_kind != FD_INET)
			return LSC_CAUSE_CHILD_WAIT;
		if (t->fd_kind == FD_PIPE && t->waker_child)
			return LSC_CAUSE_CHILD_WAIT;
		if (t->fd_kind && t->fd_kind != FD_ANON)
			return fd_cause(t->fd_kind);
		if (!t->waker_seen)
			return LSC_CAUSE_OTHER; /* too short for its end to be watched */
		return t->waker_child ? LSC_CAUSE_CHILD_WAIT : LSC_CAUSE_NETWORK_IO;
	}
	if (c == LSC_CAUSE_PIPE_IO && t->fd_kind == FD_PIPE && t->waker_child)
		return LSC_CAUSE_CHILD_WAIT;
	if (c == LSC_CAUSE_NETWORK_IO && t->fd_kind == FD_UNIX && t->waker_exiting)
		return LSC_CAUSE_CHILD_WAIT;
	return c < PROBE_CAUSES ? c : LSC_CAUSE_OTHER;
}

/* How much of a delay in run queues can be true of a sleep that ended by itself: none before its
 * time. */
static __always_inline __u64 sleep_delay(const struct thread_state *t, __u64 now, __u64 delay)
{
	__u64 most = now > t->until_ns ? now - t->until_ns : 0;

	return delay < most ? delay : most;
}

static __always_inline void block_fill(struct event_block *b, const struct thread_state *t,
				       __u64 id, __u64 now, __u64 wake, __u32 cause)
{
	__u64 from = block_began(t);

	b->e.kind = EVENT_BLOCK;
	b->e.ts_ns = now;
	b->e.tgid = id >> 32;
	b->e.tid = id;
	b->off_ns = from;
	b->wake_ns = wake;
	b->tick_ns = t->tick_ns;
	b->again = t->told_ns != 0;
	__builtin_memcpy(b->args, t->args, sizeof(b->args));
	b->ino = t->ino;
	b->nr = t->nr;
	b->task = t->task;
	b->waker_pid = t->waker_pid;
	b->cause = cause;
	b->fd_kind = t->fd_kind;
	b->waker_child = t->waker_child;
	b->waker_exiting = t->waker_exiting;
	b->waker_seen = t->waker_seen;
	b->kernel = 0;
	b->confidence = t->confidence;
	b->class = t->primary_class;
	__builtin_memcpy(b->waker_comm, t->waker_comm, sizeof(b->waker_comm));
}

/* Whether what lasted up to `wake` is to be told: one that is interrupted ever so often is told
 * again each millisecond. */
static __always_inline bool block_is_told(const struct thread_state *t, __u64 wake)
{
	return t->tick_ns && is_loop(t) && wake - block_began(t) >= block_ns &&
	       wake - t->told_ns >= TELL_AGAIN_NS;
}

__noinline int emit_block(struct thread_state *t, __u64 id, __u64 now, __u64 wake, __u32 cause)
{
	__u32 tid = id;

	if (!t)
		return 0;
	struct stack_slot *slot = bpf_map_lookup_elem(&stacks, &tid);
	count(COUNT_EMITTED);
	/* no scratch slot (yet), or its stack was told before: without it */
	if (!slot || slot->block.off_ns != t->off_ns || t->told_ns) {
		struct event_block *b = bpf_ringbuf_reserve(&events, sizeof(*b), 0);
		if (!b) {
			count(COUNT_RING_FULL);
			return 0;
		}
		__builtin_memset(b, 0, sizeof(*b));
		block_fill(b, t, id, now, wake, cause);
		b->e.size = sizeof(*b);
		t->told_ns = wake;
		bpf_ringbuf_submit(b, wakeup_flags());
		return 0;
	}
	__u32 size = slot->block.stack_size;
	if (size > PROBE_STACK_BYTES)
		size = 0;
	block_fill(&slot->block, t, id, now, wake, cause);
	slot->block.e.size = sizeof(slot->block) + size;
	if (bpf_ringbuf_output(&events, slot, sizeof(slot->block) + size, wakeup_flags()))
		count(COUNT_RING_FULL);
	else
		t->told_ns = wake;
	return 0;
}

#endif
