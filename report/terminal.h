/* SPDX-License-Identifier: MIT */
/* How wide the terminal is, and text that fits into it. */
#ifndef LSC_REPORT_TERMINAL_H
#define LSC_REPORT_TERMINAL_H

#include <stdio.h>

/* The columns that a line of out may have: $COLUMNS, else those of the terminal that it is; 0: as
 * many as it likes. At least 40. */
unsigned terminal_width(FILE *out);

/* A stream whose lines are folded at spaces where they are wider than terminal_width(out), which is
 * asked for each: the rest goes on below the second column of the line, or a little further in than
 * it began; below a branch of a tree the tree goes on. Escape sequences of colours take no column.
 * Lines that fit are handed on as they are. Borrows out, which fclose() leaves open; a line without
 * an end comes with that. NULL: out of memory. */
FILE *terminal_fold(FILE *out);

#endif
