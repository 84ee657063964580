/* SPDX-License-Identifier: MIT */
/* The lines that a person watches while a capture runs, and their NDJSON twins. */
#ifndef LSC_LIVE_H
#define LSC_LIVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct live_options {
	bool json; /* NDJSON instead of text */
	bool color;
	bool verbose; /* the accounting of events at the end */
	bool many;    /* several programs are watched: each line names its thread */
};

/* Prints one message of the capture ("loop", "ready", "stall", "end"; others are left out, in
 * NDJSON only "notice" is kept besides). Hostile text is stripped of control characters. Flushes
 * out. path: the capture as the person would type it. */
void live_message(const struct live_options *o, const json_t *msg, const char *path, FILE *out);

/* "wrote x.lsc (3 stalls, 0 lost) - loopscope report x.lsc" from the "end" message. */
void live_summary(const struct live_options *o, const json_t *end, const char *path, FILE *out);

/* Prints UTF-8 text with control characters (C0, C1, DEL) and direction overrides as '?'. */
void live_text(const char *text, FILE *out);

/* "always", "never", "auto" (NULL is auto): whether out takes colour; -1 for another word. */
int live_color(const char *when, FILE *out);

#endif
