/* SPDX-License-Identifier: MIT */
/*
 * Separate debug files: what `strip` took from a program, by its build id or its .gnu_debuglink.
 * Runs in an indexer alone; that a file is the right one is proven by its build id.
 */
#ifndef LSC_INSPECT_DEBUGFILE_H
#define LSC_INSPECT_DEBUGFILE_H

#include "inspect/elffile.h"

/* Looks in the usual places. link: the name in .gnu_debuglink; NULL none. Gives a descriptor and
 * notes in f what the file has; -1: none. */
int debugfile_find(struct elffile *f, const char *path, const char *link);

/* Sets which symbols and lines elf has; leaves alone what it has not. The size of its sections of
 * debug information, after they are decompressed. */
uint64_t debugfile_note(Elf *elf, bool *ret_symtab, bool *ret_lines);

/* Whether elf has that build id, in hex. */
bool debugfile_is_build(Elf *elf, const char *build_id);

#endif
