/* SPDX-License-Identifier: MIT */
/* The stalls, worst first: when, how long, why, in which calls, whose step, and who waited. */
#include <stdbool.h>
#include <string.h>

#include "base/cause.h"
#include "base/duration.h"
#include "field.h"
#include "page.h"

/* The parts of a stall as a bar; the words are below it. */
static void split(struct page *p, json_t *parts, uint64_t all_ns)
{
	double x = 0;
	size_t i;
	json_t *v;

	if (!all_ns || !json_array_size(parts))
		return;
	fputs("<svg class=\"split\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
	      "aria-hidden=\"true\">",
	      p->out);
	json_array_foreach(parts, i, v) {
		const char *cause = field_text(v, "cause");
		int known = cause ? lsc_cause_of(cause) : -1;
		double w = (double)field_u64(v, "ns") / (double)all_ns * 1000;

		if (w > 1000 - x)
			w = 1000 - x;
		fprintf(p->out,
			"<rect class=\"c-%s\" x=\"%.2f\" y=\"0\" width=\"%.2f\" height=\"10\"/>",
			known >= 0 ? lsc_cause_name(known) : "other", x, w);
		x += w;
	}
	fputs("</svg>\n<p class=\"parts\">", p->out);
	json_array_foreach(parts, i, v) {
		fputs("<span>", p->out);
		html_cause(p, field_text(v, "cause"));
		fputc(' ', p->out);
		html_duration(p, field_u64(v, "ns"));
		fputs("</span>\n", p->out);
	}
	fputs("</p>\n", p->out);
}

static void resource(struct page *p, const json_t *r)
{
	const char *path = field_text(r, "path"), *peer = field_text(r, "peer"),
		   *comm = field_text(r, "comm");
	uint64_t requested_ns = field_u64(r, "requested_ns");

	if (!json_is_object(r))
		return;
	html_text(p, field_text(r, "kind"));
	if (path || peer) {
		fputs(" <code>", p->out);
		html_text(p, path ? path : peer);
		fputs("</code>", p->out);
	}
	if (field_text(r, "proto")) {
		fputc(' ', p->out);
		html_text(p, field_text(r, "proto"));
	}
	if (comm) {
		fputc(' ', p->out);
		html_text(p, comm);
		fprintf(p->out, " %lld", (long long)field_int(r, "pid", 0));
	}
	if (requested_ns) {
		fputs(", asked for ", p->out);
		html_duration(p, requested_ns);
	}
}

static void whom(struct page *p, const char *label, const json_t *who, const char *number)
{
	if (!json_is_object(who))
		return;
	fprintf(p->out, "%s ", label);
	html_text(p, field_text(who, "comm"));
	fprintf(p->out, " %lld", (long long)field_int(who, number, 0));
}

/* What the call was to do, where an argument has a name: LOCK_EX, O_RDONLY|O_CLOEXEC. */
static void operation(struct page *p, json_t *args)
{
	const char *key;
	json_t *v;

	json_object_foreach(args, key, v) {
		const char *text = json_string_value(v);

		if (!text || !strcmp(key, "path") || (*text >= '0' && *text <= '9'))
			continue;
		fputs(" <span class=\"op\">", p->out);
		html_text(p, text);
		fputs("</span>", p->out);
	}
}

/* The longest blocks of a stall, the longest first; of equal ones the earlier. Returns how many. */
static size_t choose_longest(json_t *list, const json_t *ret_rows[HTML_ROWS])
{
	size_t i, n = 0;
	json_t *b;

	json_array_foreach(list, i, b) {
		uint64_t ns = field_u64(b, "duration_ns");
		size_t at = n;

		while (at > 0 && field_u64(ret_rows[at - 1], "duration_ns") < ns)
			at--;
		if (at == HTML_ROWS)
			continue;
		n += n < HTML_ROWS;
		memmove(&ret_rows[at + 1], &ret_rows[at], (n - at - 1) * sizeof(*ret_rows));
		ret_rows[at] = b;
	}
	return n;
}

/* n of all that the stall has. */
static void blocks(struct page *p, const json_t *const *rows, size_t n, size_t all)
{
	if (!n)
		return;
	fputs("<div class=\"scroll calls\" tabindex=\"0\" role=\"region\" aria-label=\"Blocking "
	      "calls\"><table>\n"
	      "<thead><tr><th>Call</th><th>Cause</th><th class=\"n\">Duration</th><th>On "
	      "what</th></tr></thead>\n"
	      "<tbody>\n",
	      p->out);
	for (size_t i = 0; i < n; i++) {
		const json_t *b = rows[i];
		uint64_t count = field_u64(b, "count");

		fputs("<tr><td><code>", p->out);
		html_text(p, field_text(b, "syscall") ? field_text(b, "syscall") : "no call");
		fputs("</code>", p->out);
		operation(p, json_object_get(b, "args"));
		if (count > 1) {
			fputs(" x ", p->out);
			html_count(p, count);
		}
		fputs("</td><td>", p->out);
		html_cause(p, field_text(b, "cause"));
		fputs("</td><td class=\"n\">", p->out);
		html_duration(p, field_u64(b, "duration_ns"));
		fputs("</td><td>", p->out);
		bool known = json_is_object(json_object_get(b, "resource"));
		resource(p, json_object_get(b, "resource"));
		whom(p, known ? ", held by" : "held by", json_object_get(b, "owner"), "tid");
		known |= json_is_object(json_object_get(b, "owner"));
		whom(p, known ? ", woken by" : "woken by", json_object_get(b, "waker"), "pid");
		fputs("</td></tr>\n", p->out);
	}
	fputs("</tbody></table></div>\n", p->out);
	html_left_out(p, all, n, "blocking calls, none of them longer");
}

/* What else was seen of the longest block. */
static void other_stacks(struct page *p, const json_t *longest)
{
	html_stack(p, field_int(json_object_get(longest, "owner"), "stack", -1),
		   "Stack of the lock's holder");
	html_stack(p, field_int(longest, "kernel_stack", -1), "In the kernel");
}

static void culprits(struct page *p, json_t *list)
{
	size_t i;
	json_t *c;

	if (json_array_size(list) < 2) /* one is named in the stall's heading */
		return;
	fputs("<p>Steps of ", p->out);
	json_array_foreach(list, i, c) {
		if (i == HTML_ROWS)
			break;
		fputs(i ? ", " : "", p->out);
		html_task_name(p, field_int(c, "task", 0));
		fputc(' ', p->out);
		html_duration(p, field_u64(c, "ns"));
	}
	fputs(json_array_size(list) > HTML_ROWS ? " and others</p>\n" : "</p>\n", p->out);
}

static void victim(struct page *p, const json_t *v)
{
	const char *name = field_text(v, "name"), *peer = field_text(v, "peer");

	fputs("<li>", p->out);
	html_text(p, field_text(v, "kind"));
	fputc(' ', p->out);
	if (name)
		html_text(p, name);
	else if (field_int(v, "task", 0) > 0)
		html_task_name(p, field_int(v, "task", 0));
	else if (field_int(v, "fd", -1) >= 0)
		fprintf(p->out, "fd %lld", (long long)field_int(v, "fd", -1));
	if (peer) {
		fputs(" <code>", p->out);
		html_text(p, peer);
		fputs("</code>", p->out);
	}
	fputs(" waited ", p->out);
	html_duration(p, field_u64(v, "wait_ns"));
	fputs("</li>\n", p->out);
}

static void victims(struct page *p, const json_t *who)
{
	json_t *list = json_object_get(who, "list"), *v;
	uint64_t count = field_u64(who, "count");
	size_t i;

	if (!count)
		return;
	fputs("<details><summary>", p->out);
	html_count(p, count);
	fputs(" waited, ", p->out);
	html_duration(p, field_u64(who, "sum_wait_ns"));
	fputs(" in all, worst ", p->out);
	html_duration(p, field_u64(who, "max_wait_ns"));
	fputs("</summary>\n<ul class=\"victims\">\n", p->out);
	json_array_foreach(list, i, v) {
		if (i == HTML_ROWS)
			break;
		victim(p, v);
	}
	fputs("</ul>\n", p->out);
	html_left_out(p, count, i, "that waited");
	fputs("</details>\n", p->out);
}

static void heading(struct page *p, const json_t *s, bool many_loops)
{
	const json_t *task = json_object_get(s, "task"), *site = json_object_get(s, "site");
	long long id = field_int(s, "id", 0);
	uint64_t least = field_u64(s, "duration_min_ns"), most = field_u64(s, "duration_max_ns");

	fprintf(p->out, "<h3><a class=\"self\" href=\"#s%lld\">#%lld</a> <b>", id, id);
	html_duration(p, field_u64(s, "duration_ns"));
	fputs("</b> ", p->out);
	html_cause(p, field_text(s, "cause"));
	if (json_is_object(task)) {
		const char *kind = field_text(task, "kind");

		fputs(" <span class=\"dim\">", p->out);
		html_text(p, kind ? kind : "task");
		fputs("</span> <b>", p->out);
		html_text(p, field_text(task, "name"));
		fputs("</b>", p->out);
	}
	if (json_is_object(site)) {
		fputs(" <span class=\"dim\">in</span> ", p->out);
		html_site(p, site);
	}
	fputs("</h3>\n<p class=\"facts\">at ", p->out);
	html_duration(p, field_u64(s, "start_ns"));
	if (many_loops) {
		fputs(", loop ", p->out);
		html_loop_name(p, field_int(s, "loop", -1));
	}
	if (lsc_duration_is_range(least, most)) {
		fputs(", between ", p->out);
		html_duration(p, least);
		fputs(" and ", p->out);
		html_duration(p, most);
	}
	if (json_is_true(json_object_get(s, "in_progress")))
		fputs(", still going on when the capture ended", p->out);
	if (field_text(s, "confidence") && !strcmp(field_text(s, "confidence"), "inferred"))
		fputs(", cause inferred", p->out);
	fputs("</p>\n", p->out);
}

void html_stalls(struct page *p)
{
	fprintf(p->out,
		"<section>\n<h2>Stalls <span class=\"tally\" "
		"data-count=\"stalls\">%zu</span></h2>\n",
		p->nstalls);
	if (!p->nstalls)
		fputs("<p>None.</p>\n", p->out);
	else if (p->nstalls > 1)
		fputs("<p class=\"note\">Worst first.</p>\n", p->out);
	for (size_t i = 0; i < p->nstalls && i < HTML_STALLS; i++) {
		const json_t *s = p->stalls[i];
		json_t *list = json_object_get(s, "blocks");
		const json_t *rows[HTML_ROWS];
		size_t nrows = choose_longest(list, rows);
		const json_t *longest = nrows ? rows[0] : NULL;

		fprintf(p->out, "<article class=\"stall\" id=\"s%lld\">\n",
			(long long)field_int(s, "id", 0));
		heading(p, s, p->loops.n > 1);
		split(p, json_object_get(s, "split"), field_u64(s, "duration_ns"));
		blocks(p, rows, nrows, json_array_size(list));
		html_stall_marks(p, s, longest);
		culprits(p, json_object_get(s, "culprits"));
		html_stack(p, field_int(s, "stack", -1), "Stack");
		other_stacks(p, longest);
		victims(p, json_object_get(s, "victims"));
		fputs("</article>\n", p->out);
	}
	html_left_out(p, p->nstalls, HTML_STALLS, "stalls");
	fputs("</section>\n", p->out);
}
