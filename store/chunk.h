/* SPDX-License-Identifier: MIT */
/*
 * The packed form of high-rate task transitions: delta + varint, about 7 bytes each, in blobs of at
 * most 64 KiB that are decodable on their own. docs/schema.md has the layout.
 */
#ifndef LSC_STORE_CHUNK_H
#define LSC_STORE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_MAX_BYTES 65536

/* One transition of a task or loop. kind and detail have the values of the store's own table in
 * docs/schema.md (append-only). */
struct chunk_event {
	uint64_t ts_ns;
	uint32_t kind;
	uint32_t task;	 /* the task's row id in this capture, 0 for events of the loop */
	uint32_t detail; /* for suspend: what it waits for; for done: how it ended */
	uint64_t arg;
};

enum chunk_kind {
	CHUNK_TICK_BEGIN = 1,
	CHUNK_TICK_END = 2,
	CHUNK_TASK_NEW = 3,
	CHUNK_TASK_READY = 4,
	CHUNK_TASK_RUN = 5,
	CHUNK_TASK_SUSPEND = 6,
	CHUNK_TASK_DONE = 7,
	CHUNK_TASK_CANCEL = 8,
	CHUNK_MARK = 9,
};

/* Builds one blob. Zero-initialised is empty. */
struct chunk_writer {
	uint8_t *data; /* owns; CHUNK_MAX_BYTES once allocated */
	size_t size;
	uint64_t count, first_ns, last_ns;
	uint64_t prev_ts;
	uint32_t prev_task;
};

/* Appends; -ENOSPC when the blob is full (store it, chunk_writer_reset, append again), -ENOMEM.
 * Times may go back a little; the delta is signed. */
int chunk_writer_append(struct chunk_writer *w, const struct chunk_event *e);
void chunk_writer_reset(struct chunk_writer *w);
void chunk_writer_done(struct chunk_writer *w);

/* Calls fn for each event of a blob, until it returns non-zero (returned). -EBADMSG when damaged:
 * every read is checked against the end, values are not trusted. */
typedef int chunk_event_fn(const struct chunk_event *e, void *arg);
int chunk_each(const void *data, size_t size, chunk_event_fn *fn, void *arg);

#endif
