/* SPDX-License-Identifier: MIT */
/* Rings made by hand, sound and otherwise. Brings cmocka.h. */
#ifndef TESTS_TRACER_RING_MADE_H
#define TESTS_TRACER_RING_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ring.h"

struct made {
	int fd;
	struct lsc_ring_header header; /* as written last */
	uint64_t slots;
};

/* A sealed, sound, empty ring with 2^bits slots and times in CLOCK_MONOTONIC. */
struct made made_ring(unsigned bits);
/* The same before anything is written or sealed; size as given. */
struct made made_unsealed(unsigned bits, long size);
void made_write_header(struct made *m);
void made_seal(struct made *m, int seals);
void made_set_head(struct made *m, uint64_t head);
/* Writes the record of the next index and moves head; seq and time are filled in when 0. */
void made_put(struct made *m, struct lsc_record record);
/* Pieces of text, as the library writes them. */
void made_put_text(struct made *m, const char *text, size_t size);
/* A descriptor of its own for ring_open_fd. */
int made_dup(const struct made *m);

uint64_t made_random(uint64_t *state);
uint64_t made_seed(void);

#endif
