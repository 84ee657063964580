/* SPDX-License-Identifier: MIT */
/* The top of the page: what was found in one sentence, and the key numbers. */
#include <string.h>

#include "base/cause.h"
#include "base/loss.h"
#include "field.h"
#include "page.h"

#define SUBJECTS      3
#define COVERAGE_GOOD 0.95 /* below, the rule `blind` speaks */

/* The finding to speak of: the first of the most severe, as the report orders them; suppressed ones
 * do not count. */
static const json_t *first_finding(const json_t *findings)
{
	static const char *const order[] = {"info", "warning", "error"};
	const json_t *best = NULL;
	int best_rank = -1;
	size_t i;
	json_t *f;

	json_array_foreach((json_t *)findings, i, f) {
		const char *severity = field_text(f, "severity");
		int rank = 0;

		if (json_is_object(json_object_get(f, "suppressed")))
			continue;
		for (int k = 0; severity && k < 3; k++)
			if (!strcmp(severity, order[k]))
				rank = k;
		if (rank <= best_rank)
			continue;
		best = f;
		best_rank = rank;
	}
	return best;
}

/* The name of the one loop that stalled, or how many did. */
static void held_loops(struct page *p)
{
	const json_t *one = NULL;
	size_t n = 0;

	for (size_t i = 0; i < p->loops.n; i++)
		if (field_u64(p->loops.entry[i].value, "stall_count")) {
			one = p->loops.entry[i].value;
			n++;
		}
	if (n == 1)
		html_text(p, field_text(one, "comm"));
	else
		fprintf(p->out, "%zu loops", n);
}

static void headline(struct page *p, bool has_end, bool sure)
{
	const json_t *capture = json_object_get(p->doc, "capture");
	uint64_t threshold_ns = field_u64(json_object_get(capture, "thresholds"), "stall_ns");

	if (!p->loops.n) {
		fputs("No event loop was seen", p->out);
	} else if (!p->nstalls) {
		fputs("No stall", p->out);
		if (threshold_ns) {
			fputs(" of ", p->out);
			html_duration(p, threshold_ns);
			fputs(" or more", p->out);
		}
	} else {
		html_count(p, p->nstalls);
		fputs(p->nstalls == 1 ? " stall held " : " stalls held ", p->out);
		held_loops(p);
		fputs(p->nstalls == 1 ? ", for " : ", the worst for ", p->out);
		html_duration(p, field_u64(p->stalls[0], "duration_ns"));
	}
	if (p->loops.n && !p->nstalls && !sure)
		fputs(", but too little was seen to call it healthy", p->out);
	if (has_end) {
		fputs(" <span class=\"dim\">in ", p->out);
		html_duration(p, field_u64(capture, "duration_ns"));
	} else {
		fputs(" <span class=\"dim\">up to where the capture breaks off", p->out);
	}
	fputs("</span>", p->out);
}

static void number(struct page *p, const char *label, const char *kind)
{
	fprintf(p->out, "<div class=\"number%s%s\"><dt>%s</dt><dd>", *kind ? " " : "", kind, label);
}

static void share(struct page *p, double v)
{
	if (v < 0)
		fputs("unknown", p->out);
	else if (v > 0 && v < 0.0005)
		fputs("under 0.1 %", p->out);
	else if (v < 1 && v >= 0.9995)
		fputs("over 99.9 %", p->out); /* a rounded 100 % would hide a loss */
	else
		fprintf(p->out, v == 0 || v == 1 ? "%.0f %%" : "%.1f %%", v * 100);
}

/* Who had to wait: each task, socket and timer counts once a stall. */
static void waits(struct page *p)
{
	uint64_t count = 0, worst_ns = 0;

	for (size_t i = 0; i < p->nstalls; i++) {
		const json_t *victims = json_object_get(p->stalls[i], "victims");
		uint64_t max_ns = field_u64(victims, "max_wait_ns");

		count += field_u64(victims, "count");
		worst_ns = max_ns > worst_ns ? max_ns : worst_ns;
	}
	html_count(p, count);
	if (!count)
		return;
	fputs(" <span>up to ", p->out);
	html_duration(p, worst_ns);
	fputs("</span>", p->out);
}

/* Those that say no more than that a thread turned out to be no loop are no alarm. */
static bool is_alarming(json_t *lost)
{
	const char *reason;
	json_t *v;

	json_object_foreach(lost, reason, v)
		if (strcmp(reason, lsc_loss_name(LSC_LOSS_UNCONFIRMED)) != 0 &&
		    json_integer_value(v))
			return true;
	return false;
}

static void numbers(struct page *p, uint64_t captured_ns)
{
	const json_t *capture = json_object_get(p->doc, "capture");
	json_t *lost = json_object_get(capture, "lost"), *v;
	double coverage = field_real(capture, "coverage", -1);
	uint64_t stalled_ns = 0, lag_ns = 0, lost_sum = 0;
	const char *reason;

	for (size_t i = 0; i < p->loops.n; i++) {
		const json_t *loop = p->loops.entry[i].value;
		uint64_t p99 = field_u64(json_object_get(loop, "lag"), "p99_ns");

		stalled_ns += field_u64(loop, "stalled_ns");
		lag_ns = p99 > lag_ns ? p99 : lag_ns;
	}
	json_object_foreach(lost, reason, v)
		lost_sum += field_u64(lost, reason);
	fputs("<dl class=\"numbers\">\n", p->out);
	number(p, "Stalls", "");
	html_count(p, p->nstalls);
	fputs("</dd></div>\n", p->out);
	number(p, "Worst", "");
	if (p->nstalls)
		html_duration(p, field_u64(p->stalls[0], "duration_ns"));
	else
		fputs("none", p->out);
	fputs("</dd></div>\n", p->out);
	number(p, "Stalled in all", "");
	html_duration(p, stalled_ns);
	if (captured_ns && p->loops.n) {
		fputs(" <span>", p->out);
		share(p, (double)stalled_ns / ((double)captured_ns * (double)p->loops.n));
		fputs("</span>", p->out);
	}
	fputs("</dd></div>\n", p->out);
	number(p, "Waits behind them", "");
	waits(p);
	fputs("</dd></div>\n", p->out);
	number(p, "Lag, p99", "");
	if (lag_ns)
		html_duration(p, lag_ns);
	else
		fputs("unknown", p->out);
	fputs("</dd></div>\n", p->out);
	number(p, "Loops", "");
	html_count(p, p->loops.n);
	fputs("</dd></div>\n", p->out);
	number(p, "Coverage", coverage >= 0 && coverage < COVERAGE_GOOD ? "poor" : "");
	share(p, coverage);
	fputs("</dd></div>\n", p->out);
	number(p, "Events lost", is_alarming(lost) ? "poor" : "");
	html_count(p, lost_sum);
	fputs("</dd></div>\n</dl>\n", p->out);
}

static bool owns_loop(const struct page *p, int64_t target)
{
	for (size_t i = 0; i < p->loops.n; i++)
		if (field_int(p->loops.entry[i].value, "target", -1) == target)
			return true;
	return false;
}

/* The programs with loops; of a recorded command's helpers it is enough to know how many. */
static void subject(struct page *p, json_t *targets)
{
	size_t i, shown = 0;
	json_t *t;

	json_array_foreach(targets, i, t) {
		const char *runtime = field_text(t, "runtime");

		if (shown == SUBJECTS || (p->loops.n && !owns_loop(p, field_int(t, "id", -1))))
			continue;
		fputs(shown++ ? ", <b>" : "<b>", p->out);
		html_text(p, field_text(t, "comm"));
		fprintf(p->out, "</b> %lld", (long long)field_int(t, "pid", 0));
		if (runtime) {
			fputs(" (", p->out);
			html_text(p, runtime);
			fputs(")", p->out);
		}
	}
	if (i > shown) {
		fputs(shown ? " and " : "", p->out);
		html_count(p, i - shown);
		fputs(i - shown == 1 ? " other process" : " other processes", p->out);
	}
	fputs(i ? " on " : "", p->out);
}

void html_verdict(struct page *p)
{
	const json_t *capture = json_object_get(p->doc, "capture");
	const json_t *finding = first_finding(json_object_get(p->doc, "findings"));
	bool has_end = json_is_integer(json_object_get(capture, "duration_ns"));
	bool sure =
		p->loops.n && (!has_end || field_real(capture, "coverage", -1) >= COVERAGE_GOOD);
	const char *severity = field_text(finding, "severity");
	const char *kind = sure && has_end ? "good" : "warning";
	uint64_t captured_ns = field_u64(capture, "duration_ns");

	if (severity)
		kind = !strcmp(severity, "error")     ? "error"
		       : !strcmp(severity, "warning") ? "warning"
						      : "info";
	fputs("<header>\n<p class=\"brand\">loopscope</p>\n<p class=\"subject\">", p->out);
	subject(p, json_object_get(capture, "targets"));
	html_text(p, field_text(json_object_get(p->doc, "host"), "hostname"));
	fputs(", ", p->out);
	html_time(p, field_text(capture, "start"));
	fprintf(p->out, "</p>\n</header>\n<main id=\"main\">\n<section class=\"verdict %s\">\n<h1>",
		kind);
	headline(p, has_end, sure);
	fputs("</h1>\n", p->out);
	if (finding) {
		fputs("<p>", p->out);
		html_prose(p, field_text(finding, "message"));
		fputs("</p>\n", p->out);
	}
	numbers(p, captured_ns);
	fputs("</section>\n", p->out);
}
