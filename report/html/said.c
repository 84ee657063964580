/* SPDX-License-Identifier: MIT */
/* What the application said of itself: its marks and its counters. */
#include "field.h"
#include "page.h"

void html_stall_marks(struct page *p, const json_t *stall, const json_t *longest)
{
	const json_t *marks = json_object_get(stall, "marks");
	json_t *list = json_object_get(marks, "list"), *m;
	int64_t begin = field_int(stall, "start_ns", 0), call = field_int(longest, "start_ns", 0);
	size_t i;

	if (!json_array_size(list))
		return;
	fputs("<p>Marks: ", p->out);
	json_array_foreach(list, i, m) {
		int64_t at = field_int(m, "ts_ns", 0);
		bool before = longest && at <= call;

		if (i == HTML_ROWS)
			break;
		fputs(i ? ", <code>" : "<code>", p->out);
		html_text(p, field_text(m, "text"));
		fputs("</code> ", p->out);
		html_duration(p, before	      ? (uint64_t)call - (uint64_t)at
				 : at > begin ? (uint64_t)at - (uint64_t)begin
					      : 0);
		fputs(before ? " before the longest call" : " into it", p->out);
	}
	fputs("</p>\n", p->out);
	html_left_out(p, field_u64(marks, "count"), i, "marks");
}

static void mark_row(struct page *p, const json_t *mark)
{
	fputs("<tr><td class=\"n\">", p->out);
	if (field_int(mark, "ts_ns", -1) >= 0)
		html_duration(p, field_u64(mark, "ts_ns"));
	fputs("</td><td>", p->out);
	html_text(p, field_text(mark, "text"));
	fputs("</td><td>", p->out);
	if (field_int(mark, "task", 0) > 0)
		html_task_name(p, field_int(mark, "task", 0));
	fputs("</td><td>", p->out);
	html_loop_name(p, field_int(mark, "loop", -1));
	fputs("</td></tr>\n", p->out);
}

static void marks(struct page *p)
{
	const json_t *marks = json_object_get(p->doc, "marks");
	json_t *list = json_object_get(marks, "list"), *m;
	size_t i;

	if (!json_array_size(list))
		return;
	fputs("<section>\n<h2>Marks of the application</h2>\n", p->out);
	html_open_table(p, "Marks",
			"<th class=\"n\">At</th><th>Mark</th><th>Task</th><th>Loop</th>");
	json_array_foreach(list, i, m) {
		if (i == HTML_SAID)
			break;
		mark_row(p, m);
	}
	html_close_table(p);
	html_left_out(p, field_u64(marks, "count"), i, "marks");
	fputs("</section>\n", p->out);
}

static void number(struct page *p, const json_t *counter, const char *key)
{
	fprintf(p->out, "<td class=\"n\">%lld</td>", (long long)field_int(counter, key, 0));
}

static void counters(struct page *p)
{
	json_t *list = json_object_get(p->doc, "counters"), *c;
	size_t i;

	if (!json_array_size(list))
		return;
	fputs("<section>\n<h2>Counters of the application</h2>\n", p->out);
	html_open_table(p, "Counters",
			"<th>Counter</th><th>Loop</th><th class=\"n\">Last</th><th "
			"class=\"n\">Least</th><th class=\"n\">Greatest</th><th "
			"class=\"n\">Times set</th>");
	json_array_foreach(list, i, c) {
		if (i == HTML_SAID)
			break;
		fputs("<tr><td>", p->out);
		html_text(p, field_text(c, "name"));
		fputs("</td><td>", p->out);
		html_loop_name(p, field_int(c, "loop", -1));
		fputs("</td>", p->out);
		number(p, c, "last");
		number(p, c, "min");
		number(p, c, "max");
		number(p, c, "count");
		fputs("</tr>\n", p->out);
	}
	html_close_table(p);
	html_left_out(p, json_array_size(list), i, "counters");
	fputs("</section>\n", p->out);
}

void html_said(struct page *p)
{
	counters(p);
	marks(p);
}
