/* SPDX-License-Identifier: MIT */
/*
 * Where functions begin, with names or without: the sorted table in .eh_frame_hdr, which says for
 * each piece of code where its unwind rules lie. Runs in the worker alone; the table is the
 * target's and nothing in it is believed.
 */
#ifndef LSC_INSPECT_ENTRY_H
#define LSC_INSPECT_ENTRY_H

#include <gelf.h>
#include <stddef.h>
#include <stdint.h>

struct entry_table {
	const unsigned char *pairs; /* of 32-bit words, borrowed from the Elf; NULL none */
	size_t count;
	uint64_t address; /* that the words count from, as in the file */
};

/* Parses the section's bytes, which lie at that address. Without a table of the usual encoding *ret
 * is empty. Borrows bytes. */
void entry_table_parse(const void *bytes, size_t size, uint64_t address, struct entry_table *ret);
/* The same of the section itself. */
void entry_table_read(Elf_Scn *scn, const GElf_Shdr *sh, struct entry_table *ret);

/* The begin of the function that the address lies in, where memory lies `bias` above what the file
 * says; 0 unknown, never above the address. */
uint64_t entry_find(const struct entry_table *t, uint64_t address, uint64_t bias);

#endif
