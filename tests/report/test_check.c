/* SPDX-License-Identifier: MIT */
/* Budgets: what passes, what fails, and what cannot be said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "check.h"
#include "fixture.h"

static void budgets_are_read_or_refused(void **state)
{
	(void)state;
	struct check c = {0};
	static const char *const bad_stalls[] = {"", "-1", "x", "1h"};
	static const char *const bad_findings[] = {
		"",	    "error",   "error=", "error=-1",
		"error=1x", "fatal=1", "err=1",	 "error=99999999999999999999999"};

	assert_int_equal(check_add_max_stall(&c, "50"), 0);
	assert_int_equal(c.budgets[0].limit, MS(50));
	assert_int_equal(check_add_max_findings(&c, "warning=3"), 0);
	assert_int_equal(c.budgets[1].limit, 3);
	assert_int_equal(c.budgets[1].severity, SEVERITY_WARNING);
	for (size_t i = 0; i < sizeof(bad_stalls) / sizeof(bad_stalls[0]); i++)
		assert_int_equal(check_add_max_stall(&c, bad_stalls[i]), -EINVAL);
	for (size_t i = 0; i < sizeof(bad_findings) / sizeof(bad_findings[0]); i++)
		assert_int_equal(check_add_max_findings(&c, bad_findings[i]), -EINVAL);
	while (c.nbudgets < CHECK_BUDGETS_MAX)
		assert_int_equal(check_add_max_stall(&c, "1s"), 0);
	assert_int_equal(check_add_max_stall(&c, "1s"), -E2BIG);
}

static enum check_status judged(void (*scene)(struct fixture *), const char *max_stall,
				const char *findings)
{
	struct fixture f;
	struct analysis a;
	struct check c = {0};

	fixture_begin(&f, NULL);
	scene(&f);
	fixture_analyse(&f, &a);
	if (max_stall)
		assert_int_equal(check_add_max_stall(&c, max_stall), 0);
	if (findings)
		assert_int_equal(check_add_max_findings(&c, findings), 0);
	assert_int_equal(check_judge(&c, &a), 0);
	enum check_status status = c.status;
	check_done(&c);
	analysis_done(&a);
	return status;
}

static void half_blind(struct fixture *f)
{
	store_meta_put(f->s, STORE_META_COVERAGE, "0.5");
}

static void half_blind_and_sleeping(struct fixture *f)
{
	half_blind(f);
	fixture_sleeping(f);
}

static void verdicts_follow_the_budgets(void **state)
{
	(void)state;
	assert_int_equal(judged(fixture_healthy, NULL, NULL), CHECK_PASS);
	assert_int_equal(judged(fixture_healthy, "0", "info=0"), CHECK_PASS);
	assert_int_equal(judged(fixture_sleeping, NULL, NULL), CHECK_FAIL);
	assert_int_equal(judged(fixture_sleeping, "300ms", NULL), CHECK_PASS);
	assert_int_equal(judged(fixture_sleeping, "299.9ms", NULL), CHECK_FAIL);
	assert_int_equal(judged(fixture_sleeping, NULL, "error=2"), CHECK_PASS);
	assert_int_equal(judged(fixture_sleeping, NULL, "error=1"), CHECK_FAIL);
	assert_int_equal(judged(fixture_sleeping, "1s", "error=1"), CHECK_FAIL);
}

static void the_host_never_fails_a_budget_and_blindness_never_passes_one(void **state)
{
	(void)state;
	assert_int_equal(judged(fixture_host, NULL, "info=0"), CHECK_PASS);
	assert_int_equal(judged(fixture_host, "100ms", NULL), CHECK_PASS);
	assert_int_equal(judged(fixture_host, "50ms", NULL), CHECK_INCONCLUSIVE);
	assert_int_equal(judged(half_blind, "50ms", NULL), CHECK_INCONCLUSIVE);
	assert_int_equal(judged(half_blind_and_sleeping, "50ms", NULL), CHECK_FAIL);
}

static void a_short_block_elsewhere_in_the_stall_that_fails_is_not_told(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct check c = {0};
	struct store_block brief = {.id = 9,
				    .loop = 1,
				    .stall = 1,
				    .start_ns = FIXTURE_START + MS(1290),
				    .duration_ns = MS(2),
				    .count = 1,
				    .syscall = "clock_nanosleep",
				    .cause = LSC_CAUSE_SLEEP,
				    .stack = 2};

	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "settle", 1);
	fixture_native(&f, 2, "nap", 2);
	fixture_stall(&f, 1, 1000, 300, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
	assert_int_equal(store_put_block(f.s, &brief), 0);
	fixture_analyse(&f, &a);
	assert_int_equal(check_add_max_stall(&c, "100ms"), 0);
	assert_int_equal(check_judge(&c, &a), 0);
	assert_int_equal(a.nfindings, 2);
	for (size_t i = 0; i < a.nfindings; i++)
		assert_int_equal(c.concerned[i], !strcmp(a.findings[i].site.function, "settle"));
	check_done(&c);
	analysis_done(&a);
}

/* A function each, the longest first. */
static void many_sites(struct fixture *f)
{
	char name[32];

	for (int i = 1; i <= 25; i++) {
		snprintf(name, sizeof(name), "site%02d", i);
		fixture_native(f, i, name, i);
		fixture_stall(f, i, (unsigned)i * 1000, 400 - (unsigned)i, LSC_CAUSE_SLEEP,
			      "clock_nanosleep", i);
	}
}

static void of_many_findings_the_worst_are_printed_and_the_rest_is_counted(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct check c = {0};
	const struct text_options plain = {0};
	char *text = NULL, *at;
	size_t size, shown = 0;

	fixture_begin(&f, NULL);
	many_sites(&f);
	fixture_analyse(&f, &a);
	assert_int_equal(check_judge(&c, &a), 0);
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	check_print(&c, &a, &plain, out);
	fclose(out);
	for (at = text; (at = strstr(at, "  blocking-sleep  ")); at++)
		shown++;
	assert_int_equal(shown, 20);
	assert_non_null(strstr(text, "site20"));
	assert_null(strstr(text, "site21"));
	assert_non_null(strstr(text, "FAIL max-findings error=0: 25 found\n"));
	assert_non_null(strstr(text, "\n  and 5 more of lower weight: --json has them all\n"));
	free(text);
	json_t *json = check_json(&c, &a, "x.lsc", -1, 1);
	assert_int_equal(json_array_size(json_object_get(json, "findings")), 25);
	json_decref(json);
	check_done(&c);
	analysis_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(budgets_are_read_or_refused),
		cmocka_unit_test(verdicts_follow_the_budgets),
		cmocka_unit_test(the_host_never_fails_a_budget_and_blindness_never_passes_one),
		cmocka_unit_test(a_short_block_elsewhere_in_the_stall_that_fails_is_not_told),
		cmocka_unit_test(of_many_findings_the_worst_are_printed_and_the_rest_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
