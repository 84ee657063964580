/* SPDX-License-Identifier: MIT */
/* The end of the page: what this capture could not see or lost, and how it was made. */
#include "field.h"
#include "page.h"

static void unseen(struct page *p, json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_array_size(list))
		return;
	fputs("<ul class=\"unseen\">\n", p->out);
	json_array_foreach(list, i, v) {
		if (i == HTML_ROWS)
			break;
		fputs("<li><b>", p->out);
		html_text(p, field_text(v, "what"));
		fputs("</b>: ", p->out);
		html_text(p, field_text(v, "why"));
		fputs("</li>\n", p->out);
	}
	fputs("</ul>\n", p->out);
	html_left_out(p, json_array_size(list), HTML_ROWS, "things unseen");
}

static void unresolved(struct page *p, json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_array_size(list))
		return;
	fputs("<p>Seen, but without a name:</p>\n<ul>\n", p->out);
	json_array_foreach(list, i, v) {
		if (i == HTML_ROWS)
			break;
		fputs("<li>", p->out);
		html_count(p, field_u64(v, "count"));
		fputs(" x ", p->out);
		html_text(p, field_text(v, "what"));
		fputs(": ", p->out);
		html_text(p, field_text(v, "why"));
		fputs("</li>\n", p->out);
	}
	fputs("</ul>\n", p->out);
	html_left_out(p, json_array_size(list), HTML_ROWS, "unresolved names");
}

static void losses(struct page *p, const json_t *capture)
{
	json_t *lost = json_object_get(capture, "lost"), *v;
	const json_t *events = json_object_get(capture, "events");
	uint64_t sum = 0;
	const char *reason;

	json_object_foreach(lost, reason, v)
		sum += field_u64(lost, reason);
	fputs("<p>", p->out);
	html_count(p, field_u64(events, "emitted"));
	fputs(" events emitted, ", p->out);
	html_count(p, field_u64(events, "stored"));
	fputs(" stored, ", p->out);
	html_count(p, sum);
	fputs(" lost", p->out);
	if (sum) {
		const char *comma = ": ";

		json_object_foreach(lost, reason, v) {
			if (!field_u64(lost, reason))
				continue;
			fputs(comma, p->out);
			html_count(p, field_u64(lost, reason));
			fputc(' ', p->out);
			html_text(p, reason);
			comma = ", ";
		}
	}
	fputs(".</p>\n", p->out);
}

/* Each step by which --max-overhead saw less than it could. */
static void steps(struct page *p, json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_array_size(list))
		return;
	fputs("<p>Detail was stepped down to keep the overhead low:</p>\n<ul>\n", p->out);
	json_array_foreach(list, i, v) {
		if (i == HTML_ROWS)
			break;
		fputs("<li>", p->out);
		html_duration(p, field_u64(v, "ts_ns"));
		fputs(": ", p->out);
		html_text(p, field_text(v, "what"));
		fputs("</li>\n", p->out);
	}
	fputs("</ul>\n", p->out);
	html_left_out(p, json_array_size(list), HTML_ROWS, "steps");
}

static void fact(struct page *p, const char *label, const char *text)
{
	fprintf(p->out, "<div><dt>%s</dt><dd>", label);
	html_text(p, text);
	fputs("</dd></div>\n", p->out);
}

static void fact_duration(struct page *p, const char *label, const json_t *o, const char *key)
{
	fprintf(p->out, "<div><dt>%s</dt><dd>", label);
	if (json_is_integer(json_object_get(o, key)))
		html_duration(p, field_u64(o, key));
	else
		fputs("unknown", p->out);
	fputs("</dd></div>\n", p->out);
}

static void overhead(struct page *p, const json_t *o, uint64_t captured_ns)
{
	static const char *const parts[][2] = {{"bpf_ns", "Cost of the probes"},
					       {"collector_cpu_ns", "Cost of the collector"}};

	for (size_t i = 0; i < 2; i++) {
		const json_t *v = json_object_get(o, parts[i][0]);

		fprintf(p->out, "<div><dt>%s</dt><dd>", parts[i][1]);
		if (json_is_integer(v) && captured_ns)
			fprintf(p->out, "%.2f %% of a CPU",
				(double)field_u64(o, parts[i][0]) * 100 / (double)captured_ns);
		else
			fputs("unknown", p->out);
		fputs("</dd></div>\n", p->out);
	}
}

static void how(struct page *p, const json_t *capture)
{
	const json_t *host = json_object_get(p->doc, "host"),
		     *end = json_object_get(capture, "end");
	const json_t *thresholds = json_object_get(capture, "thresholds");
	const json_t *target = json_array_get(json_object_get(capture, "targets"), 0);
	const json_t *status = json_object_get(end, "exit_status");

	fputs("<dl class=\"how\">\n", p->out);
	fact(p, "Mode", field_text(capture, "mode"));
	fputs("<div><dt>Start</dt><dd>", p->out);
	html_time(p, field_text(capture, "start"));
	fputs("</dd></div>\n", p->out);
	fact_duration(p, "Length", capture, "duration_ns");
	fact(p, "Ended by", field_text(end, "reason"));
	if (json_is_integer(status))
		fprintf(p->out, "<div><dt>Exit status</dt><dd>%lld</dd></div>\n",
			(long long)json_integer_value(status));
	fact_duration(p, "Stalls from", thresholds, "stall_ns");
	fact_duration(p, "Blocks from", thresholds, "block_ns");
	fact_duration(p, "Ready waits from", thresholds, "ready_wait_ns");
	overhead(p, json_object_get(capture, "overhead"), field_u64(capture, "duration_ns"));
	fact(p, "Program", field_text(target, "exe"));
	fact(p, "Control group", field_text(target, "cgroup"));
	fact(p, "Host", field_text(host, "hostname"));
	fact(p, "Kernel", field_text(host, "kernel"));
	fact(p, "Architecture", field_text(host, "arch"));
	fputs("<div><dt>CPUs</dt><dd>", p->out);
	if (json_is_integer(json_object_get(host, "cpus")))
		html_count(p, field_u64(host, "cpus"));
	else
		fputs("unknown", p->out);
	fputs("</dd></div>\n</dl>\n", p->out);
}

void html_capture(struct page *p)
{
	const json_t *capture = json_object_get(p->doc, "capture");
	json_t *list = json_object_get(capture, "unseen");

	fputs("<section>\n<h2>What this capture could not see</h2>\n", p->out);
	if (!json_is_integer(json_object_get(capture, "duration_ns")))
		fputs("<p>Its end: it was cut off, or was still being written when this page was "
		      "made.</p>\n",
		      p->out);
	else if (!json_array_size(list))
		fputs("<p>Nothing that it knows of.</p>\n", p->out);
	unseen(p, list);
	unresolved(p, json_object_get(capture, "unresolved"));
	steps(p, json_object_get(json_object_get(capture, "overhead"), "steps"));
	losses(p, capture);
	fputs("</section>\n<section>\n<h2>About this capture</h2>\n", p->out);
	how(p, capture);
	fputs("</section>\n", p->out);
}
