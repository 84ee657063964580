/* SPDX-License-Identifier: MIT */
/* tracer/probes/clock: which comparison of two clocks counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "clock.h"

#define START 1000000000ull
#define FAR   (100 * CLOCK_APART)

static struct cpu_clock c;
static __u64 at; /* of the scheduler's clock */

static int clean(void **state)
{
	(void)state;
	c = (struct cpu_clock){0};
	at = START;
	return 0;
}

/* The next time that they are due to be compared, their distance is found to be so large. */
static void find(__u64 offset)
{
	at += CLOCK_AGE + 1;
	assert_false(clock_is_known(&c, at));
	clock_compare(&c, at, at + offset);
}

static void assert_known(__u64 offset)
{
	assert_int_equal(c.offset, offset);
	assert_true(clock_is_known(&c, at));
	assert_true(clock_is_known(&c, at + CLOCK_AGE));
	assert_false(clock_is_known(&c, at + CLOCK_AGE + 1));
}

static void assert_not_known(void)
{
	assert_false(clock_is_known(&c, at));
}

static void one_comparison_alone_does_not_count(void **state)
{
	(void)state;
	find(FAR);
	assert_not_known();
	find(FAR + CLOCK_APART);
	assert_known(FAR + CLOCK_APART);
}

static void a_first_comparison_that_the_second_denies_does_not_count_either(void **state)
{
	(void)state;
	find(5 * FAR);
	find(FAR); /* smaller than what was found, but nothing is known yet */
	assert_not_known();
	find(FAR - CLOCK_APART);
	assert_known(FAR - CLOCK_APART);
}

static void a_larger_distance_counts_when_it_is_found_twice(void **state)
{
	(void)state;
	find(FAR);
	find(FAR);
	find(2 * FAR);
	assert_not_known();
	assert_int_equal(c.offset, FAR);
	find(4 * FAR); /* larger again, and another one */
	assert_not_known();
	find(4 * FAR + CLOCK_APART);
	assert_known(4 * FAR + CLOCK_APART);
}

static void a_larger_distance_that_is_gone_the_next_time_never_counts(void **state)
{
	(void)state;
	find(FAR);
	find(FAR);
	for (int i = 0; i < 10; i++) {
		find(2 * FAR);
		assert_not_known();
		find(FAR);
		assert_known(FAR);
	}
}

static void a_smaller_distance_counts_at_once(void **state)
{
	(void)state;
	find(FAR);
	find(FAR);
	find(FAR / 2);
	assert_known(FAR / 2);
	find(FAR); /* what was known before is a larger one now */
	assert_not_known();
}

static void a_distance_that_drifts_is_followed_either_way(void **state)
{
	__u64 offset = FAR;

	(void)state;
	find(offset);
	find(offset);
	for (int i = 0; i < 1000; i++) {
		find(offset += CLOCK_APART);
		assert_known(offset);
	}
	for (int i = 0; i < 1000; i++) {
		find(offset -= CLOCK_APART);
		assert_known(offset);
	}
	find(offset + CLOCK_APART + 1);
	assert_not_known();
	find(offset + FAR);
	assert_not_known();
	find(offset + CLOCK_APART); /* since what is known, not since what was found last */
	assert_known(offset + CLOCK_APART);
}

/* The scheduler's clock is ahead of CLOCK_MONOTONIC, and then behind it. */
static void a_distance_may_be_negative(void **state)
{
	(void)state;
	find(-FAR);
	assert_not_known();
	find(-FAR);
	assert_known(-FAR);
	assert_int_equal(at + c.offset, at - FAR);
	find(-2 * FAR); /* smaller */
	assert_known(-2 * FAR);
	find(FAR); /* larger */
	assert_not_known();
	find(FAR);
	assert_known(FAR);
	find(-CLOCK_APART / 2); /* across zero */
	assert_known(-CLOCK_APART / 2);
	find(CLOCK_APART / 2);
	assert_known(CLOCK_APART / 2);
}

/* As when its CPU was not there for a while. */
static void a_clock_that_stands_before_its_last_comparison_is_compared(void **state)
{
	(void)state;
	find(FAR);
	find(FAR);
	assert_false(clock_is_known(&c, at - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_comparison_alone_does_not_count, clean),
		cmocka_unit_test_setup(
			a_first_comparison_that_the_second_denies_does_not_count_either, clean),
		cmocka_unit_test_setup(a_larger_distance_counts_when_it_is_found_twice, clean),
		cmocka_unit_test_setup(a_larger_distance_that_is_gone_the_next_time_never_counts,
				       clean),
		cmocka_unit_test_setup(a_smaller_distance_counts_at_once, clean),
		cmocka_unit_test_setup(a_distance_that_drifts_is_followed_either_way, clean),
		cmocka_unit_test_setup(a_distance_may_be_negative, clean),
		cmocka_unit_test_setup(a_clock_that_stands_before_its_last_comparison_is_compared,
				       clean),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
