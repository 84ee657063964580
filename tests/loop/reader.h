/* SPDX-License-Identifier: MIT */
/* A reader of this process's own ring, written from docs/wire.md and independent of the producer.
 */
#ifndef LSC_TESTS_LOOP_READER_H
#define LSC_TESTS_LOOP_READER_H

#include <stddef.h>
#include <stdint.h>

#include "loopscope/wire.h"

struct reader {
	int fd;
	struct lsc_ring_header header;
	struct lsc_record *records; /* the sound ones, in order */
	size_t count;
	uint64_t first; /* index of records[0] */
};

/* This process's first descriptor whose link in /proc begins so, or -1. */
int reader_find_link(const char *beginning);

/* The descriptor of this process's ring, or -1. */
int reader_find(void);

/* Copies what the ring holds; fails the test on any breach of the wire. */
void reader_open(struct reader *ret);
void reader_close(struct reader *r);

/* The text behind records[at] in buf (NUL-terminated, inner NULs kept); returns its length. */
size_t reader_text(const struct reader *r, size_t at, char buf[LSC_TEXT_MAX + 1]);

/* Index of the next record of the kind from `from` on, for the task if task is not 0; count if
 * none. */
size_t reader_next(const struct reader *r, size_t from, uint8_t kind, uint32_t task);

/* The id of the task announced under the name; fails the test when there is none. */
uint32_t reader_task(const struct reader *r, const char *name);

#endif
