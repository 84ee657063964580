/* SPDX-License-Identifier: MIT */
/* The text report: head, verdict, findings, loops, and what was not seen. */
#include "text.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "analysis/rules.h"
#include "base/clock.h"
#include "base/duration.h"
#include "text_page.h"

#define FINDINGS_SHOWN	 20
#define LOOPS_SHOWN	 20
#define UNRESOLVED_SHOWN 10

static void print_targets(const struct page *p)
{
	for (size_t i = 0; i < p->a->ntargets && i < 5; i++) {
		const struct store_target *t = &p->a->targets[i];

		fputs(i ? ", " : "", p->out);
		page_style(p, STYLE_BOLD);
		page_text(p, t->comm ? t->comm : "a program", 32);
		page_plain(p);
		fprintf(p->out, " (pid %d", t->pid);
		if (t->runtime) {
			fputs(", ", p->out);
			page_text(p, t->runtime, 20);
			if (t->runtime_version) {
				fputc(' ', p->out);
				page_text(p, t->runtime_version, 20);
			}
		}
		fputc(')', p->out);
	}
	if (p->a->ntargets > 5)
		fprintf(p->out, " and %zu more", p->a->ntargets - 5);
	if (!p->a->ntargets)
		fputs("no program", p->out);
}

static void print_cost(const struct page *p)
{
	if (p->a->bpf_ns == ANALYSIS_UNKNOWN && p->a->cpu_ns == ANALYSIS_UNKNOWN)
		return;
	fputs("\n  watching cost ", p->out);
	if (p->a->cpu_ns != ANALYSIS_UNKNOWN) {
		page_duration(p, p->a->cpu_ns);
		fputs(" of CPU time, its start included, and ", p->out);
	}
	if (p->a->bpf_ns != ANALYSIS_UNKNOWN)
		page_duration(p, p->a->bpf_ns);
	else
		fputs("an unknown time", p->out);
	fputs(" in kernel programs", p->out);
}

static void print_head(const struct page *p, const char *name)
{
	const struct analysis *a = p->a;
	uint64_t duration = analysis_duration_ns(a);
	time_t start = (time_t)(a->start_wall_ns / LSC_NS_PER_S);
	struct tm tm;
	char when[32];

	page_text(p, name, 0);
	fputs("  ", p->out);
	print_targets(p);
	fputs("\n  ", p->out);
	if (duration == ANALYSIS_UNKNOWN)
		fputs(a->is_live ? "still being written," : "cut off before its end,", p->out);
	else
		page_duration(p, duration);
	if (a->start_wall_ns != ANALYSIS_UNKNOWN && localtime_r(&start, &tm) &&
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm))
		fprintf(p->out, " from %s", when);
	if (a->end_reason) {
		fputs(", ended by ", p->out);
		page_text(p, a->end_reason, 20);
	}
	if (a->exit_status != ANALYSIS_UNKNOWN)
		fprintf(p->out, ", exit status %llu", (unsigned long long)a->exit_status);
	fputs("\n  recorded from: stalls ", p->out);
	page_duration(p, a->stall_ns);
	fputs(", blocks ", p->out);
	page_duration(p, a->block_ns);
	fputs(", ready waits ", p->out);
	page_duration(p, a->ready_wait_ns);
	if (a->coverage < 0)
		fputs("\n  coverage unknown", p->out);
	else
		fprintf(p->out, "\n  coverage %.1f %%", a->coverage * 100);
	char lost[32];
	if (a->lost_total)
		fprintf(p->out, ", %s events lost", page_count(a->lost_total, lost, sizeof(lost)));
	else
		fputs(", nothing lost", p->out);
	print_cost(p);
	fputs("\n\n", p->out);
}

static void print_healthy(const struct page *p)
{
	uint64_t ticks = 0;
	char text[32];

	for (size_t i = 0; i < p->a->nloops; i++)
		ticks = add_sat(ticks, p->a->loops[i].ticks);
	page_style(p, STYLE_GOOD);
	fputs("Healthy", p->out);
	page_plain(p);
	fprintf(p->out, ": %zu loop%s turned %s times", p->a->nloops, p->a->nloops == 1 ? "" : "s",
		page_count(ticks, text, sizeof(text)));
	if (p->a->stall_ns != ANALYSIS_UNKNOWN) {
		fputs(", none was held for ", p->out);
		page_duration(p, p->a->stall_ns);
	} else {
		fputs(", none was held", p->out);
	}
	fputs(".\n", p->out);
}

static void print_verdict(const struct page *p)
{
	const struct analysis *a = p->a;
	size_t by[SEVERITY_COUNT] = {0}, blind = 0;

	for (size_t i = 0; i < a->nfindings; i++) {
		by[a->findings[i].severity]++;
		blind += !strcmp(a->findings[i].rule->id, "blind");
	}
	if (!a->nstalls && !a->nfindings) {
		if (a->end_ns == ANALYSIS_UNKNOWN)
			fputs(a->is_live ? "No stall so far.\n"
					 : "No stall up to where the capture was cut off.\n",
			      p->out);
		else
			print_healthy(p);
		return;
	}
	if (!a->nstalls && blind == a->nfindings) {
		page_style(p, STYLE_WARNING);
		fputs("No stall seen, but not enough was seen to call it healthy.", p->out);
		page_plain(p);
		fputc('\n', p->out);
		return;
	}
	page_style(p, by[SEVERITY_ERROR]     ? STYLE_ERROR
		      : by[SEVERITY_WARNING] ? STYLE_WARNING
					     : STYLE_INFO);
	if (a->nstalls) {
		char n[32];

		fprintf(p->out, "%s stall%s", page_count(a->nstalls, n, sizeof(n)),
			a->nstalls == 1 ? "" : "s");
		page_plain(p);
		if (a->nloops == 1)
			fputs(" held the loop for ", p->out);
		else
			fprintf(p->out, " held %zu of %zu loops for ", a->loops_stalled, a->nloops);
		page_duration(p, a->stalled_ns);
		fputs(a->nstalls > 1 ? " in all, the worst " : "", p->out);
		if (a->nstalls > 1)
			page_duration(p, a->worst_ns);
		fputs(". ", p->out);
	} else {
		fputs("No stall. ", p->out);
		page_plain(p);
	}
	for (int s = SEVERITY_COUNT - 1, first = 1; s >= 0; s--)
		if (by[s]) {
			fprintf(p->out, "%s%zu %s%s", first ? "" : ", ", by[s],
				severity_name((enum severity)s),
				by[s] > 1 && s != SEVERITY_INFO ? "s" : "");
			first = 0;
		}
	fputs(".\n", p->out);
}

static void print_finding(const struct page *p, const struct finding *f)
{
	static const char *const marks[SEVERITY_COUNT] = {"INFO   ", "WARNING", "ERROR  "};
	char text[64];

	fputs("  ", p->out);
	page_style(p, page_severity_style(f->severity));
	fputs(marks[f->severity], p->out);
	page_plain(p);
	fputs("  ", p->out);
	page_style(p, STYLE_BOLD);
	fputs(f->rule->id, p->out);
	page_plain(p);
	if (f->site.function) {
		fputs("  ", p->out);
		page_site(p, f->site.function, f->site.file, f->site.line);
	}
	fputs("\n           ", p->out);
	page_wrap(p, f->message, 11, 11);
	fputs("           ", p->out);
	page_style(p, STYLE_GOOD);
	fputs("fix", p->out);
	page_plain(p);
	fputs("  ", p->out);
	page_wrap(p, f->fix, 16, 16);
	page_style(p, STYLE_DIM);
	fprintf(p->out, "           %s, fingerprint %s", f->inferred ? "inferred" : "observed",
		f->fingerprint);
	for (size_t i = 0; i < f->stalls.n && i < 5; i++)
		fprintf(p->out, "%s#%lld",
			i		  ? " "
			: f->stalls.n > 1 ? ", stalls "
					  : ", stall ",
			(long long)f->stalls.ids[i]);
	if (f->stalls.n > 5)
		fprintf(p->out, " and %s more", page_count(f->stalls.n - 5, text, sizeof(text)));
	page_plain(p);
	fputc('\n', p->out);
}

void text_finding(const struct finding *f, const struct text_options *options, FILE *out)
{
	const struct page p = {.out = out, .color = options->color, .width = options->width};

	print_finding(&p, f);
}

static void print_findings(const struct page *p)
{
	if (!p->a->nfindings)
		return;
	page_heading(p, "FINDINGS");
	for (size_t i = 0; i < p->a->nfindings && i < FINDINGS_SHOWN; i++) {
		fputs(i ? "\n" : "", p->out);
		print_finding(p, &p->a->findings[i]);
	}
	if (p->a->nfindings > FINDINGS_SHOWN)
		fprintf(p->out, "\n  and %zu more of lower weight: --json has them all\n",
			p->a->nfindings - FINDINGS_SHOWN);
}

/* Right-aligned in eleven columns. */
static void print_number(const struct page *p, const char *text)
{
	fprintf(p->out, "%11s", text);
}

/* The whole table takes 89 columns; where there are fewer, it is without the turns and the median.
 */
static bool is_narrow(const struct page *p)
{
	return page_width(p) < 89;
}

static void print_loop(const struct page *p, const struct store_loop *l)
{
	uint64_t seen = add_sat(l->busy_ns, l->idle_ns);
	static const double quantiles[] = {0.5, 0.99};
	char text[48];

	fprintf(p->out, "  %7d  ", l->tid);
	page_cell(p, l->comm, is_narrow(p) ? 10 : 16);
	if (!is_narrow(p))
		fprintf(p->out, "%12s", page_count(l->ticks, text, sizeof(text)));
	if (seen)
		snprintf(text, sizeof(text), "%.1f %%", 100.0 * (double)l->busy_ns / (double)seen);
	fprintf(p->out, "%9s", seen ? text : "-");
	for (size_t i = is_narrow(p); i < 2; i++)
		print_number(p,
			     l->lag ? lsc_duration_format(lsc_hist_quantile(l->lag, quantiles[i]),
							  text, sizeof(text))
				    : "-");
	print_number(p, l->lag ? lsc_duration_format(l->lag->max_ns, text, sizeof(text)) : "-");
	fprintf(p->out, "%8s\n", page_count(l->stall_count, text, sizeof(text)));
}

static void print_loops(const struct page *p)
{
	if (!p->a->nloops)
		return;
	page_heading(p, "LOOPS");
	page_style(p, STYLE_DIM);
	fprintf(p->out, "  %7s  %-*s", "tid", is_narrow(p) ? 10 : 16, "thread");
	if (is_narrow(p))
		fprintf(p->out, "%9s", "busy");
	else
		fprintf(p->out, "%12s%9s%11s", "ticks", "busy", "lag p50");
	fprintf(p->out, "%11s%11s%8s\n", "lag p99", "lag max", "stalls");
	page_plain(p);
	for (size_t i = 0; i < p->a->nloops && i < LOOPS_SHOWN; i++)
		print_loop(p, &p->a->loops[i]);
	if (p->a->nloops > LOOPS_SHOWN)
		fprintf(p->out, "  and %zu more\n", p->a->nloops - LOOPS_SHOWN);
}

static void print_named(const struct page *p, const struct named *n, bool count)
{
	unsigned at = 4;
	char text[32];

	fputs("  ", p->out);
	at += page_text(p, n->what, 40);
	if (count)
		at += (unsigned)fprintf(p->out, " (%s)", page_count(n->n, text, sizeof(text)));
	fputs(": ", p->out);
	page_wrap(p, n->why ? n->why : "for an unknown reason", at, 6);
}

static void print_unseen(const struct page *p)
{
	const struct analysis *a = p->a;
	char text[32];

	if (!a->nunseen && !a->nunresolved && !a->lost_total && a->end_ns != ANALYSIS_UNKNOWN)
		return;
	page_heading(p, "WHAT WAS NOT SEEN");
	if (a->end_ns == ANALYSIS_UNKNOWN)
		fprintf(p->out, "  the end: the capture %s\n",
			a->is_live ? "is still being written" : "was cut off");
	for (int i = 0; i < LSC_LOSS_COUNT; i++)
		if (a->lost[i])
			fprintf(p->out, "  %s events lost: %s\n",
				page_count(a->lost[i], text, sizeof(text)), lsc_loss_name(i));
	for (size_t i = 0; i < a->nunseen && i < UNRESOLVED_SHOWN; i++)
		print_named(p, &a->unseen[i], false);
	for (size_t i = 0; i < a->nunresolved && i < UNRESOLVED_SHOWN; i++)
		print_named(p, &a->unresolved[i], true);
	size_t more = (a->nunseen > UNRESOLVED_SHOWN ? a->nunseen - UNRESOLVED_SHOWN : 0) +
		      (a->nunresolved > UNRESOLVED_SHOWN ? a->nunresolved - UNRESOLVED_SHOWN : 0);
	if (more)
		fprintf(p->out, "  and %zu more: --json has them all\n", more);
}

int text_render(const struct analysis *a, const struct text_options *options, FILE *out)
{
	const struct page p = {
		.out = out, .color = options->color, .width = options->width, .a = a};

	print_head(&p, options->name);
	print_verdict(&p);
	print_findings(&p);
	int r = page_stalls(&p);
	print_loops(&p);
	page_stack_uses(&p);
	page_said(&p);
	print_unseen(&p);
	if (r < 0)
		return r;
	return fflush(out) || ferror(out) ? -EIO : 0;
}
