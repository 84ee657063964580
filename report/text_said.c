/* SPDX-License-Identifier: MIT */
/* What the application said of itself: its counters, and how many marks. */
#include "text_page.h"

#include <inttypes.h>

#define COUNTERS_SHOWN 20

/* The table takes 84 columns where there are so many, else 60. */
static bool is_narrow(const struct page *p)
{
	return page_width(p) < 84;
}

static void print_counter(const struct page *p, const struct store_counter *c)
{
	const struct store_loop *l = analysis_loop_of(p->a, c->loop);
	int columns = is_narrow(p) ? 11 : 14;
	char sets[32];

	fputs("  ", p->out);
	page_cell(p, c->name, is_narrow(p) ? 14 : 28);
	fprintf(p->out, "%*" PRId64 "%*" PRId64 "%*" PRId64 "%*s", columns, c->last, columns,
		c->min, columns, c->max, is_narrow(p) ? 11 : 12,
		page_count(c->count, sets, sizeof(sets)));
	if (l && p->a->nloops > 1)
		fprintf(p->out, "  loop %d", l->tid);
	fputc('\n', p->out);
}

void page_said(const struct page *p)
{
	char count[32];

	if (!p->a->nmarks && !p->a->ncounters)
		return;
	page_heading(p, "SAID BY THE PROGRAM");
	if (p->a->ncounters) {
		page_style(p, STYLE_DIM);
		fprintf(p->out,
			is_narrow(p) ? "  %-14s%11s%11s%11s%11s\n" : "  %-28s%14s%14s%14s%12s\n",
			"counter", "last", "least", "greatest", "times set");
		page_plain(p);
	}
	for (size_t i = 0; i < p->a->ncounters && i < COUNTERS_SHOWN; i++)
		print_counter(p, &p->a->counters[i]);
	if (p->a->ncounters > COUNTERS_SHOWN)
		fprintf(p->out, "  and %zu more counters: --json has them all\n",
			p->a->ncounters - COUNTERS_SHOWN);
	if (p->a->nmarks)
		fprintf(p->out,
			"  %s mark%s: those in a stall stand with it, --json has them all\n",
			page_count(p->a->nmarks, count, sizeof(count)),
			p->a->nmarks == 1 ? "" : "s");
}
