/* SPDX-License-Identifier: MIT */
/* What the parts of the text report share: colours, columns, wrapping. */
#ifndef LSC_REPORT_TEXT_PAGE_H
#define LSC_REPORT_TEXT_PAGE_H

#include "text.h"

#define PAGE_WIDTH 92

enum style { STYLE_BOLD, STYLE_DIM, STYLE_ERROR, STYLE_WARNING, STYLE_INFO, STYLE_GOOD };

struct page {
	FILE *out;
	bool color;
	unsigned width; /* of the terminal; 0: none */
	const struct analysis *a;
};

void page_style(const struct page *p, enum style s);
void page_plain(const struct page *p); /* ends a style */
/* Prints at most max columns of hostile text (0: all), and returns how many. */
unsigned page_text(const struct page *p, const char *text, unsigned max);
/* At most max columns of a path: its end says more than its beginning. */
void page_path(const struct page *p, const char *path, unsigned max);
/* page_text(), padded with spaces to `columns`. */
void page_cell(const struct page *p, const char *text, unsigned columns);
/* The columns that a line may have: PAGE_WIDTH, or fewer. */
unsigned page_width(const struct page *p);
/* Breaks hostile text at spaces; the cursor is at column `at`, lines after the first begin at
 * `indent`. */
void page_wrap(const struct page *p, const char *text, unsigned at, unsigned indent);
void page_heading(const struct page *p, const char *title);
void page_duration(const struct page *p, uint64_t ns);
/* "12,345" */
const char *page_count(uint64_t n, char *buf, size_t size);
/* "debugCommand (debug.c:512)"; nothing when the function is not known */
void page_site(const struct page *p, const char *function, const char *file, int line);
enum style page_severity_style(enum severity s);

/* text_stall.c: the worst stalls. */
int page_stalls(const struct page *p);
/* text_stack.c: how full stacks became. */
void page_stack_uses(const struct page *p);
/* text_said.c: counters and marks. */
void page_said(const struct page *p);

#endif
