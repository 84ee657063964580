/* SPDX-License-Identifier: MIT */
/*
 * Reads the memfd ring of an instrumented loop (loopscope/wire.h, docs/wire.md) from another
 * process. The target can write anything at any time: the geometry is read once, records are copied
 * with pread and then checked, the cursor is ours, every call is bounded. Does not judge what the
 * records mean: ring_track.h.
 *
 *   find      ring_scan
 *   read      ring_open, ring_info, ring_read, ring_ledger, ring_close
 *   ask       ring_request_snapshot
 *
 * One thread at a time per ring.
 */
#ifndef LSC_TRACER_RING_H
#define LSC_TRACER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loopscope/wire.h"

struct ring;

/* Calls fn for each descriptor of pid that is named as a ring, until it answers non-zero
 * (returned). At most RING_SCAN_MAX links are looked at. The number of calls, or -errno; -E2BIG:
 * after RING_FOUND_MAX calls there is one more. A name proves nothing: ring_open does. */
#define RING_SCAN_MAX 65536
#define RING_FOUND_MAX                                                                             \
	1024 /* what each costs is ours; how many there are is the target's choice                 \
	      */
typedef int ring_found_fn(int target_fd, void *arg);
int ring_scan(int pid, ring_found_fn *fn, void *arg);

enum ring_from {
	RING_FROM_OLDEST, /* all that is still there: what lies before the opening is history */
	RING_FROM_NOW,
};

/* Takes over a copy of the target's descriptor, checks seals, kind, size and header. Gives
 * *ret_ring. -EPROTO with a sentence when it is not a sound ring; -errno of pidfd_getfd. */
int ring_open(int pidfd, int target_fd, enum ring_from from, struct ring **ret_ring,
	      struct lsc_err *err);
/* The same of a descriptor of our own; takes fd (also on error). */
int ring_open_fd(int fd, enum ring_from from, struct ring **ret_ring, struct lsc_err *err);
/* NULL is fine. Returns NULL. */
struct ring *ring_close(struct ring *r);

/* What the header says, checked as far as it can be. */
struct ring_info {
	uint32_t pid, tid; /* as the target sees itself; a pid that is not its own: a ring inherited
			      by fork */
	uint32_t clock;	   /* LSC_CLOCK_* */
	uint32_t slots;
	uint64_t ino;	       /* of the memfd: which ring it is */
	uint64_t current_addr; /* in the target's memory: where the running task's id is */
	char runtime[32], runtime_version[32]; /* NUL-terminated, else hostile bytes */
};
const struct ring_info *ring_info(const struct ring *r);

struct ring_record {
	uint64_t index;
	uint64_t time_ns; /* CLOCK_MONOTONIC; never before that of the record before */
	uint8_t kind;	  /* one that this version knows, never TEXT */
	uint8_t arg8;
	uint16_t arg16;
	uint32_t task;
	uint64_t arg64;	  /* of TASK_STATE: CLOCK_MONOTONIC ns */
	bool history;	  /* written before the ring was opened */
	bool gap;	  /* records are missing right before this one */
	const char *text; /* of TASK_NEW, SITE, MARK, COUNTER; borrowed, not NUL-terminated; NULL
			     none */
	size_t text_size;
};

typedef void ring_record_fn(const struct ring_record *record, void *arg);

/* Reads at most max records from the cursor on and calls fn for them. A record waits for its text
 * until the next call. The number of records consumed (0: none new), or -EBADMSG: the ring is not
 * to be trusted, and no call will read from it again. */
int ring_read(struct ring *r, size_t max, ring_record_fn *fn, void *arg);

/* Of what was written since the opening, up to the cursor: emitted == delivered + overrun +
 * invalid. */
struct ring_ledger {
	uint64_t emitted;
	uint64_t delivered; /* pieces of text and unknown kinds included */
	uint64_t overrun;
	uint64_t invalid;
	uint64_t unknown; /* of delivered: kinds that this version does not know */
	uint64_t clamped; /* of delivered: times that went backwards */
};
struct ring_ledger ring_ledger(const struct ring *r);

/* Asks the loop for a snapshot of its tasks at its next tick. 0 or -errno. */
int ring_request_snapshot(struct ring *r);

#endif
