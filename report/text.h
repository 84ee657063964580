/* SPDX-License-Identifier: MIT */
/*
 * The report as a person reads it in a terminal: verdict, findings, the worst stalls, the loops,
 * and what was not seen. Shows what the analysis concluded; does not judge. Hostile text loses
 * whatever could steer the terminal.
 */
#ifndef LSC_REPORT_TEXT_H
#define LSC_REPORT_TEXT_H

#include <stdio.h>

#include "analysis/analysis.h"

struct text_options {
	const char *name; /* of the capture, as the person typed it */
	bool color;
	unsigned width; /* of the terminal, which tables and paragraphs fit into; 0: none */
};

/* 0; -ENOMEM; -EIO when out failed. */
int text_render(const struct analysis *a, const struct text_options *options, FILE *out);

/* One finding, wrapped and indented as in the report. */
void text_finding(const struct finding *f, const struct text_options *options, FILE *out);

#endif
