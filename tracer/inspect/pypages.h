/* SPDX-License-Identifier: MIT */
/*
 * Memory of a target that is read in blocks and kept for a moment: its objects lie close together,
 * so a list of thousands costs some hundred reads. What is kept is as old as its block: who relies
 * on it asks pypages_verify(), or looks again after pypages_forget().
 */
#ifndef LSC_INSPECT_PYPAGES_H
#define LSC_INSPECT_PYPAGES_H

#include "inspect/cpython.h"

#define PYPAGES_PAGE  4096ull
#define PYPAGES_BLOCK (4 * PYPAGES_PAGE)
#define PYPAGES_COUNT 512u
#define PYPAGES_SLOTS 2048u /* a power of two */

struct pypages {
	cpython_read_fn *read; /* of the target itself */
	void *arg;
	uint16_t slots[PYPAGES_SLOTS]; /* by the hash of its number: which block, plus 1; 0 none */
	struct {
		uint64_t number;
		uint8_t valid; /* a bit for each page that is there */
	} blocks[PYPAGES_COUNT];
	size_t n;
	bool lost; /* not all that was read is kept */
	uint8_t bytes[PYPAGES_COUNT][PYPAGES_BLOCK];
};

/* From now on py reads through the pages; until pypages_end(). */
void pypages_begin(struct pypages *p, struct cpython *py);
void pypages_end(struct pypages *p, struct cpython *py);
void pypages_forget(struct pypages *p);

/* Reads all again that was read since it was forgotten. True: it is the same, to the last byte, so
 * that whoever reads it once more finds what he found. */
bool pypages_verify(struct pypages *p);

#endif
