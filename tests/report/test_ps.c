/* SPDX-License-Identifier: MIT */
/* Trees of awaits from documents that mean no good, and from large ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ps_text.h"

static json_t *add_task(json_t *tasks, int id, const char *name, int loop)
{
	json_t *task = json_pack("{s:i, s:s, s:i, s:s, s:[], s:[], s:n}", "id", id, "name", name,
				 "loop", loop, "state", "waiting", "awaits", "frames", "age_ns");

	assert_int_equal(json_array_append_new(tasks, task), 0);
	return task;
}

static void add_await(json_t *task, int id)
{
	json_array_append_new(json_object_get(task, "awaits"), json_integer(id));
}

/* The text of the document of these; owned by the caller. */
static char *text_with(json_t *loops, json_t *tasks)
{
	json_t *doc = json_pack("{s:O, s:O}", "loops", loops, "tasks", tasks);
	struct ps_graph *g = ps_graph_new(tasks);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct page page = {.out = out};

	assert_non_null(g);
	json_object_set_new(doc, "cycles", ps_graph_cycles(g));
	assert_int_equal(ps_text_tasks(&page, doc, g), 0);
	fclose(out);
	ps_graph_free(g);
	json_decref(doc);
	return text;
}

static char *text_of(json_t *tasks)
{
	json_t *loops = json_array();
	char *text = text_with(loops, tasks);

	json_decref(loops);
	return text;
}

static void of_a_loop_is_told_what_is_known(void **state)
{
	json_t *tasks = json_array();
	json_t *loops = json_pack("[{s:i, s:s, s:{s:s, s:i}, s:n, s:f}, {s:i, s:s, s:s, s:s}]",
				  "tid", 7, "comm", "proxy", "primary_wait", "syscall",
				  "epoll_wait", "fd", 3, "runtime", "utilization", 0.5, "tid", 8,
				  "comm", "app", "runtime", "cpython", "runtime_version", "3.12.1");
	char *text = text_with(loops, tasks);

	(void)state;
	assert_string_equal(text, "loop 7 proxy (epoll_wait, fd 3), busy 50.0 %: tasks unknown\n"
				  "loop 8 app (-), cpython 3.12.1: tasks unknown\n");
	free(text);
	json_decref(loops);
	json_decref(tasks);
}

static void a_tree_is_drawn_with_shared_tasks_and_cycles_once(void **state)
{
	json_t *tasks = json_array(), *a, *b, *x, *y;

	(void)state;
	x = add_task(tasks, 8, "x", 5);
	y = add_task(tasks, 9, "y", 5);
	b = add_task(tasks, 2, "Task-10", 5);
	a = add_task(tasks, 1, "Task-2", 5);
	add_task(tasks, 3, "shared\x1b[31m", 5);
	add_await(a, 3);
	add_await(b, 3);
	add_await(x, 9);
	add_await(y, 8);
	json_array_append_new(
		json_object_get(a, "frames"),
		json_pack("{s:s, s:s, s:i}", "function", "main", "file", "app.py", "line", 3));
	char *text = text_of(tasks);
	assert_string_equal(text,
			    "loop 5: 5 tasks\n"
			    "├── (T) Task-2  waiting, age unknown\n"
			    "│   └── main (app.py:3)\n"
			    "│       └── (T) shared[31m  waiting, age unknown\n"
			    "├── (T) Task-10  waiting, age unknown\n"
			    "│   └── (T) shared[31m  waiting, age unknown, shown above\n"
			    "└── (T) x  waiting, age unknown\n"
			    "    └── (T) y  waiting, age unknown\n"
			    "        └── (T) x  waiting, age unknown, await cycle: shown above\n"
			    "await cycle: x -> y -> x\n");
	free(text);
	json_decref(tasks);
}

static void of_several_cycles_each_has_its_loop(void **state)
{
	json_t *tasks = json_array();

	(void)state;
	for (int i = 1; i < 5; i += 2) {
		add_await(add_task(tasks, i, "x", 5 + i), i + 1);
		add_await(add_task(tasks, i + 1, "y", 5 + i), i);
	}
	char *text = text_of(tasks);
	assert_non_null(strstr(text, "\nawait cycle of loop 6: x -> y -> x\n"
				     "await cycle of loop 8: x -> y -> x\n"));
	free(text);
	json_decref(tasks);
}

static void edges_that_lead_nowhere_are_none(void **state)
{
	json_t *tasks = json_array(), *a = add_task(tasks, 1, "a", 5);

	(void)state;
	add_await(a, 77);
	json_array_append_new(json_object_get(a, "awaits"), json_string("1"));
	json_array_append_new(tasks, json_object());
	json_array_append_new(tasks, json_string("no task"));
	struct ps_graph *g = ps_graph_new(tasks);
	assert_int_equal(g->n, 3);
	for (size_t i = 0; i < g->n; i++)
		assert_int_equal(g->nodes[i].nawaits, 0);
	json_t *cycles = ps_graph_cycles(g);
	assert_int_equal(json_array_size(cycles), 0);
	json_decref(cycles);
	ps_graph_free(g);
	free(text_of(tasks));
	json_decref(tasks);
}

#define MANY 50000

static void a_chain_of_many_tasks_takes_no_stack_and_ends_where_it_is_too_deep(void **state)
{
	json_t *tasks = json_array();
	char name[16];

	(void)state;
	for (int i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		json_t *task = add_task(tasks, i, name, 5);
		add_await(task, i % MANY + 1); /* all of them are one cycle */
	}
	struct ps_graph *g = ps_graph_new(tasks);
	json_t *cycles = ps_graph_cycles(g);
	assert_int_equal(json_array_size(cycles), 1);
	assert_int_equal(json_array_size(json_array_get(cycles, 0)), MANY);
	json_decref(cycles);
	ps_graph_free(g);
	char *text = text_of(tasks);
	assert_non_null(strstr(text, "(T) t64 "));
	assert_null(strstr(text, "(T) t66 "));
	assert_non_null(strstr(text, "tasks lie deeper than 64: see --json"));
	free(text);
	json_decref(tasks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_loop_is_told_what_is_known),
		cmocka_unit_test(a_tree_is_drawn_with_shared_tasks_and_cycles_once),
		cmocka_unit_test(of_several_cycles_each_has_its_loop),
		cmocka_unit_test(edges_that_lead_nowhere_are_none),
		cmocka_unit_test(
			a_chain_of_many_tasks_takes_no_stack_and_ends_where_it_is_too_deep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
