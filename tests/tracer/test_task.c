/* SPDX-License-Identifier: MIT */
/* tracer/task and tracer/evidence: which of the tasks that were met are the same, and which of its
 * samples' stacks stands for a stall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "evidence.h"

#define ADDRESS 0x7f0000001000ull

static char folder[] = "/tmp/lsc-task-XXXXXX", path[sizeof(folder) + 16];
static struct collector collector;
static struct loop loop;

static int begin(void **state)
{
	struct store_create_options options = {.owner = (uid_t)-1, .group = (gid_t)-1};
	struct lsc_err err = {0};

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/t.lsc", folder);
	loop.id = 3;
	return store_create(path, &options, &collector.store, &err);
}

static int end(void **state)
{
	(void)state;
	task_forget(&loop);
	store_finish(collector.store, NULL);
	unlink(path);
	return rmdir(folder);
}

static int64_t meet(uint64_t address, const char *name, const char *file, int line)
{
	struct inspector_task seen = {
		.address = address, .name = name, .function = "work", .file = file, .line = line};

	return task_meet(&collector, &loop, &seen, STORE_TASK_TASK);
}

/* Stacks are told in any order: those of the one that lay there before come between the other's. */
static void tasks_that_lay_in_the_same_place_stay_apart_in_any_order(void **state)
{
	(void)state;
	int64_t first = meet(ADDRESS, "w1", "a.py", 12), second = meet(ADDRESS, "w2", "a.py", 12);

	assert_int_not_equal(first, 0);
	assert_int_not_equal(second, 0);
	assert_int_not_equal(first, second);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(meet(ADDRESS, "w1", "a.py", 12), first);
		assert_int_equal(meet(ADDRESS, "w2", "a.py", 12), second);
	}
	assert_string_equal(task_of(&loop, first)->name, "w1");
	assert_string_equal(task_of(&loop, second)->name, "w2");
}

static void whatever_is_told_of_a_task_tells_it_from_others(void **state)
{
	(void)state;
	const int64_t ids[] = {
		meet(ADDRESS, "w", "a.py", 12),	    meet(ADDRESS + 8, "w", "a.py", 12),
		meet(ADDRESS, "wa", ".py", 12),	    meet(ADDRESS, NULL, "a.py", 12),
		meet(ADDRESS, "", "a.py", 12),	    meet(ADDRESS, "w", NULL, 12),
		meet(ADDRESS, "w", "a.py", 12 << 8)};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(ids[i], ids[k]);
	assert_int_equal(meet(ADDRESS, "w", NULL, 12), ids[5]);
	assert_null(task_of(&loop, ids[5])->spawn_site.file);
	assert_string_equal(task_of(&loop, ids[2])->spawn_site.file, ".py");
	assert_int_equal(meet(0, "w", "a.py", 12), 0);
}

static void of_many_tasks_the_one_met_first_is_forgotten(void **state)
{
	(void)state;
	int64_t first = meet(ADDRESS, "many", "a.py", 0), last = 0;

	for (int i = 1; i <= 5000; i++)
		last = meet(ADDRESS, "many", "a.py", i);
	assert_null(task_of(&loop, first));
	assert_int_equal(meet(ADDRESS, "many", "a.py", 5000), last);
	assert_int_equal(task_of(&loop, last)->spawn_site.line, 5000);
}

/* A sample of stall 1, answered with one frame. */
static void answer_sample(size_t i, bool python, bool truncated, const char *function)
{
	struct inspector_frame frame = {.python = python, .function = function, .file = "a.py"};
	struct inspector_result r = {
		.cookie = i + 1, .nframes = 1, .frames = &frame, .truncated = truncated};
	struct job j = {.loop = &loop};

	loop.samples[i] = (struct sample){.row.stall = 1, .job = i + 1};
	evidence_sample_found(&collector, &j, &r);
	assert_int_not_equal(loop.samples[i].row.stack, 0);
}

/* Code that was freed when the tick was over: most of its samples have no frames of Python. */
static void a_stack_with_frames_of_the_language_stands_for_those_without(void **state)
{
	(void)state;
	static struct target target = {.runtime = "cpython"};
	static struct sample samples[6];

	loop.target = &target;
	loop.samples = samples;
	loop.nsamples = 6;
	assert_non_null(target_language(&target));
	for (size_t i = 0; i < 4; i++)
		answer_sample(i, false, i % 2, "evaluate");
	answer_sample(4, true, true, "cut");
	samples[5] = (struct sample){.row.stall = 1};
	assert_ptr_equal(evidence_heaviest(&loop, 1), &samples[4]);
	answer_sample(5, true, false, "whole");
	assert_ptr_equal(evidence_heaviest(&loop, 1), &samples[5]);
	loop.samples = NULL;
	loop.nsamples = 0;
	loop.target = NULL;
	stacks_free(&collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_that_lay_in_the_same_place_stay_apart_in_any_order),
		cmocka_unit_test(whatever_is_told_of_a_task_tells_it_from_others),
		cmocka_unit_test(of_many_tasks_the_one_met_first_is_forgotten),
		cmocka_unit_test(a_stack_with_frames_of_the_language_stands_for_those_without),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
