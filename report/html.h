/* SPDX-License-Identifier: MIT */
/*
 * The HTML report: one self-contained page for a loopscope.report/1 document. No script runs in it
 * and nothing is fetched; what the watched programs wrote is never markup. Does not judge: it shows
 * what the document says, bounded, and says what it left out.
 */
#ifndef LSC_REPORT_HTML_H
#define LSC_REPORT_HTML_H

#include <jansson.h>
#include <stdio.h>

/* 0; -ENOMEM; -EIO when out failed. Missing or odd fields are shown as unknown. */
int html_render(const json_t *report, FILE *out);

#endif
