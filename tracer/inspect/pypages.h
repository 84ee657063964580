/* SPDX-License-Identifier: MIT */
/*
 * Memory of a target that is read page by page and kept for a moment: its objects lie close
 * together, so a list of thousands costs some hundred reads. What is kept is as old as its page:
 * who relies on it looks again after pypages_forget().
 */
#ifndef LSC_INSPECT_PYPAGES_H
#define LSC_INSPECT_PYPAGES_H

#include "inspect/cpython.h"

#define PYPAGES_BYTES 4096ull
#define PYPAGES_COUNT 1024u /* a power of two */

struct pypages {
	cpython_read_fn *read; /* of the target itself */
	void *arg;
	uint64_t page[PYPAGES_COUNT]; /* the number of the one that is there, plus 1; 0 none */
	uint8_t bytes[PYPAGES_COUNT][PYPAGES_BYTES];
};

/* From now on py reads through the pages; until pypages_end(). */
void pypages_begin(struct pypages *p, struct cpython *py);
void pypages_end(struct pypages *p, struct cpython *py);
void pypages_forget(struct pypages *p);

#endif
