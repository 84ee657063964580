/* SPDX-License-Identifier: MIT */
/* A file's symbols by address. Runs in an indexer alone. */
#ifndef LSC_INSPECT_SYMTAB_H
#define LSC_INSPECT_SYMTAB_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symtab_row {
	uint64_t start, end; /* as the file has them */
	uint64_t reach;	     /* the largest end up to here */
	const char *name;    /* borrowed from the module */
	int index;	     /* of libdwfl's */
	bool function;
	uint8_t binding; /* global 2, weak 1, local 0 */
};

struct symtab {
	struct symtab_row *rows; /* owns; by start, of those that share one the best one last */
	size_t n;
};

/* Reads those that have a size. Out of memory there are none. Slow; once. */
void symtab_build(struct symtab *t, Dwfl_Module *mod);
void symtab_done(struct symtab *t);

#endif
