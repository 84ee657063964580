/* SPDX-License-Identifier: MIT */
/*
 * The wire between an instrumented loop and loopscoped: one sealed memfd per loop thread, a header
 * page and fixed 32-byte records, overwriting the oldest. Valid C for libc and for BPF; depends on
 * the fixed-width types alone. Little-endian. Append-only: values are never reused or renumbered, a
 * retired kind leaves a hole, readers skip and count what they do not know. docs/wire.md explains.
 *
 *   offset 0                 4096                                4096 + 32 * 2^record_bits
 *   | struct lsc_ring_header | record 0 | record 1 | ... ring ... |
 *
 * The record with index i (counted from 0 since the start) lies in slot i mod 2^record_bits and
 * carries seq i + 1. A reader preads, never maps, and after copying reads `head` again: with n slots,
 * the records with index > head - n are sound, the others count as overrun.
 */
#ifndef LOOPSCOPE_WIRE_H
#define LOOPSCOPE_WIRE_H

#ifndef __bpf__
#include <stdint.h>
#else
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
#endif

#define LSC_RING_MAGIC       0x31474e4952435354ull /* "TSCRING1" in memory order */
#define LSC_RING_VERSION     1u
#define LSC_RING_HEADER_SIZE 4096u
#define LSC_RECORD_SIZE      32u
#define LSC_RING_MIN_BITS    8u
#define LSC_RING_MAX_BITS    20u /* 32 MiB; readers refuse more */
#define LSC_RING_MEMFD_NAME  "loopscope-ring"

/* lsc_ring_header.clock */
#define LSC_CLOCK_MONOTONIC 0u /* record times are CLOCK_MONOTONIC ns */
#define LSC_CLOCK_TSC       1u /* raw TSC; calibrate with tsc0/mono0_ns and a pair taken now */

struct lsc_ring_header {
	/* written once, before the memfd is sealed */
	uint64_t magic;
	uint32_t version;
	uint32_t header_size;
	uint32_t record_size;
	uint32_t record_bits;  /* 2^record_bits slots */
	uint32_t pid;          /* as the target sees itself */
	uint32_t tid;
	uint32_t clock;
	uint32_t current_offset; /* of current_task in this header */
	uint64_t current_addr; /* address of current_task in the target's memory, for BPF */
	uint64_t tsc0;         /* a pair of both clocks at the start */
	uint64_t mono0_ns;
	char runtime[32];      /* "loopscope", "libuv", ...; NUL-terminated */
	char runtime_version[32];
	uint8_t reserved0[2048 - 128];
	/* written by the producer; own cache line */
	uint64_t head;         /* records written so far */
	uint32_t current_task; /* id of the task that runs, 0 between tasks */
	uint32_t tick;         /* number of the tick, wraps */
	uint8_t reserved1[1024 - 16];
	/* written by the reader (pwrite, 4 bytes), read by the producer; own cache line */
	uint32_t listener;     /* changes when a reader wants a snapshot of the live tasks at the next tick */
	uint8_t reserved2[1024 - 4];
};

struct lsc_record {
	uint64_t seq;  /* index + 1; 0 is never valid (holes may be punched) */
	uint64_t time; /* in the header's clock */
	uint8_t kind;  /* enum lsc_record_kind */
	uint8_t arg8;
	uint16_t arg16;
	uint32_t task; /* id, from 1, never reused within a ring */
	uint64_t arg64;
};

/* kind LSC_REC_TEXT: a piece of the text that belongs to the record before the pieces: TASK_NEW, SITE,
 * MARK or COUNTER. The same shape as lsc_record, so that `kind` is always at one offset. */
struct lsc_record_text {
	uint64_t seq;
	uint64_t time;
	uint8_t kind;
	uint8_t length; /* bytes of text used, 1..12 */
	uint16_t part;  /* from 0; the last piece has LSC_TEXT_LAST set */
	char text[12];  /* UTF-8, no NUL within a name; a SITE holds "function\0file" */
};

#define LSC_TEXT_LAST 0x8000u
#define LSC_TEXT_MAX  200u /* bytes of a name or of a site's text; longer ones are cut by the producer */

enum lsc_record_kind {
	LSC_REC_NONE = 0,
	LSC_REC_TICK_BEGIN = 1, /* the primary wait returned; arg64 = events it returned */
	LSC_REC_TICK_END = 2,   /* about to enter the primary wait; arg64 = its timeout in ns, ~0 = none */
	LSC_REC_TASK_NEW = 3,   /* arg64 = site id | parent id << 32; arg16 = 1 in a snapshot; TEXT follows: name */
	LSC_REC_TASK_READY = 4, /* may run from now; arg8 = enum lsc_wait_kind that ended; arg64 = waking task or 0 */
	LSC_REC_TASK_RUN = 5,   /* a step begins */
	LSC_REC_TASK_SUSPEND = 6, /* the step ends; arg8 = enum lsc_wait_kind; arg64 = its detail */
	LSC_REC_TASK_DONE = 7,  /* the last step ends; arg8 = 0 result, 1 error, 2 cancelled; arg64 = errno */
	LSC_REC_TASK_CANCEL = 8, /* cancellation asked for; arg64 = asking task or 0 */
	LSC_REC_SITE = 9,       /* task = site id, arg64 = line; TEXT follows: "function\0file" */
	LSC_REC_TEXT = 10,
	LSC_REC_SNAPSHOT_BEGIN = 11, /* arg64 = number of live tasks */
	LSC_REC_TASK_STATE = 12, /* in a snapshot, after its TASK_NEW: arg8 = enum lsc_task_state,
				  * arg16 = enum lsc_wait_kind, arg64 = since when (header's clock) */
	LSC_REC_SNAPSHOT_END = 13,
	LSC_REC_MARK = 14,      /* the application's own mark; TEXT follows */
	LSC_REC_TASK_YIELD = 15, /* the step ends and the task may run from now: SUSPEND and READY in one */
	LSC_REC_SITE_STACK = 16, /* task = site id; arg64 = bytes of stack that a task from there used; grows;
				  * arg8 = log2 of that stack's bytes, 0: unknown */
	LSC_REC_COUNTER = 17,   /* the application's own counter; arg64 = its value from now on, signed; TEXT
				 * follows: its name */
	LSC_REC_LAST = LSC_REC_COUNTER, /* the last that this header knows; grows */
};

/* What a suspended task waits for; in brackets the detail in arg64. */
enum lsc_wait_kind {
	LSC_WAIT_NONE = 0,
	LSC_WAIT_YIELD = 1,
	LSC_WAIT_TIMER = 2,  /* [due time, CLOCK_MONOTONIC ns] */
	LSC_WAIT_FD = 3,     /* [descriptor | events << 32] */
	LSC_WAIT_TASK = 4,   /* [task id] */
	LSC_WAIT_FUTURE = 5, /* [0] */
	LSC_WAIT_GROUP = 6,  /* gather [number of members] */
	LSC_WAIT_LOCK = 7,   /* [id of the task that has it, 0: unknown] */
	LSC_WAIT_QUEUE = 8,  /* [items in it; of a join those that are not done] */
	LSC_WAIT_THREAD = 9,
	LSC_WAIT_CHILD = 10, /* [pid] */
	LSC_WAIT_EVENT = 11,
	LSC_WAIT_CONDITION = 12,
	LSC_WAIT_SEMAPHORE = 13,
	LSC_WAIT_BARRIER = 14, /* [number of parties] */
	LSC_WAIT_SIGNAL = 20, /* a signal of the process [0] */
};

enum lsc_task_state {
	LSC_TASK_CREATED = 0,
	LSC_TASK_READY = 1,
	LSC_TASK_RUNNING = 2,
	LSC_TASK_SUSPENDED = 3,
	LSC_TASK_DONE = 4,
	LSC_TASK_CANCELLED = 5,
	LSC_TASK_FAILED = 6,
};

#if !defined(__bpf__) && !defined(__cplusplus)
_Static_assert(sizeof(struct lsc_ring_header) == LSC_RING_HEADER_SIZE, "header is one page");
_Static_assert(sizeof(struct lsc_record) == LSC_RECORD_SIZE, "record size");
_Static_assert(sizeof(struct lsc_record_text) == LSC_RECORD_SIZE, "text record size");
_Static_assert(__builtin_offsetof(struct lsc_record, kind) ==
		       __builtin_offsetof(struct lsc_record_text, kind),
	       "kind at one offset");
_Static_assert(__builtin_offsetof(struct lsc_ring_header, head) == 2048, "producer's line");
_Static_assert(__builtin_offsetof(struct lsc_ring_header, listener) == 3072, "reader's line");
#endif

#endif
