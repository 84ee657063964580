/* SPDX-License-Identifier: MIT */
/*
 * The names of addresses, as the worker remembers them. An address may stand for several calls: the
 * function that is there and those inlined into it.
 */
#ifndef LSC_INSPECT_SYMBOL_H
#define LSC_INSPECT_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "inspect/index.h"

#define SYMBOLS_MAX 4096 /* of one target */

struct space;
struct space_file;

struct symbol_call {
	const char *function, *file; /* borrowed from the symbol; NULL unknown */
	int line;
};

struct symbol {
	UT_hash_handle hh;
	uint64_t address;
	size_t ncalls; /* at least 1; innermost first, all but the last inlined */
	struct symbol_call calls[INDEX_CALLS_MAX];
	bool exported;	  /* the last one's name */
	bool bare;	  /* its lines were not asked for */
	uint64_t entry;	  /* the last one's begin; 0 unknown */
	const char *near; /* without a name, of a file with exported ones alone: the last before */
	char *texts[2 * INDEX_CALLS_MAX + 2]; /* owns */
	size_t ntexts;
};

/* The symbol of an address in an indexed file. Where its lines are to be had but not there yet,
 * they are wanted from here on. NULL out of memory; borrowed until the next job. */
const struct symbol *symbol_get(struct space *s, struct space_file *f, uint64_t address);

/* Takes a line of a message that was checked. */
void symbol_learn(struct space *s, struct space_file *f, const struct message_index *m,
		  const void *message, uint32_t line);

/* Forgets all when there are many. */
void symbol_trim(struct symbol **symbols);
void symbol_forget(struct symbol **symbols);

#endif
