/* SPDX-License-Identifier: MIT */
/*
 * A file's symbols by address: libdwfl goes through all of them for each address, milliseconds for
 * a node, in which the stacks that wait meanwhile grow old.
 */
#ifndef LSC_INSPECT_SYMTAB_H
#define LSC_INSPECT_SYMTAB_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symtab_row {
	uint64_t start, end; /* as the target has it mapped */
	uint64_t reach;	     /* the largest end up to here */
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

/* The innermost one that covers the address; NULL none. */
const struct symtab_row *symtab_find(const struct symtab *t, uint64_t address);

/* The last function that begins at or before the address; NULL none. */
const struct symtab_row *symtab_before(const struct symtab *t, uint64_t address);

/* Its name, borrowed from the module; NULL none. */
const char *symtab_name(const struct symtab_row *row, Dwfl_Module *mod);

#endif
