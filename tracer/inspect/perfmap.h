/* SPDX-License-Identifier: MIT */
/*
 * Names of code that a program made at run time, from the map that it writes for perf: lines of
 * "START SIZE NAME". Whatever stands there is the target's word. Runs in the worker alone.
 */
#ifndef LSC_INSPECT_PERFMAP_H
#define LSC_INSPECT_PERFMAP_H

#include "inspect/answer.h"
#include "inspect/space.h"
#include "inspect/unwind.h"

struct perfmap;

/* Takes fd, which grows while the program runs; -1: names come from perfmap_add() alone. NULL out
 * of memory. */
struct perfmap *perfmap_new(int fd);
struct perfmap *perfmap_free(struct perfmap *p);

/* Takes the lines of text; what no newline ends, or is no such line, counts for nothing. The bytes
 * up to the last newline, or -errno: -ENOMEM, -EFBIG when there are too many lines. */
ssize_t perfmap_add(struct perfmap *p, const char *text, size_t size);

/* The name of the code at an address and where it begins; the newest line counts. NULL: none.
 * Borrowed until perfmap_add(). */
const char *perfmap_find(struct perfmap *p, uint64_t address, uint64_t *ret_start);

/* Names those frames of a that are in no file and have no name yet. Where an address is not known
 * and the file has grown it is read on, once a stack and at most 8 times a second; beyond that the
 * answer says so. */
void perfmap_name(struct space *s, struct answer *a, unwind_phase_fn *phase, void *arg);

#endif
