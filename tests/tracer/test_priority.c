/* SPDX-License-Identifier: MIT */
/* tracer/priority: in the real-time class, as long as the process needs little. Needs CAP_SYS_NICE.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"
#include "priority.h"

#define SKIPPED 77 /* to ctest */
#define LOOK	(100 * LSC_NS_PER_MS)

static bool is_urgent(void)
{
	return (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_RR;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void compute(uint64_t ns)
{
	uint64_t until = cpu_ns() + ns;

	while (cpu_ns() < until)
		;
}

static void begin(struct priority *p)
{
	priority_begin(p, 0);
	assert_false(p->refused);
	assert_true(is_urgent());
}

static bool is_permitted(void)
{
	struct sched_param first = {.sched_priority = 1}, usual = {0};

	return !sched_setscheduler(0, SCHED_RR, &first) &&
	       !sched_setscheduler(0, SCHED_OTHER, &usual);
}

static int stop(void **state)
{
	struct sched_param usual = {0};

	(void)state;
	return sched_setscheduler(0, SCHED_OTHER, &usual);
}

static void one_that_needs_much_is_one_among_others_until_it_has_been_calm(void **state)
{
	struct priority p;
	uint64_t now = 0;

	(void)state;
	begin(&p);
	compute(LOOK / 3);
	priority_steer(&p, false, now += LOOK);
	assert_false(is_urgent());
	for (int i = 0; i < 9; i++) {
		priority_steer(&p, false, now += LOOK);
		assert_false(is_urgent());
	}
	priority_steer(&p, false, now += LOOK);
	assert_true(is_urgent());
}

static void a_flood_is_not_waited_out(void **state)
{
	struct priority p;

	(void)state;
	begin(&p);
	priority_steer(&p, true, 1);
	assert_false(is_urgent());
}

static void after_its_end_there_is_no_haste(void **state)
{
	struct priority p;
	uint64_t now = 0;

	(void)state;
	begin(&p);
	priority_end(&p);
	for (int i = 0; i < 30; i++)
		priority_steer(&p, false, now += LOOK);
	assert_false(is_urgent());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			one_that_needs_much_is_one_among_others_until_it_has_been_calm, stop),
		cmocka_unit_test_teardown(a_flood_is_not_waited_out, stop),
		cmocka_unit_test_teardown(after_its_end_there_is_no_haste, stop),
	};

	if (!is_permitted()) {
		puts("skipped: the real-time class is not permitted; CAP_SYS_NICE would give it");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
