/* SPDX-License-Identifier: MIT */
/*
 * The producer's end of the ring of loopscope/wire.h: one per loop thread, overwriting the oldest
 * record, never waiting. Knows records, not tasks: trace.h says which record means what.
 */
#ifndef LSC_LOOP_RING_H
#define LSC_LOOP_RING_H

#include <stdint.h>
#include <time.h>

#include "base/clock.h"
#include "loopscope/wire.h"

#define RING_DEFAULT_BITS 15u

/* Lies on a page of its own that fork() zeroes in the child (MADV_WIPEONFORK), however it forks:
 * the child sees slots == NULL, which is the mark of "do not record", and cannot reach the parent's
 * ring. */
struct ring_producer {
	struct lsc_record *slots; /* NULL: not recording */
	struct lsc_ring_header *header;
	uint64_t head;
	uint64_t mask;
	uint32_t clock; /* LSC_CLOCK_* */
};

struct ring {
	struct ring_producer *producer; /* never NULL */
	int fd;				/* -1 when not recording */
};

/* A ring that records nothing. */
void ring_init(struct ring *ret);

/* Opens a ring of 2^bits records. Always succeeds: where the machine, a limit or LSC_TRACE=0
 * forbids recording, the ring records nothing. */
void ring_open(struct ring *ret, unsigned bits);
void ring_close(struct ring *ring);

/* Appends a text of at most LSC_TEXT_MAX bytes as TEXT records, with the time of the record that it
 * belongs to; nothing when length is 0. */
void ring_put_text(struct ring *ring, uint64_t time, const char *text, uint32_t length);

/* The record clock where it is no register. */
uint64_t ring_now_slow(void) __attribute__((cold));

static inline uint64_t ring_now(const struct ring_producer *p)
{
#if defined(__x86_64__)
	if (p->clock == LSC_CLOCK_TSC)
		return __builtin_ia32_rdtsc();
#else
	(void)p;
#endif
	return ring_now_slow();
}

/*
 * Every word is stored with release order: the head stored by the previous call is then visible
 * before any word of this record, so a reader that copied a word of this record and reads head
 * afterwards knows that the old content of the slot is gone. On x86-64 these are plain moves.
 */
static inline void ring_store(struct ring_producer *p, const uint64_t words[3])
{
	uint64_t index = p->head++;
	uint64_t *slot = (uint64_t *)&p->slots[index & p->mask];

	__atomic_store_n(&slot[0], index + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&slot[1], words[0], __ATOMIC_RELEASE);
	__atomic_store_n(&slot[2], words[1], __ATOMIC_RELEASE);
	__atomic_store_n(&slot[3], words[2], __ATOMIC_RELEASE);
	__atomic_store_n(&p->header->head, index + 1, __ATOMIC_RELEASE);
}

/* Appends a record with a time that was taken already. */
static inline void ring_put_at(struct ring_producer *p, uint64_t time, uint8_t kind, uint8_t arg8,
			       uint16_t arg16, uint32_t task, uint64_t arg64)
{
	uint64_t what = kind | (uint64_t)arg8 << 8 | (uint64_t)arg16 << 16 | (uint64_t)task << 32;

	ring_store(p, (const uint64_t[3]){time, what, arg64});
}

/* Appends a record; returns its time in the ring's clock, 0 when not recording. */
static inline uint64_t ring_put(struct ring *ring, uint8_t kind, uint8_t arg8, uint16_t arg16,
				uint32_t task, uint64_t arg64)
{
	struct ring_producer *p = ring->producer;

	if (!p->slots)
		return 0;
	uint64_t now = ring_now(p);
	ring_put_at(p, now, kind, arg8, arg16, task, arg64);
	return now;
}

#endif
