/* SPDX-License-Identifier: MIT */
/* The line tables of CPython's code objects: 3.8's, 3.10's and 3.11's way. Pure functions. */
#ifndef LSC_INSPECT_PYLINE_H
#define LSC_INSPECT_PYLINE_H

#include <stddef.h>
#include <stdint.h>

/* The line of the instruction `at` bytes behind the first one; first: the code's first line.
 * Before the first instruction that is `first`. 0: it has none, or the table ends before it. */
int pyline_find(unsigned int minor, const uint8_t *table, size_t size, int first, int64_t at);

#endif
