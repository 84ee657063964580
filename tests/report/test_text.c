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

static void marks_stand_with_the_stall_that_they_lie_in(void **state)
{
	(void)state;
	assert_golden(marked, "marked");
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
		cmocka_unit_test(marks_stand_with_the_stall_that_they_lie_in),
		cmocka_unit_test(hostile_names_cannot_steer_the_terminal),
		cmocka_unit_test(colour_comes_only_from_us),
		cmocka_unit_test(no_line_of_the_report_is_wider_than_a_terminal),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
