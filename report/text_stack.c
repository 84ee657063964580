/* SPDX-License-Identifier: MIT */
/* How full stacks became, by the place that spawns their tasks. */
#include "text_page.h"

#define USES_SHOWN 10

static void print_use(const struct page *p, const struct stack_use *u)
{
	char text[64];

	if (u->size)
		snprintf(text, sizeof(text), "%.1f of %.0f KiB", (double)u->used / 1024,
			 (double)u->size / 1024);
	else
		snprintf(text, sizeof(text), "%.1f KiB", (double)u->used / 1024);
	fprintf(p->out, "  %-20s", text);
	if (u->size)
		snprintf(text, sizeof(text), "%.1f %%", 100.0 * (double)u->used / (double)u->size);
	fprintf(p->out, "%6s  ", u->size ? text : "-");
	page_site(p, u->site.function ? u->site.function : "?", u->site.file, u->site.line);
	if (p->a->ntargets > 1) {
		const struct store_target *t = analysis_target_of(p->a, u->target);

		fprintf(p->out, "  process %d", t ? t->pid : 0);
	}
	fputc('\n', p->out);
}

void page_stack_uses(const struct page *p)
{
	if (!p->a->nstack_uses)
		return;
	page_heading(p, "STACKS");
	page_style(p, STYLE_DIM);
	fprintf(p->out, "  %-20s%6s  %s\n", "used at most", "", "by a task spawned in");
	page_plain(p);
	for (size_t i = 0; i < p->a->nstack_uses && i < USES_SHOWN; i++)
		print_use(p, &p->a->stack_uses[i]);
	if (p->a->nstack_uses > USES_SHOWN)
		fprintf(p->out, "  and %zu more, less full: --json has them all\n",
			p->a->nstack_uses - USES_SHOWN);
}
