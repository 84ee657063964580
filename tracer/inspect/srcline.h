/* SPDX-License-Identifier: MIT */
/* Lines and inlined calls of an address, from DWARF. Runs in an indexer alone. */
#ifndef LSC_INSPECT_SRCLINE_H
#define LSC_INSPECT_SRCLINE_H

#include "inspect/elffile.h"

struct srcline_call {
	const char *function, *file; /* borrowed from the Dwfl; NULL unknown */
	int line;
};

/* The calls that an address of the file stands for: innermost first, all but the last inlined; the
 * last one's name is that of DWARF. Their number, at least 1. */
size_t srcline_find(struct elffile *f, uint64_t address, struct srcline_call ret[INDEX_CALLS_MAX]);

#endif
