/* SPDX-License-Identifier: MIT */
/* When each loop was held: a lane a loop, a mark a stall. The list of stalls is its twin in words.
 */
#include "base/cause.h"
#include "field.h"
#include "page.h"

#define WIDTH 1000.0 /* of the viewBox; the browser stretches it to the page */
#define LEAST 2.0    /* a mark that can be seen */
#define TICKS 4

static void mark(struct page *p, const json_t *stall, size_t rank, double scale)
{
	const char *cause = field_text(stall, "cause");
	int known = cause ? lsc_cause_of(cause) : -1;
	uint64_t start_ns = field_u64(stall, "start_ns"), ns = field_u64(stall, "duration_ns");
	double x = (double)start_ns * scale, w = (double)ns * scale;

	if (w < LEAST)
		w = LEAST;
	if (x > WIDTH - w)
		x = w < WIDTH ? WIDTH - w : 0;
	if (w > WIDTH)
		w = WIDTH;
	if (rank < HTML_STALLS) /* out of the tab order: the list below has the same links */
		fprintf(p->out, "<a href=\"#s%lld\" tabindex=\"-1\">",
			(long long)field_int(stall, "id", 0));
	fprintf(p->out,
		"<rect class=\"c-%s\" x=\"%.2f\" y=\"2\" width=\"%.2f\" height=\"24\"><title>",
		known >= 0 ? lsc_cause_name(known) : "other", x, w);
	html_duration(p, ns);
	fputc(' ', p->out);
	html_text(p, cause);
	fputs(" at ", p->out);
	html_duration(p, start_ns);
	fputs("</title></rect>", p->out);
	if (rank < HTML_STALLS)
		fputs("</a>", p->out);
	fputc('\n', p->out);
}

static void lane(struct page *p, int64_t id, double scale)
{
	size_t shown = 0, all = 0;

	for (size_t i = 0; i < p->nstalls; i++)
		all += field_int(p->stalls[i], "loop", -1) == id;
	fputs("<div class=\"lane\"><div class=\"name\">", p->out);
	html_loop_name(p, id);
	fprintf(p->out,
		"</div>\n<svg viewBox=\"0 0 %.0f 28\" preserveAspectRatio=\"none\" role=\"img\" "
		"aria-label=\"%zu stalls over time\">\n",
		WIDTH, all);
	for (size_t i = 0; i < p->nstalls && shown < HTML_MARKS; i++)
		if (field_int(p->stalls[i], "loop", -1) == id) {
			mark(p, p->stalls[i], i, scale);
			shown++;
		}
	fputs("</svg></div>\n", p->out);
	html_left_out(p, all, shown, "stalls of this loop, shorter than those shown");
}

static void legend(struct page *p)
{
	bool seen[LSC_CAUSE_COUNT] = {false};

	for (size_t i = 0; i < p->nstalls; i++) {
		const char *cause = field_text(p->stalls[i], "cause");
		int known = cause ? lsc_cause_of(cause) : -1;

		seen[known >= 0 ? known : LSC_CAUSE_OTHER] = true;
	}
	fputs("<p class=\"legend\">", p->out);
	for (int i = 0; i < LSC_CAUSE_COUNT; i++)
		if (seen[i]) {
			html_cause(p, lsc_cause_name(i));
			fputc(' ', p->out);
		}
	fputs("</p>\n", p->out);
}

void html_timeline(struct page *p)
{
	uint64_t captured_ns = field_u64(json_object_get(p->doc, "capture"), "duration_ns");
	json_t *loops = json_object_get(p->doc, "loops"), *loop;
	size_t i, lanes = 0, quiet = 0;

	if (!captured_ns || !p->nstalls)
		return;
	fputs("<section>\n<h2>Timeline</h2>\n", p->out);
	legend(p);
	fputs("<div class=\"timeline\">\n", p->out);
	json_array_foreach(loops, i, loop) {
		if (!field_u64(loop, "stall_count"))
			quiet++;
		else if (lanes++ < HTML_LANES)
			lane(p, field_int(loop, "id", -1), WIDTH / (double)captured_ns);
	}
	fputs("<div class=\"lane\"><div class=\"name\"></div><div class=\"axis\">", p->out);
	for (unsigned t = 0; t <= TICKS; t++) {
		fputs("<span>", p->out);
		if (t)
			html_duration(p, captured_ns / TICKS * t);
		else
			fputs("0", p->out);
		fputs("</span>", p->out);
	}
	fputs("</div></div>\n</div>\n", p->out);
	if (quiet)
		fprintf(p->out, "<p class=\"note\">%zu loop%s without a stall %s no lane.</p>\n",
			quiet, quiet == 1 ? "" : "s", quiet == 1 ? "has" : "have");
	html_left_out(p, lanes, HTML_LANES, "loops");
	fputs("</section>\n", p->out);
}
