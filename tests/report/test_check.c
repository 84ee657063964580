/* SPDX-License-Identifier: MIT */
/* Budgets: what passes, what fails, and what cannot be said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(budgets_are_read_or_refused),
		cmocka_unit_test(verdicts_follow_the_budgets),
		cmocka_unit_test(the_host_never_fails_a_budget_and_blindness_never_passes_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
