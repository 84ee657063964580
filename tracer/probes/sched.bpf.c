// SPDX-License-Identifier: MIT
/*
 * The base probes: ticks, blocks and samples of event loops from sched_switch, sched_waking and a
 * CPU-wide clock, with sys_exit as the precise mode that user space arms for a second at a time.
 * Filtering and accounting happen here; only slow ticks, long blocks, samples inside long ticks and
 * lifecycle events leave the kernel. docs/probes.md says what each mode sees.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "base/cause.h"
#include "event.h"
#include "learn.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define STATE_INTERRUPTIBLE   0x1
#define STATE_UNINTERRUPTIBLE 0x2
#define STATE_STOPPED	      0xc  /* __TASK_STOPPED | __TASK_TRACED */
#define STATE_DEAD	      0xb0 /* EXIT_DEAD | EXIT_ZOMBIE | TASK_DEAD */
#define PF_EXITING	      0x4
#define PIPEFS_MAGIC	      0x50495045
#define AF_UNIX		      1
#define AF_INET		      2
#define AF_INET6	      10
#define LATE_WAKE_NS	      50000ull /* a wake-up may precede the switch-out by this much */

const volatile __u32 only_tgid = 0; /* the one target, or 0: look into `targets` */
const volatile __u64 stall_ns = 10000000;
const volatile __u64 block_ns = 1000000;
const volatile __u8 follow = 0;

__u64 armed_at;                       /* precise mode since; 0: off. Written by user space */
__u32 have_rings;                     /* some thread has its current task at a known address */
__u64 busy_since[PROBE_BUSY_SLOTS];   /* begin of the running tick of each loop thread, else 0 */
__u64 counters[COUNT_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_THREADS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct thread_state);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_TARGETS);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_STACKS);
	__type(key, __u32);
	__type(value, struct stack_slot);
} stacks SEC(".maps");

struct { /* tid -> address of its current task's number in the target's memory */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_STACKS * 8);
	__type(key, __u32);
	__type(value, __u64);
} task_addresses SEC(".maps");

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
		return tgid == only_tgid;
	return bpf_map_lookup_elem(&targets, &tgid) != NULL;
}

static __always_inline __u64 wakeup_flags(void)
{
	/* Nobody waits for an event: user space looks every few ms. Only a filling ring wakes it. */
	return bpf_ringbuf_query(&events, 0) > (4 << 20) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}


static __noinline int emit_loop(struct thread_state *t, __u32 tgid, __u32 tid, __u64 now, int replaced)
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

/* ---- ticks ---- */

static __always_inline void busy_mark(struct thread_state *t, __u64 since)
{
	__u32 slot = t->busy_slot - 1;

	if (slot < PROBE_BUSY_SLOTS)
		busy_since[slot] = since;
}

static __always_inline void tick_begin(struct thread_state *t, __u64 now)
{
	t->tick_ns = now;
	t->longest_block_ns = 0;
	t->longest_block_start_ns = 0;
	t->samples_user = t->samples_kernel = 0;
	__builtin_memset(t->split, 0, sizeof(t->split));
	busy_mark(t, now);
}

static __noinline int emit_stall(struct thread_state *t, __u64 id, __u64 end, __u64 low, __u32 flags)
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
	e->samples_user = t->samples_user;
	e->samples_kernel = t->samples_kernel;
	e->longest_block_ns = t->longest_block_ns;
	e->longest_block_start_ns = t->longest_block_start_ns;
	e->task = t->task;
	e->class = t->primary_class;
	e->confidence = t->confidence;
	e->precise = flags & 1;
	e->exited = flags >> 1;
	bpf_ringbuf_submit(e, wakeup_flags());
	return 0;
}

static __noinline int lag_add(struct thread_state *t, __u64 ns)
{
	if (!t)
		return 0;
	__u32 slot = lsc_hist_index(ns);

	asm volatile("" : "+r"(slot)); /* keeps the check below on the register that is used */
	if (slot >= LSC_HIST_SLOTS)
		return 0;
	t->lag.slot[slot]++;
	t->lag.count++;
	t->lag.sum_ns += ns;
	if (ns > t->lag.max_ns)
		t->lag.max_ns = ns;
	return 0;
}

/* The tick ended. What is certainly one tick: the time since exits are watched, and the longest block
 * (nothing ends inside a block); where the block spans the arming, both together. */
static __always_inline void tick_end(struct thread_state *t, __u64 id, __u64 end, bool precise, bool exited)
{
	__u64 begin = t->tick_ns;

	busy_mark(t, 0);
	if (!begin || end <= begin)
		return;
	__u64 d = end - begin;
	t->ticks++;
	t->busy_ns += d;
	lag_add(t, d + t->wait_delay_ns);
	t->wait_delay_ns = 0;
	if (d < stall_ns || !is_loop(t))
		return;

	__u64 low = t->longest_block_ns, since = armed_at;
	if (since && since < end) {
		__u64 block = t->longest_block_start_ns;
		if (since < begin)
			since = begin;
		if (block && block <= since && since <= block + t->longest_block_ns)
			since = block;
		if (end - since > low)
			low = end - since;
	}
	if (low < stall_ns / 2)
		t->unsure_ns += d - low;
	else
		emit_stall(t, id, end, low, (precise ? 1 : 0) | (exited ? 2 : 0));
}

/* ---- learning ---- */

static __always_inline bool learn(struct thread_state *t, __u64 id, __u64 sp, __u32 nr, __s32 fd, int class,
				  __u64 now)
{
	__u32 index = 0;
	struct wait_site *x = site_find(t, sp, nr, &index);

	if (!x)
		return false;
	x->fd = fd;
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
	if (!site_replaces(t, x, class, now))
		return false;
	bool replaced = t->primary_sp != 0;
	t->primary_sp = sp;
	t->primary_nr = nr;
	t->primary_fd = fd;
	t->primary_class = class;
	t->primary_count = x->count;
	t->confidence = x->count > 3 ? 3 : x->count;
	t->primary_last_ns = now;
	t->primary_longest_run_ns = x->longest_run_ns;
	t->run_site = 0;
	t->run_start_ns = now;
	t->tick_ns = 0;
	busy_mark(t, 0);
	if (!t->busy_slot)
		t->busy_slot = (__u32)id % PROBE_BUSY_SLOTS + 1; /* threads that share one only arm too often */
	emit_loop(t, id >> 32, id, now, replaced);
	return true;
}

/* The thread goes to sleep in its primary wait. */
static __always_inline void enter_idle(struct thread_state *t, __u64 id, __u64 sp, __s32 fd, __u64 now)
{
	tick_end(t, id, now, false, false);
	t->tick_ns = 0;
	t->off = OFF_IDLE;
	t->primary_last_ns = now;
	t->primary_sp = sp;
	t->primary_fd = fd;
	t->primary_count++;
	t->slept_in_wait = 1;
	if (t->run_site) {
		t->run_site = 0;
		t->run_start_ns = now;
	} else if (now - t->run_start_ns > t->primary_longest_run_ns) {
		t->primary_longest_run_ns = now - t->run_start_ns;
	}
	if (t->confidence < 3 && ++t->confidence == 3)
		emit_loop(t, id >> 32, id, now, 0);
}

/* ---- descriptors ---- */

static __always_inline int fd_look(struct task_struct *p, __s32 fd, __u64 *ino, struct aux *aux)
{
	struct file **table = BPF_CORE_READ(p, files, fdt, fd), *f = NULL;
	__u32 max = BPF_CORE_READ(p, files, fdt, max_fds);

	if (fd < 0 || (__u32)fd >= max)
		return FD_UNKNOWN;
	bpf_probe_read_kernel(&f, sizeof(f), table + fd);
	if (!f)
		return FD_UNKNOWN;
	struct inode *i = BPF_CORE_READ(f, f_inode);
	__u32 mode = BPF_CORE_READ(i, i_mode) & 0170000;
	*ino = BPF_CORE_READ(i, i_ino);
	switch (mode) {
	case 0100000:
	case 0060000:
		return FD_REGULAR;
	case 0010000:
		return BPF_CORE_READ(i, i_sb, s_magic) == PIPEFS_MAGIC ? FD_PIPE : FD_FIFO;
	case 0020000:
		return FD_CHAR;
	case 0040000:
		return FD_DIR;
	case 0140000:
		break;
	default:
		return FD_ANON;
	}
	struct socket *so = BPF_CORE_READ(f, private_data);
	struct sock *sk = BPF_CORE_READ(so, sk);
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (aux && aux->type == AUX_NONE) {
		aux->type = AUX_SOCKET;
		aux->socket.family = family;
		aux->socket.fd = fd;
		aux->socket.protocol = BPF_CORE_READ(sk, sk_protocol);
		aux->socket.port_be = BPF_CORE_READ(sk, __sk_common.skc_dport);
		if (family == AF_INET6)
			BPF_CORE_READ_INTO(&aux->socket.address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		else if (family == AF_INET)
			BPF_CORE_READ_INTO((__be32 *)aux->socket.address, sk, __sk_common.skc_daddr);
	}
	return family == AF_UNIX ? FD_UNIX : FD_INET;
}

static __always_inline int fd_cause(int kind)
{
	switch (kind) {
	case FD_REGULAR:
	case FD_DIR:
		return LSC_CAUSE_FILE_IO;
	case FD_FIFO:
	case FD_PIPE:
		return LSC_CAUSE_PIPE_IO;
	case FD_INET:
	case FD_UNIX:
		return LSC_CAUSE_NETWORK_IO;
	case FD_CHAR:
		return LSC_CAUSE_DEVICE;
	}
	return LSC_CAUSE_OTHER;
}

/* ---- blocks ---- */

enum call_kind { CALL_OTHER, CALL_SLEEP, CALL_LOCK, CALL_CHILD, CALL_NET, CALL_FD, CALL_PATH };

static __always_inline int call_kind_of(__s64 nr)
{
	switch (nr) {
	case 35: case 230: /* nanosleep clock_nanosleep */
		return CALL_SLEEP;
	case NR_FUTEX: case 449: case 454: case 455: /* futex_waitv futex_wait futex_requeue */
	case 65: case 72: case 73: case 220: /* semop fcntl flock semtimedop */
		return CALL_LOCK;
	case 56: case 58: case 61: case 247: case 435: /* clone vfork wait4 waitid clone3 */
		return CALL_CHILD;
	case 42: case 43: case 44: case 45: case 46: case 47: case 288: case 299: case 307: /* connect.. */
		return CALL_NET;
	case 0: case 1: case 5: case 17: case 18: case 19: case 20: case 40: case 74: case 75: case 77:
	case 78: case 217: case 275: case 277: case 285: case 295: case 296: case 306: case 327: case 328:
		return CALL_FD; /* read write fstat pread pwrite readv writev sendfile fsync ... */
	case 2: case 4: case 6: case 21: case 59: case 76: case 82: case 83: case 84: case 85: case 86:
	case 87: case 88: case 89: case 257: case 258: case 262: case 263: case 264: case 316: case 332:
	case 437: case 439:
		return CALL_PATH; /* open stat lstat access execve truncate rename mkdir ... openat */
	}
	return CALL_OTHER;
}

static __always_inline const void *path_argument(__s64 nr, const __u64 *args)
{
	return (const void *)(nr >= 257 ? args[1] : args[0]);
}

/* Copies registers and stack of the thread that is about to be switched out. */
static __noinline int stack_copy(struct stack_slot *s)
{
	struct task_struct *p = bpf_get_current_task_btf();
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(p);
	__u64 sp = r->sp;
	__u32 done = 0;

	if (!s)
		return 0;
	__u64 *g = s->block.regs;
	g[0] = r->ax; g[1] = r->dx; g[2] = r->cx; g[3] = r->bx; g[4] = r->si; g[5] = r->di; g[6] = r->bp;
	g[7] = sp; g[8] = r->r8; g[9] = r->r9; g[10] = r->r10; g[11] = r->r11; g[12] = r->r12;
	g[13] = r->r13; g[14] = r->r14; g[15] = r->r15; g[16] = r->ip;
	if (!bpf_probe_read_user(s->stack, PROBE_STACK_BYTES, (void *)sp)) {
		s->block.stack_size = PROBE_STACK_BYTES;
		return 0;
	}
	/* the stack ends sooner, or a page is not there: page by page */
	__u32 first = 4096 - (sp & 4095);
	if (first > 4096)
		return 0;
	if (!bpf_probe_read_user(s->stack, first, (void *)sp)) {
		done = first;
#pragma unroll
		for (int i = 0; i < 3; i++) {
			if (done == first + i * 4096 && first + i * 4096 <= PROBE_STACK_BYTES - 4096 &&
			    !bpf_probe_read_user(s->stack + first + i * 4096, 4096, (void *)(sp + done)))
				done += 4096;
		}
	}
	s->block.stack_size = done;
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

/* A block of a loop begins: keep what is only to be had now, in case it turns out long. */
static __always_inline void block_record(struct thread_state *t, struct stack_slot *slot, int kind)
{
	struct aux *aux = (struct aux *)slot->block.aux;

	slot->block.off_ns = t->off_ns;
	if (kind == CALL_SLEEP) {
		aux->type = AUX_TIME;
		bpf_probe_read_user(aux->time, sizeof(aux->time), (void *)(t->nr == 230 ? t->args[2] : t->args[0]));
	} else if (kind == CALL_PATH) {
		aux->type = AUX_PATH;
		if (bpf_probe_read_user_str(aux->path, sizeof(aux->path), path_argument(t->nr, t->args)) < 0)
			aux->type = AUX_NONE;
	}
	stack_copy(slot);
}

static __always_inline void enter_block(struct thread_state *t, struct task_struct *prev, __u64 id, __u32 state,
					__u64 now)
{
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(prev);
	__s64 nr = (__s32)r->orig_ax;
	__u64 sp = r->sp, a0 = r->di, a1 = r->si;
	int class = probe_wait_class(nr);
	__u32 tid = id;

	t->off = OFF_BLOCK;
	t->candidate = 0;
	t->nr = nr;
	t->fd_kind = FD_UNKNOWN;
	t->waker_child = t->waker_exiting = 0;
	t->waker_pid = 0;
	t->ino = 0;
	if (!(state & STATE_STOPPED)) {
		bool asleep = state & STATE_INTERRUPTIBLE;
		if (asleep && site_is_primary(t, nr, sp, a0)) {
			enter_idle(t, id, sp, a0, now);
			return;
		}
		if (asleep && class > WAIT_FUTEX) {
			bool empty = (nr == NR_POLL || nr == NR_PPOLL) ? a1 == 0 :
				     (nr == NR_SELECT || nr == NR_PSELECT6) ? a0 == 0 : false;
			if (!empty && learn(t, id, sp, nr, a0, class, now)) {
				t->off = OFF_IDLE;
				t->slept_in_wait = 1;
				return;
			}
		}
	}
	t->sp = sp;
	t->args[0] = a0;
	t->args[1] = a1;
	t->args[2] = r->dx;
	t->args[3] = r->r10;
	t->args[4] = r->r8;
	t->args[5] = r->r9;

	struct stack_slot *slot = NULL;
	if (is_loop(t)) {
		slot = bpf_map_lookup_elem(&stacks, &tid);
		if (!slot)
			count(COUNT_STACK_SLOTS);
		t->task = current_task_number(tid);
	}
	struct aux *aux = slot ? (struct aux *)slot->block.aux : NULL;
	if (slot) {
		slot->block.stack_size = 0;
		aux->type = AUX_NONE;
	}

	int kind = call_kind_of(nr), cause = LSC_CAUSE_OTHER;
	__s32 fd = -1;
	if (state & STATE_STOPPED) {
		cause = LSC_CAUSE_STOPPED;
		kind = CALL_OTHER;
	} else if (class > WAIT_FUTEX) {
		cause = PROBE_CAUSE_NESTED;
		if (nr == NR_POLL || nr == NR_PPOLL) {
			if (a1 == 0)
				cause = LSC_CAUSE_SLEEP;
			else
				bpf_probe_read_user(&fd, sizeof(fd), (void *)a0);
		} else if (nr == NR_SELECT || nr == NR_PSELECT6) {
			if (a0 == 0)
				cause = LSC_CAUSE_SLEEP;
			else
				fd = a0 - 1; /* the highest; exact where there is one */
		}
		if (fd >= 0)
			t->fd_kind = fd_look(prev, fd, &t->ino, aux);
	} else if (nr < 0) {
		cause = LSC_CAUSE_PAGE_FAULT;
	} else if (kind == CALL_SLEEP) {
		cause = LSC_CAUSE_SLEEP;
	} else if (kind == CALL_LOCK) {
		cause = LSC_CAUSE_LOCK;
		t->timed = t->args[3] != 0;
		t->candidate = nr == NR_FUTEX;
	} else if (kind == CALL_CHILD) {
		cause = LSC_CAUSE_CHILD_WAIT;
	} else if (kind == CALL_NET) {
		cause = LSC_CAUSE_NETWORK_IO;
		t->fd_kind = fd_look(prev, a0, &t->ino, aux);
	} else if (kind == CALL_FD) {
		t->fd_kind = fd_look(prev, a0, &t->ino, aux);
		cause = fd_cause(t->fd_kind);
	} else if (kind == CALL_PATH) { /* an open that sleeps interruptibly waits for a FIFO's other end */
		cause = state & STATE_INTERRUPTIBLE ? LSC_CAUSE_PIPE_IO : LSC_CAUSE_FILE_IO;
	} else if (state & STATE_UNINTERRUPTIBLE) {
		cause = LSC_CAUSE_FILE_IO;
	}
	t->cause = cause;
	if (slot)
		block_record(t, slot, kind);
}

/* What a wait was for is known when it ends: by who ended it and what lies behind the descriptor. */
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
		return t->waker_child ? LSC_CAUSE_CHILD_WAIT : LSC_CAUSE_NETWORK_IO;
	}
	if (c == LSC_CAUSE_PIPE_IO && t->fd_kind == FD_PIPE && t->waker_child)
		return LSC_CAUSE_CHILD_WAIT;
	if (c == LSC_CAUSE_NETWORK_IO && t->fd_kind == FD_UNIX && t->waker_exiting)
		return LSC_CAUSE_CHILD_WAIT;
	return c < PROBE_CAUSES ? c : LSC_CAUSE_OTHER;
}

static __noinline int emit_block(struct thread_state *t, __u64 id, __u64 now, __u64 wake, __u32 cause)
{
	__u32 tid = id;

	if (!t)
		return 0;
	struct stack_slot *slot = bpf_map_lookup_elem(&stacks, &tid);
	count(COUNT_EMITTED);
	if (!slot || slot->block.off_ns != t->off_ns) {
		/* no scratch slot (yet): the block without its stack */
		struct event_block *b = bpf_ringbuf_reserve(&events, sizeof(*b), 0);
		if (!b) {
			count(COUNT_RING_FULL);
			return 0;
		}
		__builtin_memset(b, 0, sizeof(*b));
		b->e.kind = EVENT_BLOCK;
		b->e.size = sizeof(*b);
		b->e.ts_ns = now;
		b->e.tgid = id >> 32;
		b->e.tid = tid;
		b->off_ns = t->off_ns;
		b->wake_ns = wake;
		b->tick_ns = t->tick_ns;
		__builtin_memcpy(b->args, t->args, sizeof(b->args));
		b->ino = t->ino;
		b->nr = t->nr;
		b->task = t->task;
		b->waker_pid = t->waker_pid;
		b->cause = cause;
		b->fd_kind = t->fd_kind;
		b->waker_child = t->waker_child;
		b->waker_exiting = t->waker_exiting;
		b->confidence = t->confidence;
		b->class = t->primary_class;
		__builtin_memcpy(b->waker_comm, t->waker_comm, sizeof(b->waker_comm));
		bpf_ringbuf_submit(b, wakeup_flags());
		return 0;
	}
	struct event_block *b = &slot->block;
	__u32 size = b->stack_size;
	if (size > PROBE_STACK_BYTES)
		size = 0;
	b->e.kind = EVENT_BLOCK;
	b->e.size = sizeof(*b) + size;
	b->e.ts_ns = now;
	b->e.tgid = id >> 32;
	b->e.tid = tid;
	b->wake_ns = wake;
	b->tick_ns = t->tick_ns;
	__builtin_memcpy(b->args, t->args, sizeof(b->args));
	b->ino = t->ino;
	b->nr = t->nr;
	b->task = t->task;
	b->waker_pid = t->waker_pid;
	b->cause = cause;
	b->fd_kind = t->fd_kind;
	b->waker_child = t->waker_child;
	b->waker_exiting = t->waker_exiting;
	b->kernel = 0;
	b->confidence = t->confidence;
	b->class = t->primary_class;
	__builtin_memcpy(b->waker_comm, t->waker_comm, sizeof(b->waker_comm));
	if (bpf_ringbuf_output(&events, slot, sizeof(*b) + size, wakeup_flags()))
		count(COUNT_RING_FULL);
	return 0;
}

/* ---- on and off the CPU ---- */

/* The thread runs again since `now`. */
static __noinline int came_back(struct thread_state *t, __u64 id, __u64 now)
{
	if (!t)
		return 0;
	__u64 off = t->off_ns, wake = t->wake_ns;
	__u8 what = t->off;

	t->off = OFF_NONE;
	if (!what || !off || now < off)
		return 0;
	if (what == OFF_RUNQUEUE) {
		t->split[LSC_CAUSE_RUNQUEUE] += now - off;
		t->runqueue_ns += now - off;
		return 0;
	}
	if (wake < off) {
		if (off - wake < LATE_WAKE_NS) {
			wake = off;
		} else {
			wake = now;
			count(COUNT_LATE_WAKE);
		}
	}
	if (wake > now)
		wake = now;
	t->runqueue_ns += now - wake;
	if (what == OFF_IDLE) {
		t->idle_ns += wake - off;
		t->wait_delay_ns = now - wake;
		tick_begin(t, now);
		return 0;
	}
	__u64 d = wake - off;
	int cause = block_cause(t);
	t->split[cause & 15] += d;
	t->split[LSC_CAUSE_RUNQUEUE] += now - wake;
	if (d > t->longest_block_ns) {
		t->longest_block_ns = d;
		t->longest_block_start_ns = off;
	}
	if (d >= block_ns && t->tick_ns && is_loop(t))
		emit_block(t, id, now, wake, cause);
	if (t->candidate) {
		t->candidate = 0;
		__u64 least = t->main && t->primary_class < WAIT_POLL ? 1000000ull : t->timed ? 20000000ull : 5000000ull;
		if (d > least && learn(t, id, t->sp, NR_FUTEX, 0, WAIT_FUTEX, now))
			tick_begin(t, now);
	}
	return 0;
}

static __always_inline struct thread_state *thread_of(struct task_struct *p)
{
	__u32 tid = p->pid, zero = 0;
	struct thread_state *t = bpf_map_lookup_elem(&threads, &tid);

	if (t)
		return t;
	t = bpf_map_lookup_elem(&blank, &zero);
	if (t)
		bpf_map_update_elem(&threads, &tid, t, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&threads, &tid);
	if (t)
		t->main = p->pid == p->tgid;
	else
		count(COUNT_THREADS_FULL);
	return t;
}

static __always_inline void switch_out(struct task_struct *prev, bool preempt, __u32 state)
{
	struct thread_state *t = thread_of(prev);

	if (!t)
		return;
	__u64 now = bpf_ktime_get_ns(), id = (__u64)prev->tgid << 32 | (__u32)prev->pid;
	__u64 runtime = prev->se.sum_exec_runtime;
	if (t->off) { /* its way in was not seen: it has run for what its clock says */
		__u64 ran = runtime - t->off_runtime;
		if (t->seeded)
			t->off = OFF_NONE; /* it ran when user space looked: the tick's begin is unknown */
		else
			count(COUNT_MISSED_IN);
		__u64 in = ran < now ? now - ran : now;
		came_back(t, id, in > t->off_ns ? in : t->off_ns);
	}
	t->seeded = 0;
	t->off_ns = now;
	t->off_runtime = runtime;
	if (preempt || !state)
		t->off = OFF_RUNQUEUE;
	else if (!(state & STATE_DEAD))
		enter_block(t, prev, id, state, now);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int state)
{
	if (is_target(prev->tgid))
		switch_out(prev, preempt, state);
	if (is_target(next->tgid)) {
		__u32 tid = next->pid;
		struct thread_state *t = bpf_map_lookup_elem(&threads, &tid);
		if (t) {
			t->seeded = 0;
			came_back(t, (__u64)next->tgid << 32 | tid, bpf_ktime_get_ns());
		}
	}
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *p)
{
	if (!is_target(p->tgid))
		return 0;
	__u32 tid = p->pid, tgid = p->tgid;
	struct thread_state *t = bpf_map_lookup_elem(&threads, &tid);
	if (!t)
		return 0;
	t->wake_ns = bpf_ktime_get_ns();
	if (t->off != OFF_BLOCK)
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
	return 0;
}

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = id;

	if (!is_target(id >> 32))
		return 0;
	struct thread_state *t = bpf_map_lookup_elem(&threads, &tid);
	if (!t || !t->tick_ns || !is_loop(t))
		return 0;
	bool kernel = ctx->regs.ip >> 63;
	if (kernel)
		t->samples_kernel++;
	else
		t->samples_user++;
	__u64 now = bpf_ktime_get_ns();
	if (now - t->tick_ns < stall_ns / 2)
		return 0;
	struct stack_slot *slot = bpf_map_lookup_elem(&stacks, &tid);
	if (!slot)
		return 0;
	struct event_block *b = &slot->block;
	stack_copy(slot);
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

/* Precise mode: every return from the primary wait is a tick boundary. */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	__s64 nr = (__s32)regs->orig_ax;

	if (probe_wait_class(nr) < WAIT_POLL)
		return 0;
	__u64 id = bpf_get_current_pid_tgid();
	if (!is_target(id >> 32))
		return 0;
	__u32 tid = id;
	struct thread_state *t = bpf_map_lookup_elem(&threads, &tid);
	if (!t || !site_is_primary(t, nr, regs->sp, regs->di))
		return 0;
	__u64 now = bpf_ktime_get_ns();
	count(COUNT_PRECISE_EXITS);
	if (t->off)
		came_back(t, id, now);
	bool slept = t->slept_in_wait;
	t->slept_in_wait = 0;
	/* It slept in this wait: the tick began at the wake-up. A flag from before the arming is stale. */
	if (slept && t->tick_ns >= armed_at)
		return 0;
	tick_end(t, id, now, true, false);
	tick_begin(t, now);
	return 0;
}

/* ---- lifecycle ---- */

static __always_inline void emit_process(__u32 kind, __u32 tgid, __u32 tid, __u32 child, const char *comm)
{
	struct event_process *e;

	count(COUNT_EMITTED);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNT_RING_FULL);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->e.kind = kind;
	e->e.size = sizeof(*e);
	e->e.ts_ns = bpf_ktime_get_ns();
	e->e.tgid = tgid;
	e->e.tid = tid;
	e->child = child;
	bpf_probe_read_kernel(e->comm, sizeof(e->comm), comm);
	bpf_ringbuf_submit(e, wakeup_flags());
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = child->tgid, one = 1;

	if (!follow || child->pid != child->tgid || !is_target(parent->tgid))
		return 0;
	if (bpf_map_update_elem(&targets, &tgid, &one, BPF_ANY)) {
		count(COUNT_THREADS_FULL);
		return 0;
	}
	emit_process(EVENT_FORK, parent->tgid, parent->pid, tgid, child->comm);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, int old_pid)
{
	__u32 tid = p->pid, old = old_pid;

	if (!is_target(p->tgid))
		return 0;
	bpf_map_delete_elem(&threads, &tid);
	bpf_map_delete_elem(&threads, &old);
	emit_process(EVENT_EXEC, p->tgid, p->pid, 0, p->comm);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *p)
{
	__u32 tid = p->pid;

	if (!is_target(p->tgid))
		return 0;
	struct thread_state *t = bpf_map_lookup_elem(&threads, &tid);
	if (t && t->primary_sp) {
		tick_end(t, (__u64)p->tgid << 32 | tid, bpf_ktime_get_ns(), false, true);
		t->tick_ns = 0;
		t->exited = 1;
		emit_process(EVENT_EXIT, p->tgid, tid, 0, p->comm);
	} else if (t) {
		bpf_map_delete_elem(&threads, &tid);
	}
	return 0;
}
