/* SPDX-License-Identifier: MIT */
/* The findings: what, where, how bad, how to repair it, and from what it was concluded. */
#include <string.h>

#include "field.h"
#include "page.h"

/* Whether the stall has a place of its own on the page. */
static bool listed(const struct page *p, int64_t id)
{
	for (size_t i = 0; i < p->nstalls && i < HTML_STALLS; i++)
		if (field_int(p->stalls[i], "id", -1) == id)
			return true;
	return false;
}

static void piece(struct page *p, const json_t *e)
{
	const char *kind = field_text(e, "kind"), *text = field_text(e, "text");
	int64_t id = field_int(e, "id", 0);
	bool linked = kind && !strcmp(kind, "stall") && listed(p, id);

	if (linked)
		fprintf(p->out, "<a href=\"#s%lld\">", (long long)id);
	html_text(p, kind);
	if (id > 0)
		fprintf(p->out, " #%lld", (long long)id);
	fputs(linked ? "</a>" : "", p->out);
	if (json_is_integer(json_object_get(e, "start_ns"))) {
		fputs(" at ", p->out);
		html_duration(p, field_u64(e, "start_ns"));
	}
	if (json_is_integer(json_object_get(e, "ns"))) {
		fputs(", ", p->out);
		html_duration(p, field_u64(e, "ns"));
	}
	if (text) {
		fputs(": ", p->out);
		html_text(p, text);
	}
}

static void evidence(struct page *p, json_t *list)
{
	size_t i;
	json_t *e;

	if (!json_array_size(list))
		return;
	fputs("<details><summary>Evidence</summary>\n<ul class=\"evidence\">\n", p->out);
	json_array_foreach(list, i, e) {
		if (i == HTML_ROWS)
			break;
		fputs("<li>", p->out);
		piece(p, e);
		fputs("</li>\n", p->out);
	}
	fputs("</ul>\n", p->out);
	html_left_out(p, json_array_size(list), HTML_ROWS, "pieces of evidence");
	fputs("</details>\n", p->out);
}

static void stall_links(struct page *p, json_t *ids)
{
	size_t i, shown = 0;
	json_t *v;

	json_array_foreach(ids, i, v) {
		long long id = json_integer_value(v);

		if (shown == HTML_ROWS)
			break;
		if (!listed(p, id))
			continue;
		fputs(shown++ ? " " : "<p class=\"links\">Stalls: ", p->out);
		fprintf(p->out, "<a href=\"#s%lld\">#%lld</a>", id, id);
	}
	if (shown)
		fputs(json_array_size(ids) > shown ? " and others</p>\n" : "</p>\n", p->out);
}

static void tasks(struct page *p, json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_array_size(list))
		return;
	fputs("<p>Tasks: ", p->out);
	json_array_foreach(list, i, v) {
		if (i == HTML_ROWS)
			break;
		fputs(i ? ", " : "", p->out);
		if (json_is_integer(v))
			html_task_name(p, json_integer_value(v));
		else
			html_text(p,
				  json_is_string(v) ? json_string_value(v) : field_text(v, "name"));
	}
	fputs(json_array_size(list) > HTML_ROWS ? " and others</p>\n" : "</p>\n", p->out);
}

static void finding(struct page *p, const json_t *f)
{
	const char *fix = field_text(f, "fix"), *confidence = field_text(f, "confidence");
	const json_t *suppressed = json_object_get(f, "suppressed");

	fprintf(p->out, "<article class=\"finding%s\">\n<h3>",
		json_is_object(suppressed) ? " suppressed" : "");
	html_severity(p, field_text(f, "severity"));
	fputs(" <code>", p->out);
	html_text(p, field_text(f, "rule"));
	fputs("</code> ", p->out);
	if (json_is_object(json_object_get(f, "site")))
		html_site(p, json_object_get(f, "site"));
	fputs("</h3>\n<p class=\"message\">", p->out);
	html_prose(p, field_text(f, "message"));
	fputs("</p>\n<p class=\"facts\">", p->out);
	html_text(p, confidence);
	fputs(", fingerprint <code>", p->out);
	html_text(p, field_text(f, "fingerprint"));
	fputs("</code>", p->out);
	fputs("</p>\n", p->out);
	if (fix) {
		fputs("<p class=\"fix\"><b>Fix</b> ", p->out);
		html_prose(p, fix);
		fputs("</p>\n", p->out);
	}
	if (json_is_object(suppressed)) {
		fputs("<p class=\"note\">Suppressed: ", p->out);
		html_text(p, field_text(suppressed, "why"));
		fputs(", until ", p->out);
		html_text(p, field_text(suppressed, "expires"));
		fputs("</p>\n", p->out);
	}
	tasks(p, json_object_get(f, "tasks"));
	evidence(p, json_object_get(f, "evidence"));
	stall_links(p, json_object_get(f, "stall_ids"));
	fputs("</article>\n", p->out);
}

void html_findings(struct page *p)
{
	json_t *list = json_object_get(p->doc, "findings"), *f;
	size_t i;

	fprintf(p->out,
		"<section>\n<h2>Findings <span class=\"tally\" "
		"data-count=\"findings\">%zu</span></h2>\n",
		json_array_size(list));
	if (!json_array_size(list))
		fputs("<p>None.</p>\n", p->out);
	json_array_foreach(list, i, f) {
		if (i == HTML_FINDINGS)
			break;
		finding(p, f);
	}
	html_left_out(p, json_array_size(list), HTML_FINDINGS, "findings");
	fputs("</section>\n", p->out);
}
