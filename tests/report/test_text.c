/* SPDX-License-Identifier: MIT */
/* The text report against golden files, and against a capture that tries to steer the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "text.h"

static char *rendered(void (*scene)(struct fixture *), bool color)
{
	struct fixture f;
	struct analysis a;
	char *text = NULL;
	size_t size;

	fixture_begin(&f, NULL);
	scene(&f);
	fixture_analyse(&f, &a);
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(
		text_render(&a, &(struct text_options){.name = "x.lsc", .color = color}, out), 0);
	fclose(out);
	analysis_done(&a);
	return text;
}

static void assert_golden(void (*scene)(struct fixture *), const char *name)
{
	char path[512], golden[16384];
	char *text = rendered(scene, false);

	snprintf(path, sizeof(path), "%s/%s.txt", GOLDEN_DIR, name);
	FILE *in = fopen(path, "r");
	assert_non_null(in);
	size_t n = fread(golden, 1, sizeof(golden) - 1, in);
	fclose(in);
	golden[n] = '\0';
	assert_string_equal(text, golden);
	free(text);
}

static void a_healthy_capture_says_so_in_one_line(void **state)
{
	(void)state;
	assert_golden(fixture_healthy, "healthy");
}

/* The second stall's length is known as well as it is printed. */
static void bounded(struct fixture *f)
{
	static const uint64_t least_us[] = {600000, 609300};

	fixture_healthy(f);
	fixture_native(f, 1, "serve", 7);
	for (int i = 0; i < 2; i++) {
		struct store_stall row = {.id = i + 1,
					  .loop = 1,
					  .start_ns = FIXTURE_START + MS(1000 * (i + 1)),
					  .duration_ns = MS(640) - (uint64_t)i * 30400000,
					  .duration_min_ns = least_us[i] * 1000,
					  .stack = 1};

		row.duration_max_ns = row.duration_ns;
		row.split[LSC_CAUSE_CPU_USER] = row.duration_ns;
		assert_int_equal(store_put_stall(f->s, &row), 0);
	}
}

static void bounds_are_told_where_they_tell_something(void **state)
{
	char *text = rendered(bounded, false);

	(void)state;
	assert_non_null(strstr(text, "640.0 ms  cpu-user  (between 600.0 ms and 640.0 ms)\n"));
	assert_non_null(strstr(text, "609.6 ms  cpu-user\n"));
	free(text);
}

static void a_sleeping_redis_reads_verdict_first(void **state)
{
	(void)state;
	assert_golden(fixture_sleeping, "sleeping");
}

/* The call begins with the stall: what stands with it are the five marks nearest to its begin. */
static void marked(struct fixture *f)
{
	struct store_counter counter = {.id = 1,
					.loop = 1,
					.name = "open orders",
					.count = 12345,
					.last = 4,
					.min = -1,
					.max = 41};

	fixture_native(f, 1, "debugCommand", 42);
	fixture_task(f, 7, "checkout");
	fixture_stall(f, 1, 1000, 300, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
	fixture_mark(f, MS(900), 0, "before the stall");
	fixture_mark(f, MS(1000), 7, "checkout begin");
	for (unsigned i = 1; i <= 6; i++)
		fixture_mark(f, MS(1000 + 10 * i), 7, i == 3 ? NULL : "step");
	if (store_put_counter(f->s, &counter) < 0)
		fail();
}

/* Two loops of the process tell of one place; one does not know how large the stack is. */
static void full_stacks(struct fixture *f)
{
	static const struct store_site_stack rows[] = {
		{1, 1, {"serve", "server.c", 88}, 3277, 65536},
		{2, 1, {"parse", "server.c", 120}, 52000, 65536},
		{3, 1, {"serve", "server.c", 88}, 5000, 65536},
		{4, 1, {NULL, NULL, 0}, 70000, 0},
		{5, 1, {"serve", "client.c", 88}, 4096, 1048576},
	};

	for (size_t i = 0; i < LSC_ARRAY_LEN(rows); i++)
		if (store_put_site_stack(f->s, &rows[i]) < 0)
			fail();
}

static void stacks_are_listed_by_spawn_site_the_fullest_first(void **state)
{
	(void)state;
	assert_golden(full_stacks, "stacks");
}

static void marks_stand_with_the_stall_that_they_lie_in(void **state)
{
	(void)state;
	assert_golden(marked, "marked");
}

static void deep(struct fixture *f)
{
	static const char *const frames[] = {
		"native|leaf|||libjson.so",  "native|in_1|||libjson.so",
		"native|in_2|||libjson.so",  "native|in_3|||libjson.so",
		"native|in_4|||libjson.so",  "native|in_5|||libjson.so",
		"native|in_6|||libjson.so",  "native|in_7|||libjson.so",
		"native|in_8|||libjson.so",  "native|in_9|||libjson.so",
		"native|in_10|||libjson.so", "native|in_11|||libjson.so",
		"python|render|web.py|17|",  "python|handle|web.py|20|",
		"python|main|web.py|45|",    "native|Py_Main|||python3",
		"native|_start|||python3",   NULL};

	fixture_stack(f, 1, frames);
	fixture_stall(f, 1, 1000, 300, LSC_CAUSE_CPU_USER, NULL, 1);
}

static void the_frame_that_held_the_loop_is_shown_however_deep_it_lies(void **state)
{
	(void)state;
	char *text = rendered(deep, false);

	assert_non_null(strstr(text, "> render "));
	assert_non_null(strstr(text, "  leaf "));
	assert_non_null(strstr(text, "handle "));
	assert_null(strstr(text, "in_5 "));
	assert_non_null(strstr(text, "4 more frames\n"));
	free(text);
}

/* Six sleeps at one place, the first ones longer than anything else, and two other stalls. */
static void uniform(struct fixture *f)
{
	fixture_native(f, 1, "flush", 10);
	fixture_native(f, 2, "parse", 20);
	for (unsigned i = 1; i <= 6; i++)
		fixture_stall(f, i, 1000 * i, 300 - i, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
	fixture_stall(f, 7, 7000, 60, LSC_CAUSE_CPU_USER, NULL, 2);
	fixture_stall(f, 8, 8000, 50, LSC_CAUSE_FILE_IO, "fsync", 1);
}

static void each_kind_of_stall_is_shown_before_more_of_one(void **state)
{
	(void)state;
	char *text = rendered(uniform, false), *at = strstr(text, "THE WORST STALLS");

	assert_non_null(at);
	for (const char *const *id = (const char *const[]){"#1 ", "#2 ", "#3 ", "#7 ", "#8 ", NULL};
	     *id; id++) {
		at = strstr(at, *id);
		assert_non_null(at);
	}
	assert_non_null(strstr(at, "and 3 more: --json has them all"));
	free(text);
}

static void hostile_names_cannot_steer_the_terminal(void **state)
{
	(void)state;
	char *text = rendered(fixture_hostile, false);

	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
	assert_null(strstr(text, "\xe2\x80\xae"));
	assert_non_null(strstr(text, "</script><b>]0;owned[31m"));
	free(text);
}

static void colour_comes_only_from_us(void **state)
{
	(void)state;
	char *plain = rendered(fixture_sleeping, false), *color = rendered(fixture_sleeping, true);
	size_t at = 0;

	assert_null(strchr(plain, '\033'));
	for (const char *c = color; *c; c++) {
		if (*c == '\033')
			c = strchr(c, 'm');
		else
			assert_int_equal(*c, plain[at++]);
	}
	assert_int_equal(at, strlen(plain));
	assert_true(strlen(color) > strlen(plain));
	free(plain);
	free(color);
}

static void no_line_of_the_report_is_wider_than_a_terminal(void **state)
{
	(void)state;
	char *text = rendered(fixture_sleeping, false), *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		assert_true(strlen(line) <= 100);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_healthy_capture_says_so_in_one_line),
		cmocka_unit_test(a_sleeping_redis_reads_verdict_first),
		cmocka_unit_test(bounds_are_told_where_they_tell_something),
		cmocka_unit_test(marks_stand_with_the_stall_that_they_lie_in),
		cmocka_unit_test(stacks_are_listed_by_spawn_site_the_fullest_first),
		cmocka_unit_test(the_frame_that_held_the_loop_is_shown_however_deep_it_lies),
		cmocka_unit_test(each_kind_of_stall_is_shown_before_more_of_one),
		cmocka_unit_test(hostile_names_cannot_steer_the_terminal),
		cmocka_unit_test(colour_comes_only_from_us),
		cmocka_unit_test(no_line_of_the_report_is_wider_than_a_terminal),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
