/* SPDX-License-Identifier: MIT */
/*
 * What an instrumented application says of itself through its ring: marks, which become rows, and
 * counters, which are summed up. Both are hostile: their number, their rate and their bytes are the
 * target's choice, so all three are bounded here.
 */
#ifndef LSC_SAID_H
#define LSC_SAID_H

#include <stddef.h>
#include <stdint.h>

struct collector;
struct loop;
struct ring_task;
struct said;

/* Gives; NULL out of memory. Borrows both. */
struct said *said_new(struct collector *c, struct loop *l);
/* Without storing anything. NULL is fine. Returns NULL. */
struct said *said_free(struct said *s);

/* text and name: size bytes, or NULL. t: whose step, NULL unknown. What was said before the capture
 * began is no row; a counter keeps its value from there. */
void said_mark(struct said *s, const struct ring_task *t, uint64_t ns, const char *text,
	       size_t size);
void said_counter(struct said *s, uint64_t ns, const char *name, size_t size, int64_t value);

/* The latest mark from begin_ns to end_ns, of the last ones: its text, borrowed until the next
 * mark, and time. NULL none. */
const char *said_in(const struct said *s, uint64_t begin_ns, uint64_t end_ns, uint64_t *ret_ns);

/* Stores the counters that were set since the last time. */
void said_store(struct said *s);

#endif
