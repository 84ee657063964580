/* SPDX-License-Identifier: MIT */
/* The tables: loops, the tasks with the longest steps, who held whom up, and the heaviest stacks.
 */
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "page.h"

static void cell_duration(struct page *p, const json_t *o, const char *key)
{
	fputs("<td class=\"n\">", p->out);
	if (json_is_integer(json_object_get(o, key)))
		html_duration(p, field_u64(o, key));
	else
		fputs("<span class=\"dim\">unknown</span>", p->out);
	fputs("</td>", p->out);
}

static void cell_count(struct page *p, const json_t *o, const char *key)
{
	fputs("<td class=\"n\">", p->out);
	if (json_is_integer(json_object_get(o, key)))
		html_count(p, field_u64(o, key));
	else
		fputs("<span class=\"dim\">unknown</span>", p->out);
	fputs("</td>", p->out);
}

static void loop_row(struct page *p, const json_t *loop)
{
	const json_t *wait = json_object_get(loop, "primary_wait"),
		     *lag = json_object_get(loop, "lag");
	const char *runtime = field_text(loop, "runtime"), *syscall = field_text(wait, "syscall");
	double busy = field_real(loop, "utilization", -1);

	fputs("<tr><td>", p->out);
	html_loop_name(p, field_int(loop, "id", -1));
	if (runtime) {
		fputs(" <span class=\"dim\">", p->out);
		html_text(p, runtime);
		fputs("</span>", p->out);
	}
	fputs("</td><td>", p->out);
	if (syscall) {
		fputs("<code>", p->out);
		html_text(p, syscall);
		fputs("</code>", p->out);
		if (field_int(wait, "fd", -1) >= 0)
			fprintf(p->out, " fd %lld", (long long)field_int(wait, "fd", -1));
	} else {
		fputs("<span class=\"dim\">unknown</span>", p->out);
	}
	fputs("</td>", p->out);
	cell_count(p, loop, "ticks");
	fputs("<td class=\"n\">", p->out);
	if (busy >= 0)
		fprintf(p->out, "%.1f %%", busy * 100);
	else
		fputs("<span class=\"dim\">unknown</span>", p->out);
	fputs("</td>", p->out);
	cell_duration(p, lag, "p50_ns");
	cell_duration(p, lag, "p90_ns");
	cell_duration(p, lag, "p99_ns");
	cell_duration(p, lag, "max_ns");
	cell_count(p, loop, "stall_count");
	cell_duration(p, loop, "stalled_ns");
	fputs("</tr>\n", p->out);
}

static void loops(struct page *p)
{
	json_t *list = json_object_get(p->doc, "loops"), *loop;
	size_t i;

	fprintf(p->out,
		"<section>\n<h2>Loops <span class=\"tally\" data-count=\"loops\">%zu</span></h2>\n",
		p->loops.n);
	if (p->loops.n) {
		html_open_table(p, "Loops",
				"<th>Loop</th><th>Idles in</th><th class=\"n\">Turns</th><th "
				"class=\"n\">Busy</th>"
				"<th class=\"n\">Lag p50</th><th class=\"n\">p90</th><th "
				"class=\"n\">p99</th>"
				"<th class=\"n\">max</th><th class=\"n\">Stalls</th><th "
				"class=\"n\">Stalled</th>");
		json_array_foreach(list, i, loop) {
			if (i == HTML_LOOPS)
				break;
			loop_row(p, loop);
		}
		html_close_table(p);
	} else {
		fputs("<p>None was seen.</p>\n", p->out);
	}
	html_left_out(p, p->loops.n, HTML_LOOPS, "loops");
	fputs("</section>\n", p->out);
}

static int longest_step_first(const void *a, const void *b)
{
	uint64_t x = field_u64(((const struct html_entry *)a)->value, "max_step_ns");
	uint64_t y = field_u64(((const struct html_entry *)b)->value, "max_step_ns");

	return (x < y) - (x > y);
}

static void task_row(struct page *p, const json_t *task)
{
	const json_t *wait = json_object_get(task, "ready_wait");

	fputs("<tr><td>", p->out);
	html_task_name(p, field_int(task, "id", 0));
	fputs("</td><td>", p->out);
	html_site(p, json_object_get(task, "spawn_site"));
	fputs("</td><td>", p->out);
	html_text(p, field_text(task, "state"));
	if (field_text(task, "waiting_on")) {
		fputs(" <span class=\"dim\">", p->out);
		html_text(p, field_text(task, "waiting_on"));
		fputs("</span>", p->out);
	}
	fputs("</td>", p->out);
	cell_count(p, task, "steps");
	cell_duration(p, task, "run_ns");
	cell_duration(p, task, "max_step_ns");
	cell_duration(p, wait, "p99_ns");
	cell_duration(p, wait, "max_ns");
	fputs("</tr>\n", p->out);
}

/* Those whose steps are known. */
static void tasks(struct page *p)
{
	size_t n = 0;
	struct html_entry *order = calloc(p->tasks.n + 1, sizeof(*order));

	if (!order) /* the one table that needs memory; the page stands without it */
		return;
	for (size_t i = 0; i < p->tasks.n; i++)
		if (json_is_integer(json_object_get(p->tasks.entry[i].value, "steps")))
			order[n++] = p->tasks.entry[i];
	if (!n) {
		free(order);
		return;
	}
	qsort(order, n, sizeof(*order), longest_step_first);
	fputs("<section>\n<h2>Tasks with the longest steps</h2>\n", p->out);
	html_open_table(
		p, "Tasks",
		"<th>Task</th><th>Spawned in</th><th>State</th><th class=\"n\">Steps</th><th "
		"class=\"n\">Run</th>"
		"<th class=\"n\">Longest step</th><th class=\"n\">Ready wait p99</th><th "
		"class=\"n\">max</th>");
	for (size_t i = 0; i < n && i < HTML_TASKS; i++)
		task_row(p, order[i].value);
	html_close_table(p);
	html_left_out(p, n + field_u64(p->doc, "omitted"), HTML_TASKS < n ? HTML_TASKS : n,
		      "tasks");
	fputs("</section>\n", p->out);
	free(order);
}

static void cell_kib(struct page *p, const json_t *use, const char *key)
{
	fputs("<td class=\"n\">", p->out);
	if (json_is_integer(json_object_get(use, key)))
		fprintf(p->out, "%.1f KiB", (double)field_u64(use, key) / 1024);
	fputs("</td>", p->out);
}

static void stack_uses(struct page *p)
{
	json_t *list = json_object_get(p->doc, "stack_uses"), *use;
	size_t i;

	if (!json_array_size(list))
		return;
	fputs("<section>\n<h2>How full stacks became</h2>\n", p->out);
	html_open_table(p, "How full stacks became",
			"<th>Tasks spawned in</th><th class=\"n\">Used at most</th><th "
			"class=\"n\">Of a stack of</th>");
	json_array_foreach(list, i, use) {
		if (i == HTML_ROWS)
			break;
		fputs("<tr><td>", p->out);
		html_site(p, json_object_get(use, "spawn_site"));
		fputs("</td>", p->out);
		cell_kib(p, use, "used_bytes");
		cell_kib(p, use, "size_bytes");
		fputs("</tr>\n", p->out);
	}
	html_close_table(p);
	html_left_out(p, json_array_size(list), i, "places");
	fputs("</section>\n", p->out);
}

/* A party of the blame table: its name, else its number as a task. */
static void party(struct page *p, const json_t *row, const char *id, const char *name)
{
	fputs("<td>", p->out);
	if (field_text(row, name) || field_int(row, id, 0) <= 0)
		html_text(p, field_text(row, name));
	else
		html_task_name(p, field_int(row, id, 0));
	fputs("</td>", p->out);
}

static void blame(struct page *p)
{
	json_t *list = json_object_get(p->doc, "blame"), *row;
	size_t i;

	if (!json_array_size(list))
		return;
	fputs("<section>\n<h2>Who held up whom</h2>\n", p->out);
	html_open_table(p, "Who held up whom",
			"<th>Held the loop</th><th>Waited</th><th class=\"n\">Times</th><th "
			"class=\"n\">Waited in all</th>");
	json_array_foreach(list, i, row) {
		if (i == HTML_ROWS)
			break;
		fputs("<tr>", p->out);
		party(p, row, "culprit", "culprit_name");
		party(p, row, "victim", "victim_name");
		cell_count(p, row, "count");
		cell_duration(p, row, "wait_ns");
		fputs("</tr>\n", p->out);
	}
	html_close_table(p);
	html_left_out(p, json_array_size(list), HTML_ROWS, "pairs");
	fputs("</section>\n", p->out);
}

/* The leaf and the length of each of the heaviest stacks; the list comes heaviest first or is shown
 * as it comes. */
static void profile(struct page *p, const json_t *profile_)
{
	json_t *samples = json_object_get(profile_, "samples"), *s;
	uint64_t all_ns = 0;
	size_t i;

	json_array_foreach(samples, i, s)
		all_ns += field_u64(s, "ns");
	if (!all_ns)
		return;
	fputs("<h3>", p->out);
	html_loop_name(p, field_int(profile_, "loop", -1));
	fputs(", ", p->out);
	html_text(p, field_text(profile_, "kind"));
	fputs(" <span class=\"dim\">", p->out);
	html_duration(p, all_ns);
	fputs(" in stalls</span></h3>\n", p->out);
	json_array_foreach(samples, i, s) {
		const json_t *stack = html_find(&p->stacks, field_int(s, "stack", -1));
		const json_t *leaf = json_array_get(json_object_get(stack, "frames"), 0);
		const char *function = field_text(leaf, "function");

		if (i == HTML_ROWS)
			break;
		fprintf(p->out, "<div class=\"weight\"><span class=\"n\">%.1f %%</span> ",
			(double)field_u64(s, "ns") * 100 / (double)all_ns);
		html_text(p, function ? function : field_text(leaf, "module"));
		html_stack(p, field_int(s, "stack", -1), "Stack");
		fputs("</div>\n", p->out);
	}
	html_left_out(p, json_array_size(samples) + field_u64(profile_, "omitted"), i, "stacks");
}

static void profiles(struct page *p)
{
	json_t *list = json_object_get(p->doc, "profiles"), *v;
	size_t i;

	if (!json_array_size(list))
		return;
	fputs("<section>\n<h2>Where the time went</h2>\n", p->out);
	json_array_foreach(list, i, v) {
		if (i == HTML_ROWS)
			break;
		profile(p, v);
	}
	html_left_out(p, json_array_size(list), HTML_ROWS, "profiles");
	fputs("</section>\n", p->out);
}

void html_tables(struct page *p)
{
	loops(p);
	tasks(p);
	stack_uses(p);
	blame(p);
	profiles(p);
}
