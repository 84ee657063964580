/* SPDX-License-Identifier: MIT */
/* When each loop was held, and what the application marked: a lane a loop. The list of stalls and
 * the table of marks are its twins in words. */
#include "base/cause.h"
#include "field.h"
#include "page.h"

#define WIDTH 1000.0 /* of the viewBox; the browser stretches it to the page */
#define LEAST 2.0    /* what can be seen */
#define TICKS 4

static void held(struct page *p, const json_t *stall, size_t rank, double scale)
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

/* What the application said at a moment. */
static void mark(struct page *p, const json_t *said, double scale)
{
	int64_t ts_ns = field_int(said, "ts_ns", -1);
	double x = (double)ts_ns * scale;

	if (ts_ns < 0 || x > WIDTH)
		return;
	fprintf(p->out, "<rect class=\"said\" x=\"%.2f\" y=\"0\" width=\"1\" height=\"28\"><title>",
		x);
	html_text(p, field_text(said, "text"));
	fputs(" at ", p->out);
	html_duration(p, (uint64_t)ts_ns);
	fputs("</title></rect>\n", p->out);
}

static json_t *marks(const struct page *p)
{
	return json_object_get(json_object_get(p->doc, "marks"), "list");
}

static size_t marks_of(const struct page *p, int64_t id)
{
	size_t n = 0, i;
	json_t *m;

	json_array_foreach(marks(p), i, m)
		n += field_int(m, "loop", -1) == id;
	return n;
}

static void lane(struct page *p, int64_t id, double scale)
{
	size_t shown = 0, all = 0, said = marks_of(p, id), drawn = 0, k;
	json_t *m;

	for (size_t i = 0; i < p->nstalls; i++)
		all += field_int(p->stalls[i], "loop", -1) == id;
	fputs("<div class=\"lane\"><div class=\"name\">", p->out);
	html_loop_name(p, id);
	fprintf(p->out,
		"</div>\n<svg viewBox=\"0 0 %.0f 28\" preserveAspectRatio=\"none\" role=\"img\" "
		"aria-label=\"%zu stalls and %zu marks over time\">\n",
		WIDTH, all, said);
	for (size_t i = 0; i < p->nstalls && shown < HTML_MARKS; i++)
		if (field_int(p->stalls[i], "loop", -1) == id) {
			held(p, p->stalls[i], i, scale);
			shown++;
		}
	json_array_foreach(marks(p), k, m)
		if (field_int(m, "loop", -1) == id && drawn < HTML_MARKS) {
			mark(p, m, scale);
			drawn++;
		}
	fputs("</svg></div>\n", p->out);
	html_left_out(p, said, drawn, "marks of this loop");
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

	if (!captured_ns || (!p->nstalls && !json_array_size(marks(p))))
		return;
	fputs("<section>\n<h2>Timeline</h2>\n", p->out);
	legend(p);
	fputs("<div class=\"timeline\">\n", p->out);
	json_array_foreach(loops, i, loop) {
		if (!field_u64(loop, "stall_count") && !marks_of(p, field_int(loop, "id", -1)))
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
