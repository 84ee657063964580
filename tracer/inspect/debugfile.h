/* SPDX-License-Identifier: MIT */
/*
 * Separate debug files: what `strip` took from a program, by its build id or its .gnu_debuglink.
 * Runs in the worker alone; that a file is the right one is proven by its build id.
 */
#ifndef LSC_INSPECT_DEBUGFILE_H
#define LSC_INSPECT_DEBUGFILE_H

#include "inspect/space.h"

/* Looks in the usual places. link: the name in .gnu_debuglink; NULL none. Gives a descriptor and
 * notes in f what the file has; -1: none. */
int debugfile_find(struct space_file *f, const char *path, const char *link);

/* Notes in f which symbols and lines elf has. The size of its sections of debug information, after
 * they are decompressed. */
uint64_t debugfile_note(struct space_file *f, Elf *elf);

#endif
