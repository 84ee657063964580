/* SPDX-License-Identifier: MIT */
/* One turn of a loop that is long: whether one callback or many made it so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "analysis/rules.h"
#include "fixture.h"

/* A stall of 120 ms on the CPU, and a sample of each stack, in these tasks (NULL: in none). */
static void sampled_turn(struct fixture *f, size_t nstacks, unsigned ms_each, const int64_t *tasks)
{
	fixture_stall(f, 1, 1000, 120, LSC_CAUSE_CPU_USER, NULL, 1);
	for (size_t k = 1; k <= nstacks; k++)
		assert_int_equal(
			store_put_sample(f->s,
					 &(struct store_sample){.loop = 1,
								.stall = 1,
								.stack = (int64_t)k,
								.task = tasks ? tasks[k - 1] : 0,
								.ts_ns = FIXTURE_START,
								.ns = MS(ms_each)}),
			0);
}

static void many_callbacks_in_one_turn_are_told_from_a_long_one(void **state)
{
	(void)state;
	static const struct {
		int64_t tasks[4];
		const char *rule;
	} cases[] = {{{1, 2, 3, 4}, "slow-iteration"}, /* four callbacks of 30 ms */
		     {{1, 2, 1, 4}, "cpu-hog"},	       /* one of them for half of it */
		     {{0}, "cpu-hog"}};		       /* who knows which they are */

	for (size_t i = 0; i < 3; i++) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		for (int64_t k = 1; k <= 4; k++)
			fixture_native(&f, k, "spin", (int)k);
		for (int64_t t = 1; t <= 4; t++)
			fixture_callback(&f, t, "on_event");
		sampled_turn(&f, 4, 30, cases[i].tasks);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_string_equal(a.findings[0].rule->id, cases[i].rule);
		assert_int_equal(a.findings[0].severity, SEVERITY_ERROR);
		if (i > 0)
			assert_non_null(strstr(a.findings[0].message, "cannot be told"));
		else
			assert_null(a.findings[0].site.function);
		analysis_done(&a);
	}
}

static void a_ring_tells_one_long_step_from_many_short_ones(void **state)
{
	(void)state;
	for (int64_t tasks = 1; tasks <= 4; tasks += 3) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_native(&f, 1, "hot", 1);
		sampled_turn(&f, 1, 120, NULL);
		for (int64_t t = 1; t <= tasks; t++) {
			fixture_task(&f, t, "worker");
			assert_int_equal(
				store_put_culprit(f.s,
						  &(struct store_culprit){.stall = 1,
									  .task = t,
									  .ns = MS(120 / tasks)}),
				0);
		}
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_string_equal(a.findings[0].rule->id,
				    tasks == 1 ? "cpu-hog" : "slow-iteration");
		assert_null(strstr(a.findings[0].message, "cannot be told"));
		analysis_done(&a);
	}
}

static void culprits(struct fixture *f, int64_t tasks, unsigned us_each)
{
	for (int64_t t = 1; t <= tasks; t++) {
		fixture_task(f, t, "worker");
		assert_int_equal(
			store_put_culprit(f->s, &(struct store_culprit){.stall = 1,
									.task = t,
									.ns = us_each * 1000ull}),
			0);
	}
}

static void short_steps_that_wait_are_told_beside_what_they_wait_for(void **state)
{
	(void)state;
	for (int64_t tasks = 1; tasks <= 10; tasks += 9) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_native(&f, 1, "nap", 1);
		fixture_stall(&f, 1, 1000, 120, LSC_CAUSE_SLEEP, NULL, 1);
		culprits(&f, tasks, 120000 / (unsigned)tasks);
		fixture_analyse(&f, &a);
		const struct finding *many = fixture_finding(&a, "slow-iteration");
		assert_non_null(fixture_finding(&a, "blocking-sleep"));
		assert_int_equal(a.nfindings, tasks == 1 ? 1 : 2);
		if (tasks == 1) {
			assert_null(many);
		} else {
			assert_non_null(many);
			assert_null(many->site.function);
			assert_int_equal(many->severity, SEVERITY_ERROR);
		}
		analysis_done(&a);
	}
}

static void of_hundreds_of_steps_the_longest_and_the_samples_tell(void **state)
{
	(void)state;
	for (int in_tasks = 0; in_tasks < 2; in_tasks++) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_native(&f, 1, "hot", 1);
		fixture_stall(&f, 1, 1000, 120, LSC_CAUSE_CPU_USER, NULL, 1);
		culprits(&f, 16, 200);
		for (int64_t i = 1; i <= 30; i++)
			assert_int_equal(
				store_put_sample(f.s, &(struct store_sample){.loop = 1,
									     .stall = 1,
									     .task = in_tasks * i,
									     .stack = 1,
									     .ts_ns = FIXTURE_START,
									     .ns = MS(4)}),
				0);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_string_equal(a.findings[0].rule->id,
				    in_tasks ? "slow-iteration" : "cpu-hog");
		if (!in_tasks) /* what took so long was no task */
			assert_non_null(strstr(a.findings[0].message, "cannot be told"));
		analysis_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_callbacks_in_one_turn_are_told_from_a_long_one),
		cmocka_unit_test(a_ring_tells_one_long_step_from_many_short_ones),
		cmocka_unit_test(short_steps_that_wait_are_told_beside_what_they_wait_for),
		cmocka_unit_test(of_hundreds_of_steps_the_longest_and_the_samples_tell),
	};

	return cmocka_run_group_tests_name("iteration", tests, NULL, NULL);
}
