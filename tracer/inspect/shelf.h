/* SPDX-License-Identifier: MIT */
/*
 * The indexes that the collector keeps: one a file, whichever target maps it. They outlive workers
 * and indexers. A file that cost indexers is left alone for a while, as the target has it that it
 * cost them for: where that one keeps it may be its own making, and another's is not judged by it.
 *
 * A file is known by what the kernel says of it, not by its build id: that is what it says of
 * itself, and no target may name another's functions.
 */
#ifndef LSC_INSPECT_SHELF_H
#define LSC_INSPECT_SHELF_H

#include <uthash.h>

#include "inspect/index.h"
#include "inspect/strikes.h"

struct shelf_file {
	UT_hash_handle hh;
	struct shelf_key {
		uint64_t dev, inode; /* as in maps */
		uint64_t pid;	     /* 0; else this is what it has cost for that target */
		uint64_t generation; /* 0 the present one; others are used by workers still */
	} key;
	int fd; /* owns; -1: none */
	struct message_index head;
	uint64_t bytes, used_ns;
	uint32_t edition, made; /* the newest (struct message_file), and that of the index */
	uint32_t slots;		/* of the worker that have it, a bit each */
	unsigned int pins;
	struct strikes strikes; /* of one with a pid: it cost an indexer */
};

#define SHELF_FDS_MAX	256
#define SHELF_BYTES_MAX (512ull << 20)
#define SHELF_SHARE_MAX (SHELF_BYTES_MAX / 2) /* in use by one target: it leaves some to others */

struct shelf {
	struct shelf_file *files; /* a hash */
	size_t nfds;		  /* of indexes that are kept */
	uint64_t bytes;
	uint64_t generation;
};

void shelf_done(struct shelf *s);

/* Finds or makes one. NULL out of memory, or no room. */
struct shelf_file *shelf_get(struct shelf *s, uint64_t dev, uint64_t inode, uint64_t now_ns);

/* Keeps an index, in place of an older one, and perhaps of what was used longest ago. Borrows fd. 0
 * or -errno: -EBADF, -EBADMSG: it is none; -EFBIG: all that are in use would be too large. */
int shelf_put(struct shelf *s, struct shelf_file *f, const struct message_index *head, int fd);

/* Notes that the worker's slot has the index from now on. False, and nothing noted: it would have
 * more than its share. */
bool shelf_use(const struct shelf *s, struct shelf_file *f, uint32_t slot);

/* What the file has cost for a target. NULL: nothing. Borrowed until the next call. */
const struct strikes *shelf_strikes(const struct shelf *s, const struct shelf_file *f, int pid);
/* It cost an indexer. From the second time on it is quarantined. Out of memory nothing is noted. */
void shelf_strike(struct shelf *s, const struct shelf_file *f, int pid, uint64_t now_ns);

/* The worker's slot has another target now; SHELF_ALL_SLOTS: there is another worker. */
#define SHELF_ALL_SLOTS UINT32_MAX
void shelf_leave(struct shelf *s, uint32_t slot);

#endif
