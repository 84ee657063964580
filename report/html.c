/* SPDX-License-Identifier: MIT */
/* The frame of the page: head, order of the parts, data island; and the indexes that the parts use.
 */
#include "html.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "html/page.h"

/* A page that a browser opens at once; the island is for programs, the page itself needs nothing of
 * it. */
#define ISLAND_MAX (8u << 20)

extern const char html_style[];

static int by_id(const void *a, const void *b)
{
	const struct html_entry *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int index_build(const json_t *list, struct html_index *ret)
{
	size_t i, n = json_array_size(list);
	struct html_index index = {.n = n};
	json_t *v;

	index.entry = calloc(n ? n : 1, sizeof(*index.entry));
	if (!index.entry)
		return -ENOMEM;
	json_array_foreach(list, i, v)
		index.entry[i] = (struct html_entry){field_int(v, "id", -1), v};
	qsort(index.entry, n, sizeof(*index.entry), by_id);
	*ret = index;
	return 0;
}

const json_t *html_find(const struct html_index *index, int64_t id)
{
	const struct html_entry key = {.id = id};
	const struct html_entry *e =
		index->n ? bsearch(&key, index->entry, index->n, sizeof(key), by_id) : NULL;

	return e ? e->value : NULL;
}

static int worst_first(const void *a, const void *b)
{
	const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
	uint64_t dx = field_u64(x, "duration_ns"), dy = field_u64(y, "duration_ns");
	uint64_t sx = field_u64(x, "start_ns"), sy = field_u64(y, "start_ns");

	return dx != dy ? (dx < dy) - (dx > dy) : (sx > sy) - (sx < sy);
}

static int sort_stalls(struct page *p)
{
	const json_t *list = json_object_get(p->doc, "stalls");
	size_t i;
	json_t *v;

	p->nstalls = json_array_size(list);
	p->stalls = calloc(p->nstalls ? p->nstalls : 1, sizeof(const json_t *));
	if (!p->stalls)
		return -ENOMEM;
	json_array_foreach(list, i, v)
		p->stalls[i] = v;
	qsort(p->stalls, p->nstalls, sizeof(const json_t *), worst_first);
	return 0;
}

static void head(struct page *p)
{
	const json_t *target =
		json_array_get(json_object_get(json_object_get(p->doc, "capture"), "targets"), 0);

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src '" HTML_STYLE_HASH "'; base-uri 'none'; form-action 'none'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta name=\"color-scheme\" content=\"light dark\">\n"
	      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
	      p->out);
	if (target) {
		html_text(p, field_text(target, "comm"));
		fputs(" - ", p->out);
	}
	fputs("loopscope report</title>\n<style>", p->out);
	fputs(html_style, p->out);
	fputs("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the findings</a>\n",
	      p->out);
}

/* Jansson escapes the quotes and all that is not ASCII; what could end the element or open another
 * is escaped here, which inside JSON strings means the same and elsewhere does not occur. */
static int write_island(const char *text, size_t size, void *arg)
{
	FILE *out = arg;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '<' || text[i] == '>' || text[i] == '&')
			fprintf(out, "\\u%04x", (unsigned)text[i]);
		else
			fputc(text[i], out);
	}
	return 0;
}

static int island(struct page *p)
{
	const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII;
	size_t size = json_dumpb(p->doc, NULL, 0, flags);

	if (!size)
		return -ENOMEM;
	if (size > ISLAND_MAX) {
		fputs("<p class=\"note\">The data of this report is too large to be carried by the "
		      "page: "
		      "<code>loopscope report --json</code> prints it.</p>\n",
		      p->out);
		return 0;
	}
	fputs("<script type=\"application/json\" id=\"report\">", p->out);
	int r = json_dump_callback(p->doc, write_island, p->out, flags);
	fputs("</script>\n", p->out);
	return r < 0 ? -ENOMEM : 0;
}

static int body(struct page *p)
{
	html_verdict(p);
	html_timeline(p);
	html_findings(p);
	html_stalls(p);
	html_tables(p);
	html_said(p);
	html_capture(p);
	fputs("</main>\n<footer><p>Written by loopscope ", p->out);
	html_text(p, field_text(json_object_get(p->doc, "tool"), "version"));
	fputs(". Long lists are cut on this page; <code>loopscope report --json</code> prints "
	      "more. It "
	      "loads nothing and runs no script.</p></footer>\n",
	      p->out);
	int r = island(p);
	fputs("</body>\n</html>\n", p->out);
	return r;
}

int html_render(const json_t *report, FILE *out)
{
	struct page p = {.doc = report, .out = out};
	int r = index_build(json_object_get(report, "loops"), &p.loops);

	if (r == 0)
		r = index_build(json_object_get(report, "tasks"), &p.tasks);
	if (r == 0)
		r = index_build(json_object_get(report, "stacks"), &p.stacks);
	if (r == 0)
		r = sort_stalls(&p);
	if (r == 0) {
		head(&p);
		r = body(&p);
	}
	free(p.loops.entry);
	free(p.tasks.entry);
	free(p.stacks.entry);
	free(p.stalls);
	if (r == 0 && (fflush(out) != 0 || ferror(out)))
		r = -EIO;
	return r;
}
