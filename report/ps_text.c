/* SPDX-License-Identifier: MIT */
/* The shape is that of `python -m asyncio pstree`: a task, its coroutines one in the other, and
 * below the innermost one the tasks that it waits for. */
#include "ps_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "field.h"
#include "ps_loop.h"

#define DEPTH_MAX  64  /* tasks, one below the other */
#define INDENT_MAX 120 /* columns; what lies deeper is not indented further */
#define NAME_MAX   60
#define FILE_MAX   48
#define BRANCH	   "\xe2\x94\x9c\xe2\x94\x80\xe2\x94\x80 " /* ├── */
#define LAST	   "\xe2\x94\x94\xe2\x94\x80\xe2\x94\x80 " /* └── */
#define LINE	   "\xe2\x94\x82   "			   /* │ */
#define SPACE	   "    "

/* ---- loops ---- */

static void format_share(double share, char *buf, size_t size)
{
	if (share < 0)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%.1f %%", 100 * share);
}

static void format_wait(const json_t *loop, char *buf, size_t size)
{
	const json_t *wait = json_object_get(loop, "primary_wait");
	int64_t fd = field_int(wait, "fd", -1);
	const char *call = field_text(wait, "syscall");

	if (!call)
		snprintf(buf, size, "-");
	else if (fd < 0)
		snprintf(buf, size, "%s", call);
	else
		snprintf(buf, size, "%s, fd %lld", call, (long long)fd);
}

static void format_runtime(const json_t *loop, char *buf, size_t size)
{
	const char *runtime = field_text(loop, "runtime"),
		   *version = field_text(loop, "runtime_version");

	snprintf(buf, size, "%s%s%s", runtime ?: "-", version ? " " : "", version ?: "");
}

/* The table takes 86 columns; where there are fewer, it is without the wait. */
void ps_text_loops(const struct page *p, const json_t *loops)
{
	bool narrow = page_width(p) < 86;
	int name = narrow ? 12 : 15, runtime = narrow ? 14 : 18;
	size_t i;
	const json_t *loop;
	char buf[96];

	page_style(p, STYLE_BOLD);
	fprintf(p->out, "%7s %7s  %-*s %-*s", "PID", "TID", name, "COMM", runtime, "RUNTIME");
	if (!narrow)
		fprintf(p->out, " %-19s", "WAIT");
	fprintf(p->out, " %7s %6s", "BUSY", "TASKS");
	page_plain(p);
	fputc('\n', p->out);
	json_array_foreach(loops, i, loop) {
		int64_t tasks = field_int(loop, "tasks", -1);
		fprintf(p->out, "%7lld %7lld  ", (long long)field_int(loop, "pid", 0),
			(long long)field_int(loop, "tid", 0));
		page_cell(p, field_text(loop, "comm"), (unsigned)name);
		fputc(' ', p->out);
		format_runtime(loop, buf, sizeof(buf));
		page_cell(p, buf, (unsigned)runtime);
		if (!narrow) {
			fputc(' ', p->out);
			format_wait(loop, buf, sizeof(buf));
			page_cell(p, buf, 19);
		}
		format_share(field_real(loop, "utilization", -1), buf, sizeof(buf));
		fprintf(p->out, " %7s", buf);
		if (tasks < 0)
			fprintf(p->out, " %6s\n", "-");
		else
			fprintf(p->out, " %6lld\n", (long long)tasks);
	}
}

/* ---- tasks ---- */

enum { NEW = 0, OPEN, SHOWN };

struct tree {
	const struct page *p;
	const struct ps_graph *g;
	unsigned char *state; /* of each task: not yet, being shown, shown */
	char prefix[INDENT_MAX * 4 + 1];
	size_t length, columns;
	unsigned depth;
	size_t deeper; /* tasks that were not gone into */
};

struct indent {
	size_t length, columns;
};

/* Begins a line below the node whose prefix there is; what lies below that line is indented
 * further.
 */
static struct indent begin_line(struct tree *t, bool last)
{
	struct indent before = {t->length, t->columns};
	const char *more = last ? SPACE : LINE;
	size_t size = strlen(more);

	fwrite(t->prefix, 1, t->length, t->p->out);
	fputs(last ? LAST : BRANCH, t->p->out);
	if (t->columns + 4 <= INDENT_MAX) {
		memcpy(t->prefix + t->length, more, size);
		t->length += size;
		t->columns += 4;
	}
	return before;
}

static void end_line(struct tree *t, struct indent before)
{
	t->length = before.length;
	t->columns = before.columns;
}

static void print_task_line(const struct tree *t, const struct ps_node *n)
{
	const struct page *p = t->p;
	const char *state = field_text(n->task, "state"), *on = field_text(n->task, "waiting_on");
	int64_t age = field_int(n->task, "age_ns", -1);
	char buf[32];

	fputs("(T) ", p->out);
	page_style(p, STYLE_BOLD);
	page_text(p, n->name ? n->name : "?", NAME_MAX);
	page_plain(p);
	fputs("  ", p->out);
	page_text(p, state ? state : "unknown", 20);
	if (on) {
		fputs(" on ", p->out);
		page_text(p, on, 30);
	}
	if (age >= 0)
		fprintf(p->out, ", age %s", lsc_duration_format((uint64_t)age, buf, sizeof(buf)));
	else
		fputs(", age unknown", p->out);
}

static void show_task(struct tree *t, size_t node, bool last);

static void show_awaits(struct tree *t, const struct ps_node *n)
{
	for (size_t i = 0; i < n->nawaits; i++)
		show_task(t, n->awaits[i], i + 1 == n->nawaits);
}

static void print_frame(const struct tree *t, const json_t *frame)
{
	page_site(t->p, field_text(frame, "function") ?: "?", field_text(frame, "file"),
		  (int)field_int(frame, "line", 0));
	fputc('\n', t->p->out);
}

/* Each coroutine below the one that awaits it, and the tasks below the last. */
static void show_frames(struct tree *t, const struct ps_node *n)
{
	struct indent before = {t->length, t->columns};
	const json_t *frames = json_object_get(n->task, "frames"), *frame;
	const json_t *spawned = json_object_get(n->task, "spawn_site");
	size_t i;

	if (!json_array_size(frames) && json_is_object(spawned)) {
		begin_line(t, true);
		fputs("spawned at ", t->p->out);
		print_frame(t, spawned);
	}
	json_array_foreach(frames, i, frame) {
		begin_line(t, true);
		print_frame(t, frame);
	}
	if (json_is_true(json_object_get(n->task, "cut"))) {
		begin_line(t, true);
		fputs("...\n", t->p->out);
	}
	show_awaits(t, n);
	end_line(t, before);
}

static void show_task(struct tree *t, size_t node, bool last)
{
	const struct ps_node *n = &t->g->nodes[node];
	struct indent before = begin_line(t, last);
	unsigned char *state = &t->state[node];

	print_task_line(t, n);
	if (*state == OPEN)
		fputs(", await cycle: shown above\n", t->p->out);
	else if (*state == SHOWN)
		fputs(", shown above\n", t->p->out);
	else
		fputc('\n', t->p->out);
	if (*state == NEW && t->depth == DEPTH_MAX) {
		t->deeper++;
	} else if (*state == NEW) {
		t->depth++;
		*state = OPEN;
		show_frames(t, n);
		*state = SHOWN;
		t->depth--;
	}
	end_line(t, before);
}

/* Shows those of a loop, [from, to) of the nodes. */
static void show_loop(struct tree *t, size_t from, size_t to)
{
	size_t last = from;

	for (size_t i = from; i < to; i++)
		if (t->g->nodes[i].root)
			last = i;
	for (size_t i = from; i < to; i++)
		if (t->g->nodes[i].root)
			show_task(t, i, i == last);
}

static const json_t *find_loop(const json_t *loops, int64_t tid)
{
	const json_t *loop;
	size_t i;

	json_array_foreach(loops, i, loop)
		if (field_int(loop, "tid", 0) == tid)
			return loop;
	return NULL;
}

static void print_heading(const struct page *p, const json_t *loop, int64_t tid, size_t n)
{
	char text[96];

	page_style(p, STYLE_BOLD);
	if (tid)
		fprintf(p->out, "loop %lld", (long long)tid);
	else
		fputs("a loop whose thread is not known", p->out);
	page_plain(p);
	if (loop) {
		fputc(' ', p->out);
		page_text(p, field_text(loop, "comm"), 15);
		format_wait(loop, text, sizeof(text));
		fputs(" (", p->out);
		page_text(p, text, 40);
		fputs(")", p->out);
		double busy = field_real(loop, "utilization", -1);
		format_share(busy, text, sizeof(text));
		if (busy >= 0)
			fprintf(p->out, ", busy %s", text);
		if (field_text(loop, "runtime")) {
			format_runtime(loop, text, sizeof(text));
			fputs(", ", p->out);
			page_text(p, text, 40);
		}
	}
	if (n || !loop || field_int(loop, "tasks", -1) >= 0)
		fprintf(p->out, ": %zu task%s\n", n, n == 1 ? "" : "s");
	else
		fputs(": tasks unknown\n", p->out);
	if (loop)
		ps_loop_print(p, loop);
}

void ps_text_held(const struct page *p, const json_t *held)
{
	const json_t *frames = json_object_get(held, "frames"), *frame;
	const char *call = field_text(held, "syscall");
	char since[32];
	size_t i;

	if (!json_is_object(held))
		return;
	page_style(p, STYLE_BOLD);
	fprintf(p->out, "thread %lld", (long long)field_int(held, "tid", 0));
	page_plain(p);
	fputc(' ', p->out);
	page_text(p, field_text(held, "comm"), 15);
	fputs(" turns no loop: it has ", p->out);
	if (!strcmp(field_text(held, "state") ?: "", "runs"))
		fputs("run", p->out);
	else
		fputs(call ? "been in " : "slept", p->out);
	if (call)
		page_text(p, call, 40);
	fprintf(p->out, " for %s and more%s\n",
		lsc_duration_format(field_u64(held, "for_ns"), since, sizeof(since)),
		json_array_size(frames) ? ":" : "; where is not known");
	json_array_foreach(frames, i, frame) {
		fputs("    ", p->out);
		page_text(p, json_string_value(frame), page_width(p) > 10 ? page_width(p) - 4 : 76);
		fputc('\n', p->out);
	}
}

static const struct ps_node *node_of(const struct ps_graph *g, const json_t *id)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->nodes[i].id == json_integer_value(id))
			return &g->nodes[i];
	return NULL;
}

/* Of several the loop is told: their tasks may have the same names. */
static void print_cycles(const struct page *p, const json_t *cycles, const struct ps_graph *g)
{
	const json_t *cycle;
	size_t i, k;

	json_array_foreach(cycles, i, cycle) {
		const struct ps_node *n = node_of(g, json_array_get(cycle, 0));
		int64_t loop = n ? field_int(n->task, "loop", -1) : -1;

		if (json_array_size(cycles) > 1 && loop >= 0)
			fprintf(p->out, "await cycle of loop %lld: ", (long long)loop);
		else
			fputs("await cycle: ", p->out);
		for (k = 0; k <= json_array_size(cycle); k++) {
			n = node_of(g, json_array_get(cycle, k % json_array_size(cycle)));
			if (k)
				fputs(" -> ", p->out);
			page_text(p, n && n->name ? n->name : "?", NAME_MAX);
			if (k > 20) {
				fputs(" -> ...", p->out);
				break;
			}
		}
		fputc('\n', p->out);
	}
}

int ps_text_tasks(const struct page *p, const json_t *doc, const struct ps_graph *g)
{
	lsc_autofree unsigned char *state = calloc(g->n + 1, 1);
	const json_t *loops = json_object_get(doc, "loops"), *loop;
	struct tree t = {.p = p, .g = g, .state = state};
	size_t i, from, to;

	if (!state)
		return -ENOMEM;
	json_array_foreach(loops, i, loop) {
		bool has = false;
		for (from = 0; from < g->n && !has; from++)
			has = g->nodes[from].loop == field_int(loop, "tid", 0);
		if (!has)
			print_heading(p, loop, field_int(loop, "tid", 0), 0);
	}
	for (from = 0; from < g->n; from = to) {
		int64_t tid = g->nodes[from].loop;
		for (to = from; to < g->n && g->nodes[to].loop == tid; to++)
			;
		print_heading(p, find_loop(loops, tid), tid, to - from);
		show_loop(&t, from, to);
	}
	print_cycles(p, json_object_get(doc, "cycles"), g);
	if (t.deeper)
		fprintf(p->out, "%zu tasks lie deeper than %d: see --json\n", t.deeper, DEPTH_MAX);
	return 0;
}
