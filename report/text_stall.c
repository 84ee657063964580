/* SPDX-License-Identifier: MIT */
/* The worst stalls: what held the loop, in which call and task, where, and who waited. */
#include "text_page.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/duration.h"

#define STALLS_SHOWN   5
#define FRAMES_SHOWN   12
#define FRAMES_INSIDE  4 /* of a stack whose site lies deeper than that */
#define FRAMES_OUTSIDE 3 /* beyond the site */
#define ARGS_SHOWN     4
#define CALLS_SHOWN    3
#define CHAIN_SHOWN    4
#define MARKS_SHOWN    5
#define LABEL	       "      %-9s"

static void print_head(const struct page *p, const struct analysis_stall *s)
{
	const struct analysis *a = p->a;
	const struct store_loop *l = analysis_loop_of(a, s->row.loop);
	char when[16] = "--:--:--";
	uint64_t wall = 0;
	struct tm tm;

	if (a->start_wall_ns != ANALYSIS_UNKNOWN && a->start_ns != ANALYSIS_UNKNOWN &&
	    s->row.start_ns >= a->start_ns) {
		wall = add_sat(a->start_wall_ns, s->row.start_ns - a->start_ns);
		time_t seconds = (time_t)(wall / LSC_NS_PER_S);

		if (localtime_r(&seconds, &tm))
			strftime(when, sizeof(when), "%H:%M:%S", &tm);
	}
	fputs("  ", p->out);
	page_style(p, page_severity_style(s->severity));
	fprintf(p->out, "#%-4lld", (long long)s->row.id);
	page_plain(p);
	fprintf(p->out, " %s.%03u  ", when, (unsigned)(wall / LSC_NS_PER_MS % 1000));
	page_style(p, STYLE_BOLD);
	page_duration(p, s->row.duration_ns);
	page_plain(p);
	fprintf(p->out, "  %s", lsc_cause_name(s->cause));
	if (lsc_duration_is_range(s->row.duration_min_ns, s->row.duration_max_ns)) {
		fputs("  (between ", p->out);
		page_duration(p, s->row.duration_min_ns);
		fputs(" and ", p->out);
		page_duration(p, s->row.duration_max_ns);
		fputc(')', p->out);
	}
	if (s->row.in_progress)
		fputs("  still going on when the capture ended", p->out);
	if (s->row.inferred)
		fputs("  inferred", p->out);
	fputc('\n', p->out);
	if (l) {
		fprintf(p->out, LABEL "%d ", "loop", l->tid);
		page_text(p, l->comm, 32);
		fputc('\n', p->out);
	}
}

/* The causes by their size, the small ones left out. */
static void print_split(const struct page *p, const struct store_stall *s)
{
	bool shown[LSC_CAUSE_COUNT] = {false};

	fprintf(p->out, LABEL, "split");
	for (int n = 0; n < 5; n++) {
		int most = -1;

		for (int c = 0; c < LSC_CAUSE_COUNT; c++)
			if (!shown[c] && s->split[c] && (most < 0 || s->split[c] > s->split[most]))
				most = c;
		if (most < 0) {
			fputs(n ? "" : "unknown", p->out);
			break;
		}
		shown[most] = true;
		fprintf(p->out, "%s%s ", n ? ", " : "", lsc_cause_name(most));
		page_duration(p, s->split[most]);
		double share = s->duration_ns ? (double)s->split[most] / (double)s->duration_ns : 0;
		if (share >= 0.005)
			fprintf(p->out, " (%.0f %%)", 100 * share);
	}
	fputc('\n', p->out);
}

static void print_task(const struct page *p, const struct analysis_stall *s)
{
	const struct analysis_task *t = analysis_task_of(p->a, s->row.task);

	if (!t)
		return;
	fprintf(p->out, LABEL, store_task_kind_name(t->row.kind));
	page_text(p, t->row.name, 48);
	if (t->row.kind == STORE_TASK_TASK &&
	    (t->row.spawn_site.function || t->row.spawn_site.file)) {
		/* of one that was met in a block its coroutine is known, not who made it */
		fputs(t->row.ring_id ? ", spawned in " : ", coroutine ", p->out);
		page_site(p, t->row.spawn_site.function, t->row.spawn_site.file,
			  t->row.spawn_site.line);
	}
	fputc('\n', p->out);
}

/* A duration stands for itself, a text too; a number carries its name: fd 5. */
static void print_arguments(const struct page *p, const char *json)
{
	json_t *args = json ? json_loads(json, 0, NULL) : NULL, *value;
	const char *key;
	int shown = 0;

	if (json_is_object(args))
		json_object_foreach(args, key, value) {
			size_t n = strlen(key);

			if (shown == ARGS_SHOWN ||
			    !(json_is_integer(value) || json_is_string(value)))
				continue;
			fputs(shown++ ? ", " : "", p->out);
			if (json_is_string(value)) {
				page_text(p, json_string_value(value), 48);
			} else if (n > 3 && !strcmp(key + n - 3, "_ns") &&
				   json_integer_value(value) >= 0) {
				page_duration(p, (uint64_t)json_integer_value(value));
			} else {
				page_text(p, key, 16);
				fprintf(p->out, " %lld", (long long)json_integer_value(value));
			}
		}
	json_decref(args);
}

static void print_resource(const struct page *p, const struct store_block *b)
{
	/* a path that is an argument was said already */
	bool said = b->path && b->args_json && strstr(b->args_json, b->path);

	if ((b->path && !said) || b->peer) {
		fputs(b->path && !said ? "  on " : "  with ", p->out);
		page_text(p, b->path && !said ? b->path : b->peer, 48);
	}
	if (b->resource_pid) {
		fprintf(p->out, "  process %d ", b->resource_pid);
		page_text(p, b->resource_comm, 20);
	}
	if (b->owner_tid) {
		fprintf(p->out, "  held by thread %d ", b->owner_tid);
		page_text(p, b->owner_comm, 20);
	}
}

/* Where the frame of the application is that the site is of; nframes: nowhere. */
static size_t find_site(const struct analysis_stack *k, const struct site *site)
{
	size_t i = 0;

	while (i < k->row.nframes && !analysis_site_is_of(site, &k->row.frames[i]))
		i++;
	return i;
}

/* A stack in one line, from the application's own innermost frame on. */
static void print_chain(const struct page *p, int64_t stack, const char *label)
{
	const struct analysis_stack *k = analysis_stack_of(p->a, stack);
	size_t first = k ? find_site(k, &k->site) : 0, shown = 0;

	if (!k || !k->row.nframes)
		return;
	fprintf(p->out, LABEL, label);
	for (size_t i = first < k->row.nframes ? first : 0;
	     i < k->row.nframes && shown < CHAIN_SHOWN; i++) {
		const char *name = i == first ? k->site.function : k->row.frames[i].function;

		if (!name)
			continue;
		fputs(shown++ ? " <- " : "", p->out);
		page_text(p, name, 32);
	}
	fputc('\n', p->out);
}

static void print_call(const struct page *p, const struct store_block *b, const char *label)
{
	fprintf(p->out, LABEL, label);
	page_text(p, b->syscall ? b->syscall : lsc_cause_name(b->cause), 32);
	fputc('(', p->out);
	print_arguments(p, b->args_json);
	fputs(")  ", p->out);
	page_duration(p, b->duration_ns);
	if (b->count > 1)
		fprintf(p->out, " in %llu waits", (unsigned long long)b->count);
	print_resource(p, b);
	fputc('\n', p->out);
}

static void print_calls(const struct page *p, const struct analysis_stall *s)
{
	const struct store_block *longest[CALLS_SHOWN];
	size_t shown = 0;

	for (size_t i = 0; i < s->nblocks; i++) {
		const struct store_block *b = &p->a->blocks[s->first_block + i].row;
		size_t at = shown;

		while (at > 0 && longest[at - 1]->duration_ns < b->duration_ns)
			at--;
		if (at == CALLS_SHOWN)
			continue;
		if (shown < CALLS_SHOWN)
			shown++;
		memmove(&longest[at + 1], &longest[at], (shown - at - 1) * sizeof(*longest));
		longest[at] = b;
	}
	for (size_t i = 0; i < shown; i++)
		print_call(p, longest[i], i ? "" : "call");
	if (shown) {
		print_chain(p, analysis_holder_stack(p->a, s, longest[0]), "holder");
		print_chain(p, longest[0]->kernel_stack, "kernel");
	}
	if (s->nblocks > shown)
		fprintf(p->out, LABEL "and %zu shorter ones\n", "", s->nblocks - shown);
}

/* "checkout begin" 3 ms before the longest call, or so far into the stall. */
static void print_mark(const struct page *p, const struct store_mark *m,
		       const struct analysis_stall *s, const struct store_block *call, bool first)
{
	bool before = call && m->ts_ns <= call->start_ns;

	fprintf(p->out, LABEL, first ? "mark" : "");
	page_text(p, m->text ? m->text : "(without a text)", 48);
	fputs("  ", p->out);
	page_duration(p, before ? call->start_ns - m->ts_ns : m->ts_ns - s->row.start_ns);
	fputs(before ? " before " : " into it\n", p->out);
	if (before) {
		page_text(p, call->syscall ? call->syscall : lsc_cause_name(call->cause), 32);
		fputc('\n', p->out);
	}
}

/* Those nearest to the longest call: the last ones before it, then those behind. */
static void print_marks(const struct page *p, const struct analysis_stall *s)
{
	const struct store_block *call = analysis_longest_block(p->a, s);
	const struct store_mark *marks;
	size_t before = 0, first, shown;

	if (!s->nmarks)
		return;
	marks = p->a->marks + s->first_mark;
	while (call && before < s->nmarks && marks[before].ts_ns <= call->start_ns)
		before++;
	first = before > MARKS_SHOWN ? before - MARKS_SHOWN : 0;
	shown = s->nmarks - first < MARKS_SHOWN ? s->nmarks - first : MARKS_SHOWN;
	for (size_t i = 0; i < shown; i++)
		print_mark(p, &marks[first + i], s, call, i == 0);
	if (s->nmarks > shown)
		fprintf(p->out, LABEL "and %zu more marks\n", "", s->nmarks - shown);
}

static void print_frame(const struct page *p, const struct store_frame *f, bool site)
{
	/* beyond the label; the line's number comes on top of the path's columns */
	unsigned room = page_width(p) - 17 - 2;
	unsigned columns = page_width(p) < PAGE_WIDTH ? room / 2 : 36;
	unsigned rest = page_width(p) < PAGE_WIDTH ? room - room / 2 - 5 : 40;
	char name[96];

	if (f->function)
		snprintf(name, sizeof(name), "%s", f->function);
	else if (f->module)
		snprintf(name, sizeof(name), "%.60s+0x%llx", basename(f->module),
			 (unsigned long long)f->offset);
	else if (f->lang == STORE_LANG_PYTHON || f->lang == STORE_LANG_JS)
		snprintf(name, sizeof(name), "(unknown)");
	else
		snprintf(name, sizeof(name), "0x%llx", (unsigned long long)f->offset);
	if (site)
		page_style(p, STYLE_BOLD);
	if (f->file || (f->module && f->function) || f->lang == STORE_LANG_KERNEL)
		page_cell(p, name, columns);
	else
		page_text(p, name, columns);
	if (site)
		page_plain(p);
	if (f->file) {
		fputs("  ", p->out);
		page_path(p, f->file, rest);
		if (f->line > 0)
			fprintf(p->out, ":%d", f->line);
	} else if (f->module && f->function) {
		fputs("  ", p->out);
		page_text(p, basename(f->module), rest);
	} else if (f->lang == STORE_LANG_KERNEL) {
		fputs("  kernel", p->out);
	}
	fputc('\n', p->out);
}

/* The innermost frames; where the site lies further out, fewer of them and those around it. */
static void print_stack(const struct page *p, const struct analysis_stall *s)
{
	const struct analysis_stack *k = analysis_stack_of(p->a, s->row.stack);
	size_t n = k ? k->row.nframes : 0, site = k ? find_site(k, &s->site) : 0;
	size_t from = site < n && site + FRAMES_OUTSIDE >= FRAMES_SHOWN
			      ? site - (FRAMES_SHOWN - FRAMES_INSIDE - FRAMES_OUTSIDE - 1)
			      : FRAMES_INSIDE;
	size_t end = from + FRAMES_SHOWN - FRAMES_INSIDE;

	if (from == FRAMES_INSIDE + 1) /* one left out would save no line */
		from = FRAMES_INSIDE;
	for (size_t i = 0; i < n && i < end; i++) {
		if (i == FRAMES_INSIDE && from > i) {
			fprintf(p->out, LABEL "  %zu more frames\n", "", from - i);
			i = from;
		}
		fprintf(p->out, LABEL "%s ", i ? "" : "stack", i == site ? ">" : " ");
		print_frame(p, &k->row.frames[i], i == site);
	}
	if (n > end)
		fprintf(p->out, LABEL "  %zu more frames\n", "", n - end);
	if (!k && s->site.function) {
		fprintf(p->out, LABEL, "in");
		page_site(p, s->site.function, s->site.file, s->site.line);
		fputc('\n', p->out);
	}
}

static void print_victims(const struct page *p, const struct analysis_stall *s)
{
	static const char *const kinds[] = {"task", "socket", "timer"};
	size_t by[3] = {0};
	bool first = true;

	if (!s->nvictims)
		return;
	for (size_t i = 0; i < s->nvictims; i++)
		by[p->a->waits[p->a->victims[s->first_victim + i].wait].kind]++;
	fprintf(p->out, LABEL, "waited");
	for (size_t i = 0; i < 3; i++)
		if (by[i]) {
			fprintf(p->out, "%s%zu %s%s", first ? "" : ", ", by[i], kinds[i],
				by[i] == 1 ? "" : "s");
			first = false;
		}
	fputs(": ", p->out);
	if (s->nvictims > 1) {
		page_duration(p, s->victim_sum_ns);
		fputs(" in all, worst ", p->out);
	}
	page_duration(p, s->victim_max_ns);
	const struct store_wait *w = &p->a->waits[p->a->victims[s->first_victim].wait];
	const struct analysis_task *t = analysis_task_of(p->a, w->task);
	const char *who = w->peer ? w->peer : w->name ? w->name : t ? t->row.name : NULL;
	if (who) {
		fputs(" (", p->out);
		page_text(p, who, 40);
		fputc(')', p->out);
	}
	fputc('\n', p->out);
}

static int worst_first(const void *x, const void *y)
{
	const struct analysis_stall *a = *(const struct analysis_stall *const *)x;
	const struct analysis_stall *b = *(const struct analysis_stall *const *)y;

	if (a->row.duration_ns != b->row.duration_ns)
		return a->row.duration_ns > b->row.duration_ns ? -1 : 1;
	return (a->row.start_ns > b->row.start_ns) - (a->row.start_ns < b->row.start_ns);
}

/* The same code, held by the same cause. */
static bool is_alike(const struct analysis_stall *a, const struct analysis_stall *b)
{
	const char *f = a->site.function, *g = b->site.function;

	return a->cause == b->cause && a->row.loop == b->row.loop && !f == !g &&
	       (!f || !strcmp(f, g));
}

/* Puts STALLS_SHOWN of n to the front, worst first: one of each kind, and, where there is room,
 * more. */
static void choose(const struct analysis_stall **order, size_t n)
{
	const struct analysis_stall *chosen;
	size_t shown = 0;

	for (size_t i = 0; i < n && shown < STALLS_SHOWN; i++) {
		size_t like = 0;

		while (like < shown && !is_alike(order[like], order[i]))
			like++;
		if (like < shown)
			continue;
		chosen = order[i];
		memmove(&order[shown + 1], &order[shown], (i - shown) * sizeof(*order));
		order[shown++] = chosen;
	}
	qsort(order, n < STALLS_SHOWN ? n : STALLS_SHOWN, sizeof(*order), worst_first);
}

int page_stalls(const struct page *p)
{
	size_t n = p->a->nstalls;
	const struct analysis_stall **order = calloc(n + 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &p->a->stalls[i];
	if (n) {
		qsort(order, n, sizeof(*order), worst_first);
		choose(order, n);
		page_heading(p, n > STALLS_SHOWN ? "THE WORST STALLS, ONE OF EACH KIND FIRST"
				: n > 1		 ? "THE STALLS, WORST FIRST"
						 : "THE STALL");
	}
	for (size_t i = 0; i < n && i < STALLS_SHOWN; i++) {
		fputs(i ? "\n" : "", p->out);
		print_head(p, order[i]);
		print_split(p, &order[i]->row);
		print_task(p, order[i]);
		print_calls(p, order[i]);
		print_marks(p, order[i]);
		print_stack(p, order[i]);
		print_victims(p, order[i]);
	}
	if (n > STALLS_SHOWN)
		fprintf(p->out, "\n  and %zu more: --json has them all\n", n - STALLS_SHOWN);
	free(order);
	return 0;
}
