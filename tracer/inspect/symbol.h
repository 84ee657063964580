/* SPDX-License-Identifier: MIT */
/*
 * The names of addresses, cached: lines and inlined calls take their time to be looked up. An
 * address may stand for several calls: the function that is there and those inlined into it.
 */
#ifndef LSC_INSPECT_SYMBOL_H
#define LSC_INSPECT_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <elfutils/libdwfl.h>

#define SYMBOL_CALLS_MAX 6
#define SYMBOL_CACHE	 1024

struct space_file;

struct symbol_call {
	const char *function, *file; /* borrowed from the Dwfl; NULL unknown */
	int line;
};

struct symbol {
	uint64_t address; /* 0: empty */
	size_t ncalls;	  /* at least 1; innermost first, all but the last inlined */
	struct symbol_call calls[SYMBOL_CALLS_MAX];
	bool exported;	  /* the last one's name */
	uint64_t entry;	  /* the last one's begin; 0 unknown */
	const char *near; /* without a name, of a file with exported ones alone: the last before */
};

struct symbol_cache {
	struct symbol symbols[SYMBOL_CACHE];
};

/* NULL: not cached. */
const struct symbol *symbol_cached(const struct symbol_cache *c, uint64_t address);

/* Looks it up in the file (slow) and caches it. */
const struct symbol *symbol_resolve(struct symbol_cache *c, const struct space_file *file,
				    uint64_t address);

#endif
