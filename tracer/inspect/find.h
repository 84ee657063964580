/* SPDX-License-Identifier: MIT */
/* Where a symbol lies in a target's memory. Runs in the worker alone. */
#ifndef LSC_INSPECT_FIND_H
#define LSC_INSPECT_FIND_H

#include "inspect/space.h"
#include "inspect/unwind.h"

/* Takes a symbol that a file defines, where it lies and how large it is; true: that is enough. */
typedef bool find_symbol_fn(const char *name, uint64_t address, uint64_t size, void *arg);

/* Calls fn for each symbol of the files whose name holds `file`; those first that are named so,
 * with "lib" before it or not. False: it never said true, or the index of such a file is wanted. */
bool find_each(struct space *s, const char *file, find_symbol_fn *fn, void *arg);

/* Where a symbol lies that one of the files defines whose name holds `file`. False: nowhere, or
 * not known yet. */
bool find_symbol(struct space *s, const char *file, const char *symbol, uint64_t *ret_address,
		 uint64_t *ret_size);

struct find_sought {
	const char *symbol;
	uint64_t address, size; /* 0: the file does not have it */
};

/* The same of n symbols of one file: of the first one that has the first of them. */
bool find_symbols(struct space *s, const char *file, struct find_sought *sought, size_t n);

/* The same of a section that is loaded. */
bool find_section(struct space *s, const char *file, const char *section, uint64_t *ret_address,
		  uint64_t *ret_size);

/* Runs one MESSAGE_FIND: names holds job->size bytes. Writes a MESSAGE_RESULT without frames into
 * buf of MESSAGE_MAX bytes; its address is 0 when there is no such symbol. The message's size. */
size_t find_run(struct space *s, const struct message_job *job, const char *names,
		unwind_phase_fn *phase, void *arg, void *buf);

#endif
