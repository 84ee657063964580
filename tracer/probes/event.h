/* SPDX-License-Identifier: MIT */
/*
 * What the kernel programs and the collector share: the events in the ring buffer and the state of
 * a thread. Internal to one build (the two always come from the same one); tracer/decode.c alone
 * turns events into stored rows.
 */
#ifndef LSC_PROBES_EVENT_H
#define LSC_PROBES_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#endif
#include "base/cause.h"
#include "base/histogram.h"

#define RING_BYTES_MIN	  (8u << 20) /* powers of two */
#define RING_BYTES_MAX	  (64u << 20)
#define RING_BYTES_A_CPU  (4u << 20)
#define PROBE_MAX_THREADS 32768 /* threads of targets with state in the kernel */
#define PROBE_MAX_TARGETS 4096
#define PROBE_TIDS	  (1u << 22) /* the kernel's own limit: numbers of threads are less */
#define PROBE_MAX_STACKS  128	     /* loop threads with a scratch slot for stack copies */
#define PROBE_MAX_OWNERS  16   /* threads that hold what a loop waits for, looked for at once */
#define PROBE_SLOTS	  2048 /* a power of two; threads whose state is found without hashing */
#define PROBE_CPUS	  1024 /* a power of two */
#define PROBE_STACK_BYTES                                                                          \
	32768 /* of nested waits: their callers keep event arrays on the stack                     \
	       */
#define PROBE_STACK_USUAL 16384
/* Of blocks where no stall is expected: with its copy it leaves room in a cache. */
#define PROBE_STACK_SHORT 6144
#define LONG_SITES	  4 /* places of long blocks remembered per loop thread; a power of two */
#define PROBE_SITES	  6 /* candidate waits remembered per thread */
#define PROBE_AUX_BYTES	  160
#define UNIX_PATH_BYTES	  108
#define PROBE_SOCKETS	  16384 /* watched for what waits in them */
#define PROBE_LISTENERS	  256
#define PROBE_ARRIVALS	  64 /* connections remembered per listener; a power of two */
#define PROBE_RED_ZONE                                                                             \
	128	      /* bytes below the stack pointer that a function may use: copied, too        \
		       */
#define PROBE_REGS 17 /* DWARF order: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip */

/* How strongly a system call suggests an event loop. */
enum wait_class { WAIT_NONE = 0, WAIT_FUTEX = 1, WAIT_POLL = 2, WAIT_EPOLL = 3 };

#define NR_POLL		   7
#define NR_SELECT	   23
#define NR_FUTEX	   202
#define NR_RESTART_SYSCALL 219
#define NR_EPOLL_WAIT	   232
#define NR_PSELECT6	   270
#define NR_PPOLL	   271
#define NR_EPOLL_PWAIT	   281
#define NR_IO_URING_ENTER  426
#define NR_EPOLL_PWAIT2	   441

#define ENTER_REGISTERED_RING 16 /* of io_uring_enter's flags: the ring by its own number */

static inline __attribute__((always_inline)) int probe_wait_class(long long nr)
{
	switch (nr) {
	case NR_EPOLL_WAIT:
	case NR_EPOLL_PWAIT:
	case NR_EPOLL_PWAIT2:
	case NR_IO_URING_ENTER:
		return WAIT_EPOLL;
	case NR_POLL:
	case NR_PPOLL:
	case NR_SELECT:
	case NR_PSELECT6:
		return WAIT_POLL;
	case NR_FUTEX:
		return WAIT_FUTEX;
	}
	return WAIT_NONE;
}

/* A wait for a contended lock of glibc, musl or Go, by its operation (FUTEX_WAIT) and the value
 * that it waits to change: no parked thread's. */
static inline __attribute__((always_inline)) int probe_futex_is_lock(const __u64 *args)
{
	return (args[1] & 127) == 0 && args[2] == 2;
}

#define STACK_ARRAY_MAX (64ull << 10)
#define STACK_FRAME_MAX 512ull /* what else the frame with such an array holds above it */

/* How far out on its stack a wait is: the stack pointer in it, or the end of the frame whose array
 * of events it fills (libuv: 12 KiB), for a callback that is not called from that frame may be less
 * deep than the wait. Larger is further out. Arrays of a few events change nothing. */
static inline __attribute__((always_inline)) __u64 probe_wait_top(long long nr, __u64 sp,
								  const __u64 *args)
{
	__u64 from = 0, bytes = 0;

	switch (nr) {
	case NR_EPOLL_WAIT:
	case NR_EPOLL_PWAIT:
	case NR_EPOLL_PWAIT2:
		from = args[1];
		bytes = (args[2] & 0xffff) * 12;
		break;
	case NR_POLL:
	case NR_PPOLL:
		from = args[0];
		bytes = (args[1] & 0xffff) * 8;
		break;
	}
	if (from <= sp || from - sp > STACK_ARRAY_MAX || bytes > STACK_ARRAY_MAX ||
	    bytes < STACK_FRAME_MAX)
		return sp;
	return from + bytes + STACK_FRAME_MAX;
}

/* What tells a wait from others at nearly the same depth: its epoll set or ring (one that goes by a
 * number of its own: ~ of that), or where its caller keeps the array of poll or the set of select.
 */
static inline __attribute__((always_inline)) __s32 probe_wait_key(long long nr, __u64 sp,
								  const __u64 *args)
{
	__u64 array = nr == NR_SELECT || nr == NR_PSELECT6 ? args[1] : args[0];

	if (nr == NR_IO_URING_ENTER && args[3] & ENTER_REGISTERED_RING)
		return ~(__s32)args[0];
	if (probe_wait_class(nr) != WAIT_POLL)
		return args[0];
	return array - sp <= STACK_ARRAY_MAX ? array - sp : array;
}

/* The descriptor of an epoll set or a ring, -1 none. key: probe_wait_key(). */
static inline __attribute__((always_inline)) __s32 probe_wait_fd(int class, __s32 key)
{
	return class == WAIT_EPOLL && key >= 0 ? key : -1;
}

/* A cause as the kernel side sees it; the first values are those of enum lsc_cause. */
#define PROBE_CAUSES	   16
#define PROBE_CAUSE_NESTED 255 /* a nested wait: refined by waker and descriptor when it ends */

/* What lies behind a descriptor. */
enum fd_kind {
	FD_UNKNOWN = 0,
	FD_REGULAR = 1,
	FD_FIFO = 2, /* has a name */
	FD_PIPE = 3, /* anonymous */
	FD_INET = 4,
	FD_UNIX = 5,
	FD_CHAR = 6,
	FD_ANON = 7, /* eventfd, epoll, ... */
	FD_DIR = 8,
};

/* What a wait on it is for. */
static inline __attribute__((always_inline)) int fd_cause(int kind)
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

/* What a thread does while it is off the CPU. */
enum off_kind { OFF_NONE = 0, OFF_IDLE = 1, OFF_BLOCK = 2, OFF_RUNQUEUE = 3 };

/* What a second place to idle in, a futex, means. */
enum other_idle {
	OTHER_NONE = 0,
	OTHER_JOBS = 1,	  /* a worker of a pool, one of whose jobs runs the loop */
	OTHER_DRIVER = 2, /* one of several threads that take turns in one epoll set */
};

struct wait_site {
	__u64 sp; /* user stack pointer in the call */
	__u64 last_ns;
	__u64 longest_run_ns;
	__u32 nr;
	__u32 count;
	__u32 run; /* times in a row without another site between */
	__s32 fd;  /* probe_wait_key() */
};

#define PROBE_ANCHORS 7 /* descriptors of a wait that are remembered */

/* Whose state a slot holds. */
#define SLOT_FREE  0u
#define SLOT_TAKEN (~0u) /* being filled */

/* Per thread of a target that sleeps in a wait: in `slots` at tid modulo their number, or, where
 * another thread has that slot, in `crowd`. What a healthy turn touches comes first,
 * in as few lines of the cache as may be. */
struct thread_state {
	__u32 tid;
	__u8 crowded; /* of the slot, not of the thread: others that belong here are in `crowd` */
	__u8 off;     /* enum off_kind */
	__u8 primary_class;
	__u8 confidence; /* 0..3; 0 with a primary wait: its files are closed, the loop is over */
	/* where it idles */
	__u64 primary_sp, primary_top;
	__u64 other_sp; /* OTHER_JOBS: the futex that it idles in outside of its loop */
	__u32 primary_nr;
	__s32 primary_fd;
	__u64 run_start_ns;
	__u64 primary_longest_run_ns;
	__u64 primary_last_ns;
	__u32 run_site;	    /* candidate of the current run, index + 1; 0 = the primary */
	__u8 slept_in_wait; /* since the last exit from the primary wait */
	__u8 open;	    /* its wait was, when it was preempted in a long tick */
	__u8 exited;	    /* user space takes the totals and deletes the entry */
	__u8 split_used;    /* something was added to `split` or to the longest block */
	/* the tick */
	__u64 tick_ns;	     /* begin; 0 while idle or unknown */
	__u64 tick_runtime;  /* CPU clock at its begin */
	__u64 runtime;	     /* CPU clock as last looked at */
	__u64 wait_delay_ns; /* run-queue delay before the tick: lag, not tick */
	__u64 tick_delay;    /* what its delays had added up to at its begin */
	__u64 due_ns;	     /* when the last primary wait would have timed out */
	__u64 anchored_ns;   /* when `anchor` was taken */
	/* the interval off the CPU */
	__u64 off_ns, off_runtime, off_delay;
	__u64 call_ns; /* a block: the first such interval of its call, which the kernel restarts
			* when it was interrupted for the thread's other work in the kernel; 0 none
			*/
	__u32 off_migrations;		/* to other CPUs, so far */
	__u8 off_delayed;		/* and it stood in the run queue still */
	__u8 other;			/* enum other_idle */
	__u8 away;			/* idles outside of its loop */
	__u8 chained;			/* frames of Python were taken when this block began */
	__u64 throttle_rq, throttle_ns; /* the queue it left the CPU for, and its clock then */
	/* totals */
	__u64 ticks, busy_ns, idle_ns, runqueue_ns;
	__u64 unsure_ns; /* busy time whose ticks could not be told apart */
	struct lsc_histogram lag;
	/* of a tick that was more than running, as `inside_ns` */
	__u64 split[PROBE_CAUSES];
	__u64 longest_block_ns;
	__u64 longest_block_start_ns;
	__u64 certain_ns,
		certain_start_ns; /* the longest time off the CPU: a block, or a run queue */
	__u64 watched_ns;	  /* begin of the one in which the precise mode was armed; 0 none */
	__u64 samples_user, samples_kernel;
	/* of a block */
	__u64 sp;
	__u64 args[6];
	__u64 ino;
	__u64 wake_ns; /* with waker_seen */
	__s32 nr;
	__u32 task;
	__u32 waker_pid;
	char waker_comm[16];
	__u8 cause;
	__u8 fd_kind;
	__u8 main;	  /* the main thread */
	__u8 timed;	  /* futex with a timeout */
	__u8 candidate;	  /* this futex wait may be a loop's idling */
	__u8 waker_seen;  /* the wake-up was watched: when, and by whom, is known */
	__u8 waker_child; /* the waker is a descendant of the target */
	__u8 waker_exiting;
	/* what it waited for: the loop is over when none of it is open any more */
	__u8 anchors;
	__u8 expected; /* it was long at this place before */
	__u8 pad[6];
	struct wait_anchor {
		__u64 id; /* of the file: another one with its number has another; 0 any */
		__s64 fd; /* ~ of a ring's own number */
	} anchor[PROBE_ANCHORS];
	struct wait_site site[PROBE_SITES];
	__u64 told_ns;	 /* up to when the block of its call was told; 0 not at all */
	__u64 until_ns;	 /* of a call that sleeps for a given time: before then it does not end by
			  * itself; it may go on after a stop. 0 unknown */
	__u64 inside_ns; /* of the tick: so long its wait was seen to be open */
	__u64 room[4];	 /* up to the end of the line of the cache */
};

#define SP_PARK 1024ull /* a driver's lock and its wait are about as deep as each other */

/* Whether a sleep in a futex is idling if the thread's epoll set is one that others share. */
static inline __attribute__((always_inline)) int probe_parks(const struct thread_state *t, __u64 sp,
							     const __u64 *args)
{
	return t->confidence && t->primary_class == WAIT_EPOLL && !probe_futex_is_lock(args) &&
	       sp + SP_PARK >= t->primary_top;
}

/* When the block began that the thread is in or comes from. */
static inline __attribute__((always_inline)) __u64 block_began(const struct thread_state *t)
{
	return t->call_ns ? t->call_ns : t->off_ns;
}

_Static_assert(sizeof(struct thread_state) % 64 == 0, "each slot begins at a line of the cache");

/* Where a CPython has its lock. */
struct gil_place {
	__u64 begin, end;	 /* its futexes lie between */
	__u64 holder;		 /* as in struct inspector_gil; 0 unknown */
	__u32 id_offset, id_hop; /* " */
	struct python_place {	 /* as in struct inspector_place; code_name 0 unknown */
		__u64 tasks;
		__u32 state_cframe, state_frame, state_task;
		__u32 frame_bytes, frame_code, frame_instr, frame_previous, frame_owner,
			frame_entry;
		__u32 code_name, code_first, code_file, code_table;
		__u32 task_coro, task_name, gen_frame;
		__u32 text_ascii, text_wide;
	} python;
};

/* What may have held several ticks, of a busy period of which `low` is certain to be one: not what
 * it waited for a CPU, which is exact, nor so little that no stall can hide in it. */
static inline __attribute__((always_inline)) __u64 tick_unsure(__u64 period, __u64 low,
							       const __u64 *split, __u64 stall)
{
	__u64 waited = split[LSC_CAUSE_RUNQUEUE] + split[LSC_CAUSE_THROTTLED];
	__u64 rest = period > waited ? period - waited : 0;

	if (rest > period - low)
		rest = period - low;
	return rest < stall / 2 ? 0 : rest;
}

enum event_kind {
	EVENT_NONE = 0,
	EVENT_LOOP = 1, /* a primary wait was learned, replaced or confirmed */
	EVENT_STALL = 2,
	EVENT_BLOCK = 3,
	EVENT_SAMPLE = 4,
	EVENT_FORK = 5, /* a new process of a target */
	EVENT_EXEC = 6,
	EVENT_EXIT = 7,	 /* a thread of a target ended */
	EVENT_OWNER = 8, /* the stack of the thread that holds what the loop waits for */
	EVENT_WAITED = 9,
	EVENT_ROUSE = 10,  /* nothing but a reason to wake up: struct event, not counted */
	EVENT_PYTHON = 11, /* belongs to a sample, an owner or a block after it: not counted */
};

struct event {
	__u32 kind;
	__u32 size; /* of the whole event */
	__u64 ts_ns;
	__u32 tgid, tid;
};

struct event_loop {
	struct event e;
	__u64 sp;
	__u32 nr;
	__s32 fd;
	__u8 class, confidence, main,
		replaced; /* replaced: stalls held for the thread were not real */
	__u32 pad;
};

struct event_stall {
	struct event e; /* ts_ns: end of the tick */
	__u64 begin_ns, end_ns;
	__u64 low_ns; /* the part that is certainly one tick */
	__u64 split[PROBE_CAUSES];
	__u64 cpu_ns; /* by the thread's CPU clock; up to a scheduler tick stale at either end */
	__u64 samples_user, samples_kernel;
	__u64 longest_block_ns, longest_block_start_ns;
	__u64 certain_ns, certain_start_ns; /* no tick ended in it */
	__u32 task;
	__u8 class, confidence, precise, exited;
};

struct event_block {	/* also the head of a sample and of an owner; the stack copy follows */
	struct event e; /* ts_ns: when it came back to the CPU, or the sample's time */
	__u64 off_ns;	/* start, of the call's first where it is one of several */
	__u64 wake_ns;	/* made runnable */
	__u64 tick_ns;
	__u64 args[6];
	__u64 ino;
	__s32 nr; /* -1: not in a system call */
	__u32 task;
	__u32 waker_pid;
	__u8 cause, fd_kind, waker_child, waker_exiting;
	__u8 waker_seen; /* the wake-up was watched */
	__u8 kernel;	 /* sample: in kernel mode */
	__u8 confidence;
	__u8 class;
	__u32 stack_size;
	__u32 owner; /* EVENT_OWNER: whose stack it is; e.tid is the loop's */
	__u8 again;  /* it was told before, up to an earlier wake-up */
	__u8 cut;    /* the stack may go on behind its copy */
	__u8 pad[2]; /* aux holds 64-bit values */
	char waker_comm[16];
	__u8 aux[PROBE_AUX_BYTES]; /* by call: timespec, path, sockaddr; else struct aux_socket of
				      the fd */
	__u64 regs[PROBE_REGS];
};

#define AUX_NONE   0
#define AUX_TIME   1 /* __s64 sec, nsec */
#define AUX_PATH   2 /* NUL-terminated, cut at the end */
#define AUX_SOCKET 3 /* struct aux_socket */
#define AUX_FD	   4 /* __s32: the descriptor of poll or select that was looked at */
#define AUX_FUTEX  5 /* the memory at the futex */
#define AUX_GIL	   6 /* a thread held CPython's lock */

struct aux {
	__u32 type;
	__u32 pad;
	union {
		__s64 time[2];
		char path[PROBE_AUX_BYTES - 8];
		struct aux_socket {
			__u16 family, port_be, protocol;
			__u16 path_size; /* of a Unix socket's name */
			__u8 address[16];
			__s32 fd;
			__u32 pid; /* of a Unix socket's other side; 0 unknown */
			char path[UNIX_PATH_BYTES];
		} socket;
		__s32 fd;
		__u32 futex[6];
		struct {
			__u64 state; /* the address of its thread state */
			__u32 ns_tid;
		} gil;
	};
};

/* Scratch of a loop thread: an event_block being built, followed by the copy of its stack. */
struct stack_slot {
	struct event_block block;
	__u8 stack[PROBE_STACK_BYTES];
	/* the thread's, not the block's */
	struct long_site { /* of a block that was long */
		__u64 sp;
		__s32 nr;
		__u32 vain; /* times in a row that it was not */
	} sites[LONG_SITES];
	__u32 next_site; /* to give way to another */
	__u32 pad;
};

/* A thread whose stack is wanted while it runs: see owner.bpf.h. */
struct owner_watch {
	__u64 off_ns;  /* the loop's block */
	__u64 address; /* where the lock keeps the number of its owner */
	__u64 gil; /* the lock is CPython's, and keeps this thread state there; 0: another lock */
	__u32 mask;
	__u32 ns_tid; /* that number */
	__u32 waiter; /* the loop's thread */
	__u32 done;
	struct stack_slot slot;
};

#define PYTHON_FRAMES	  64
#define PYTHON_NAME_BYTES 1024

struct python_frame { /* as in struct inspector_pyframe */
	__u64 address, code, instr;
	__u64 type, name, file, table;
	__s32 first;
	__u8 owner, entry, pad[2];
};

struct python_task { /* as in struct inspector_seen_task */
	__u64 address, frame, name;
	__u64 size;
	__u8 bytes[PYTHON_NAME_BYTES];
};

struct event_python {
	struct event e; /* ts_ns: of its sample or owner, or when its block began; tid: theirs */
	__u32 ns_tid;	/* of the thread whose frames these are */
	__u32 count;
	__u32 cut;				   /* there are more */
	__u32 of_block;				   /* the block that began then */
	struct python_task task;		   /* address 0: none */
	struct python_frame frames[PYTHON_FRAMES]; /* leaf first; count of them */
};

/* A loop's thread that runs Python. */
struct python_thread {
	__u64 state;	/* the address of its thread state */
	__u64 taken_ns; /* when its frames were last taken in a long tick */
};

struct event_process {
	struct event e; /* fork: of the parent */
	__u32 child;	/* fork: the new process; exec: the thread's number until then */
	__u32 pad;
	char comm[16];
};

/* An exec, and the end of a main thread, whose number another thread's exec takes. */
struct event_last {
	struct event_process p;
	struct thread_state last; /* what the thread had done; tid 0: nothing is known of it */
};

struct socket_end {
	__u16 family, port_be;
	__s32 fd;
	__u8 address[16];
};

enum waited_kind { WAITED_DATA = 0, WAITED_CONNECTION = 1, WAITED_TIMER = 2 };

/* What was ready while a loop was in a long tick, and when it was attended to. */
struct event_waited {
	struct event e; /* ts_ns: read, accepted, or the next wait entered; by thread tid */
	__u64 ready_ns;
	struct socket_end socket; /* of a connection: the listener's own address */
	__u8 kind;		  /* enum waited_kind */
	__u8 late;		  /* it was ready before ready_ns, nobody knows when */
	__u8 pad[2];
};

/* A socket of a target that had a long tick lately. */
struct victim_socket {
	__u64 ready_ns; /* since when there is something unread; 0 nothing */
	__u64 ino;
	struct socket_end socket;
	__u8 listens, late, pad[2];
};

/* Counters that the collector reads; indexes into the array `counters`. */
enum probe_counter {
	COUNT_EMITTED = 0,	/* events that passed the filters */
	COUNT_RING_FULL = 1,	/* of these, found no room */
	COUNT_THREADS_FULL = 2, /* threads without state: their events are not even counted */
	COUNT_MISSED_IN = 3,	/* switch-ins that were not seen, repaired */
	COUNT_PRECISE_EXITS = 4,
	COUNT_SOCKETS_FULL = 5, /* sockets and connections whose wait found no room to be kept */
	COUNT_COPIES = 6,	/* stacks copied in case their blocks turn out long */
	COUNT_MAX = 8,
};

#endif
