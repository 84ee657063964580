/* SPDX-License-Identifier: MIT */
/* The only way of text from the document onto the page, and the small things that all parts show.
 */
#include "page.h"

#include <string.h>

#include "base/cause.h"
#include "base/duration.h"
#include "base/text.h"
#include "field.h"

/* Escapes from s to end, at most until HTML_TEXT bytes after start. */
static void escape(struct page *p, const char *start, const char *s, const char *end)
{
	while (s < end) {
		uint32_t point;
		size_t n = lsc_text_next(s, (size_t)(end - s), &point);

		if (s - start >= HTML_TEXT && (*s & 0xc0) != 0x80) {
			fputs("\xe2\x80\xa6", p->out); /* an ellipsis */
			return;
		}
		if (lsc_text_harms(point) || point == LSC_TEXT_REPLACEMENT)
			fputs("\xef\xbf\xbd", p->out);
		else if (*s == '&')
			fputs("&amp;", p->out);
		else if (*s == '<')
			fputs("&lt;", p->out);
		else if (*s == '>')
			fputs("&gt;", p->out);
		else if (*s == '"')
			fputs("&quot;", p->out);
		else if (*s == '\'')
			fputs("&#39;", p->out);
		else
			fwrite(s, 1, n, p->out);
		s += n;
	}
}

void html_text(struct page *p, const char *text)
{
	if (!text)
		text = "unknown";
	escape(p, text, text, text + strlen(text));
}

void html_prose(struct page *p, const char *text)
{
	const char *s = text ? text : "unknown", *start = s, *open, *close;

	while ((open = strchr(s, '`')) && (close = strchr(open + 1, '`')) &&
	       close - start < HTML_TEXT) {
		escape(p, start, s, open);
		fputs("<code>", p->out);
		escape(p, start, open + 1, close);
		fputs("</code>", p->out);
		s = close + 1;
	}
	escape(p, start, s, s + strlen(s));
}

void html_time(struct page *p, const char *rfc3339)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	size_t i = 0;

	while (rfc3339 && form[i] &&
	       (form[i] == 'd' ? rfc3339[i] >= '0' && rfc3339[i] <= '9' : rfc3339[i] == form[i]))
		i++;
	if (!form[i] && rfc3339[strlen(rfc3339) - 1] == 'Z')
		fprintf(p->out, "%.10s %.8s UTC", rfc3339, rfc3339 + 11);
	else
		html_text(p, rfc3339);
}

void html_duration(struct page *p, uint64_t ns)
{
	char b[32];

	fputs(lsc_duration_format(ns, b, sizeof(b)), p->out);
}

void html_count(struct page *p, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			fputc(',', p->out);
		fputc(digits[i], p->out);
	}
}

void html_site(struct page *p, const json_t *site)
{
	const char *function = field_text(site, "function"), *file = field_text(site, "file");
	int64_t line = field_int(site, "line", 0);

	if (!function && !file) {
		fputs("<span class=\"dim\">unknown place</span>", p->out);
		return;
	}
	fputs("<span class=\"site\">", p->out);
	if (function) {
		fputs("<b>", p->out);
		html_text(p, function);
		fputs("</b>", p->out);
	}
	if (file) {
		fputs(function ? " <span class=\"dim\">" : "<span>", p->out);
		html_text(p, file);
		if (line > 0)
			fprintf(p->out, ":%lld", (long long)line);
		fputs("</span>", p->out);
	}
	fputs("</span>", p->out);
}

void html_loop_name(struct page *p, int64_t id)
{
	const json_t *loop = html_find(&p->loops, id);

	if (!loop) {
		fputs("unknown loop", p->out);
		return;
	}
	html_text(p, field_text(loop, "comm"));
	fprintf(p->out, " %lld", (long long)field_int(loop, "tid", 0));
}

void html_task_name(struct page *p, int64_t id)
{
	const json_t *task = html_find(&p->tasks, id);
	const char *name = field_text(task, "name");

	if (name)
		html_text(p, name);
	else
		fprintf(p->out, "task %lld", (long long)id);
}

void html_cause(struct page *p, const char *cause)
{
	int known = cause ? lsc_cause_of(cause) : -1;

	fprintf(p->out, "<span class=\"cause c-%s\">",
		known >= 0 ? lsc_cause_name(known) : "other");
	html_text(p, cause);
	fputs("</span>", p->out);
}

void html_severity(struct page *p, const char *severity)
{
	static const char *const known[] = {"error", "warning", "info"};
	size_t i = 0;

	while (i < 2 && (!severity || strcmp(severity, known[i])))
		i++;
	fprintf(p->out, "<span class=\"severity %s\">", known[i]);
	html_text(p, severity);
	fputs("</span>", p->out);
}

static void frame(struct page *p, const json_t *f)
{
	const char *function = field_text(f, "function"), *file = field_text(f, "file");
	const char *module = field_text(f, "module"), *lang = field_text(f, "lang");

	fputs("<li>", p->out);
	if (function) {
		html_text(p, function);
	} else if (lang && (!strcmp(lang, "js") || !strcmp(lang, "python"))) {
		fputs("<span class=\"dim\">(unknown)</span>", p->out);
	} else {
		fputs("<span class=\"dim\">", p->out);
		html_text(p, module ? module : "?");
		fprintf(p->out, "+0x%llx</span>", (unsigned long long)field_u64(f, "offset"));
	}
	if (file) {
		fputs(" <span class=\"dim\">", p->out);
		html_text(p, file);
		if (field_int(f, "line", 0) > 0)
			fprintf(p->out, ":%lld", (long long)field_int(f, "line", 0));
		fputs("</span>", p->out);
	} else if (function && module) {
		fputs(" <span class=\"dim\">", p->out);
		html_text(p, strrchr(module, '/') ? strrchr(module, '/') + 1 : module);
		fputs("</span>", p->out);
	}
	if (lang && strcmp(lang, "native")) {
		fputs(" <span class=\"lang\">", p->out);
		html_text(p, lang);
		fputs("</span>", p->out);
	}
	fputs("</li>\n", p->out);
}

void html_stack(struct page *p, int64_t id, const char *title)
{
	const json_t *stack = html_find(&p->stacks, id), *frames = json_object_get(stack, "frames");
	size_t i, n = json_array_size(frames);
	json_t *f;

	if (!n)
		return;
	fprintf(p->out, "<details><summary>%s, %zu frame%s</summary>\n<ol class=\"stack\">\n",
		title, n, n == 1 ? "" : "s");
	json_array_foreach(frames, i, f) {
		if (i == HTML_FRAMES)
			break;
		frame(p, f);
	}
	fputs("</ol>\n", p->out);
	html_left_out(p, n, HTML_FRAMES, "frames");
	if (json_is_true(json_object_get(stack, "truncated")))
		fputs("<p class=\"note\">The stack goes on: its end could not be read.</p>\n",
		      p->out);
	fputs("</details>\n", p->out);
}

void html_left_out(struct page *p, uint64_t total, size_t shown, const char *what)
{
	if (total <= shown)
		return;
	fputs("<p class=\"note\">Not on this page: ", p->out);
	html_count(p, total - shown);
	fprintf(p->out, " more %s.</p>\n", what);
}

void html_open_table(struct page *p, const char *title, const char *columns)
{
	fprintf(p->out,
		"<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
		"aria-label=\"%s\"><table>\n<thead><tr>%s</tr></thead>\n<tbody>\n",
		title, columns);
}

void html_close_table(struct page *p)
{
	fputs("</tbody></table></div>\n", p->out);
}
