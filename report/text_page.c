/* SPDX-License-Identifier: MIT */
/* Colours, columns and wrapping of the text report. A column is a code point. */
#include "text_page.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "base/text.h"

void page_style(const struct page *p, enum style s)
{
	static const char *const codes[] = {
		[STYLE_BOLD] = "\033[1m",     [STYLE_DIM] = "\033[2m",
		[STYLE_ERROR] = "\033[1;31m", [STYLE_WARNING] = "\033[1;33m",
		[STYLE_INFO] = "\033[36m",    [STYLE_GOOD] = "\033[1;32m",
	};

	if (p->color)
		fputs(codes[s], p->out);
}

void page_plain(const struct page *p)
{
	if (p->color)
		fputs("\033[0m", p->out);
}

enum style page_severity_style(enum severity s)
{
	return s == SEVERITY_ERROR     ? STYLE_ERROR
	       : s == SEVERITY_WARNING ? STYLE_WARNING
				       : STYLE_INFO;
}

unsigned page_text(const struct page *p, const char *text, unsigned max)
{
	lsc_autofree char *clean = lsc_text_plain(text ? text : "-");
	unsigned columns = 0, total = 0;

	if (!clean)
		return (unsigned)fprintf(p->out, "?");
	for (const char *c = clean; *c; c++)
		total += (*c & 0xc0) != 0x80;
	for (const char *c = clean; *c; c++) {
		if ((*c & 0xc0) != 0x80) {
			if (max && total > max && columns == max - 1) {
				fputs("\xe2\x80\xa6", p->out); /* an ellipsis */
				return max;
			}
			columns++;
		}
		fputc(*c, p->out);
	}
	return columns;
}

void page_path(const struct page *p, const char *path, unsigned max)
{
	lsc_autofree char *clean = lsc_text_plain(path);
	unsigned total = 0;
	const char *c = clean;

	for (const char *at = clean; at && *at; at++)
		total += (*at & 0xc0) != 0x80;
	if (total > max) {
		fputs("\xe2\x80\xa6", p->out); /* an ellipsis */
		for (; total >= max || (*c & 0xc0) == 0x80; c++)
			total -= (*c & 0xc0) != 0x80;
	}
	fputs(c ? c : "?", p->out);
}

void page_cell(const struct page *p, const char *text, unsigned columns)
{
	unsigned used = page_text(p, text, columns);

	fprintf(p->out, "%*s", (int)(columns - used), "");
}

unsigned page_width(const struct page *p)
{
	return p->width && p->width < PAGE_WIDTH ? p->width : PAGE_WIDTH;
}

void page_wrap(const struct page *p, const char *text, unsigned at, unsigned indent)
{
	lsc_autofree char *clean = lsc_text_plain(text);
	unsigned begin = at;
	char *rest = clean, *word;

	if (!clean)
		fputc('?', p->out);
	while (rest && (word = strsep(&rest, " "))) {
		unsigned columns = 0;

		/* a number and its unit are one word */
		while (rest && *word && isdigit((unsigned char)rest[-2]) &&
		       isalpha((unsigned char)*rest)) {
			rest[-1] = ' ';
			strsep(&rest, " ");
		}
		for (const char *c = word; *c; c++)
			columns += (*c & 0xc0) != 0x80;
		if (!columns)
			continue;
		if (at > begin && at + 1 + columns > page_width(p)) {
			fprintf(p->out, "\n%*s", (int)indent, "");
			at = begin = indent;
		} else if (at > begin) {
			fputc(' ', p->out);
			at++;
		}
		fputs(word, p->out);
		at += columns;
	}
	fputc('\n', p->out);
}

void page_heading(const struct page *p, const char *title)
{
	fputc('\n', p->out);
	page_style(p, STYLE_BOLD);
	fputs(title, p->out);
	page_plain(p);
	fputs("\n\n", p->out);
}

void page_duration(const struct page *p, uint64_t ns)
{
	char text[32];

	fputs(ns == ANALYSIS_UNKNOWN ? "unknown" : lsc_duration_format(ns, text, sizeof(text)),
	      p->out);
}

const char *page_count(uint64_t n, char *buf, size_t size)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	size_t at = 0;

	for (int i = 0; i < len && at + 2 < size; i++) {
		if (i && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

void page_site(const struct page *p, const char *function, const char *file, int line)
{
	if (!function && !file)
		return;
	page_text(p, function ? function : "?", 60);
	if (!file)
		return;
	fputs(" (", p->out);
	page_path(p, file, 48);
	if (line > 0)
		fprintf(p->out, ":%d", line);
	fputc(')', p->out);
}
