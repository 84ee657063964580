/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the HTML page share: the document with its indexes, and the only functions that
 * may write text from it. A part writes its own markup with fputs()/fprintf() to page->out, and
 * every string of the document through html_text().
 */
#ifndef LSC_HTML_PAGE_H
#define LSC_HTML_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Bounds of the page; what lies beyond is counted on the page and is in the JSON. */
enum {
	HTML_FINDINGS = 50,
	HTML_STALLS = 100,
	HTML_LANES = 24,
	HTML_MARKS = 1000, /* stalls a lane, and the same of the application's marks */
	HTML_LOOPS = 64,
	HTML_TASKS = 30,
	HTML_SAID = 50, /* marks, counters */
	HTML_ROWS = 20, /* of the smaller lists */
	HTML_FRAMES = 40,
	HTML_TEXT = 400, /* bytes of one text */
};

struct html_index { /* sorted by id */
	size_t n;
	struct html_entry {
		int64_t id;
		const json_t *value; /* borrows */
	} * entry;		     /* owns */
};

struct page {
	const json_t *doc;
	FILE *out;
	struct html_index loops, tasks, stacks;
	const json_t **stalls; /* owns the array: worst first */
	size_t nstalls;
};

const json_t *html_find(const struct html_index *index, int64_t id);

/* Escaped, without control and direction characters, cut at HTML_TEXT; "unknown" for NULL. */
void html_text(struct page *p, const char *text);
/* The same, with what stands between backticks as code. */
void html_prose(struct page *p, const char *text);
/* "2026-03-02 14:02:03 UTC"; another form is shown as it is. */
void html_time(struct page *p, const char *rfc3339);
void html_duration(struct page *p, uint64_t ns);
/* "12,345" */
void html_count(struct page *p, uint64_t n);
/* "function file:line", or what of it is known. */
void html_site(struct page *p, const json_t *site);
/* The name of a loop: comm and thread. */
void html_loop_name(struct page *p, int64_t id);
void html_task_name(struct page *p, int64_t id);
/* <span class="cause ...">sleep</span> */
void html_cause(struct page *p, const char *cause);
/* <span class="severity ...">error</span> */
void html_severity(struct page *p, const char *severity);
/* The stack as a list in <details>; nothing when it is unknown. */
void html_stack(struct page *p, int64_t id, const char *title);
/* "Not on this page: 12 more TEXT" when total > shown. */
void html_left_out(struct page *p, uint64_t total, size_t shown, const char *what);

/* A table that may scroll; columns is the markup of its head's cells. */
void html_open_table(struct page *p, const char *title, const char *columns);
void html_close_table(struct page *p);

/* The marks in a stall; longest is its longest block, NULL: none. */
void html_stall_marks(struct page *p, const json_t *stall, const json_t *longest);

/* The parts, in their order on the page. */
void html_verdict(struct page *p);
void html_timeline(struct page *p);
void html_findings(struct page *p);
void html_stalls(struct page *p);
void html_tables(struct page *p);
void html_said(struct page *p);
void html_capture(struct page *p);

#endif
