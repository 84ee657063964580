/* SPDX-License-Identifier: MIT */
/* What the application said of itself: its counters, and how many marks. */
#include "text_page.h"

#include <inttypes.h>

#define COUNTERS_SHOWN 20

static void print_counter(const struct page *p, const struct store_counter *c)
{
	const struct store_loop *l = analysis_loop_of(p->a, c->loop);
	char sets[32];

	fputs("  ", p->out);
	page_cell(p, c->name, 28);
	fprintf(p->out, "%14" PRId64 "%14" PRId64 "%14" PRId64 "%12s", c->last, c->min, c->max,
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
		fprintf(p->out, "  %-28s%14s%14s%14s%12s\n", "counter", "last", "least", "greatest",
			"times set");
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
