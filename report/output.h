/* SPDX-License-Identifier: MIT */
/* A result written to a file in one go: whoever looks sees the old file or the whole new one. */
#ifndef LSC_REPORT_OUTPUT_H
#define LSC_REPORT_OUTPUT_H

#include <stdio.h>

#include "base/err.h"

struct output {
	FILE *file;	  /* borrows: write here */
	char *temporary;  /* owns */
	const char *path; /* borrows */
};

/* Opens a temporary file beside path, mode 0640. Refuses a path that is a symbolic link or anything
 * but a regular file. */
int output_open(const char *path, struct output *ret, struct lsc_err *err);
/* Puts the file in its place. */
int output_finish(struct output *o, struct lsc_err *err);
/* Removes what was written. After output_finish() it does nothing. */
void output_drop(struct output *o);

#endif
