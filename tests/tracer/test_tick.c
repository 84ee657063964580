/* SPDX-License-Identifier: MIT */
/* tracer/tick: bounds and split of a tick from the kernel side's account. Times in ms here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "chance.h"
#include "tick.h"

#define MS(x) ((uint64_t)((x)*1000000))

static struct event_stall busy(double begin, double end, double low)
{
	return (struct event_stall){.begin_ns = MS(begin), .end_ns = MS(end), .low_ns = MS(low)};
}

static void assert_tick_of(uint64_t prelude, const struct event_stall *e, double begin,
			   double duration)
{
	uint64_t b, d;

	tick_bounds(e, prelude, &b, &d);
	assert_int_equal(b, MS(begin));
	assert_int_equal(d, MS(duration));
}

static void assert_tick(const struct event_stall *e, double begin, double duration)
{
	assert_tick_of(TICK_PRELUDE_NS, e, begin, duration);
}

static void a_tick_that_is_certain_keeps_its_bounds(void **state)
{
	(void)state;
	struct event_stall e = busy(100, 400, 300);

	assert_tick(&e, 100, 300);
}

static void a_computing_tick_began_at_the_wake_up_unless_little_of_it_is_certain(void **state)
{
	(void)state;
	struct event_stall e = busy(100, 220, 110);

	assert_tick(&e, 100, 120);
	e = busy(0, 220, 110); /* half of it may have been other ticks */
	assert_tick(&e, 110, 110);
}

static void what_led_to_a_block_belongs_to_its_tick_but_not_a_long_past(void **state)
{
	(void)state;
	struct event_stall e = busy(96, 401, 301); /* 4 ms of work, then 300 ms asleep, then 1 */

	e.certain_ns = MS(300);
	e.certain_start_ns = MS(100);
	assert_tick(&e, 96, 305);
	e.begin_ns = MS(90); /* 10 ms of a loop that does not rest */
	assert_tick(&e, 100, 301);
	assert_tick_of(TICK_PRELUDE_RESTS_NS, &e, 90, 311);
	e.begin_ns = MS(70);
	assert_tick_of(TICK_PRELUDE_RESTS_NS, &e, 100, 301);
	e = busy(98, 131, 31); /* short block: 2 ms before it are much */
	e.certain_ns = MS(30);
	e.certain_start_ns = MS(100);
	assert_tick(&e, 100, 31);
}

static void a_tick_ends_where_it_ended_whatever_block_it_holds(void **state)
{
	(void)state;
	struct event_stall e =
		busy(100, 424, 318); /* certain from 106 on; the longest block later */

	e.certain_ns = MS(160);
	e.certain_start_ns = MS(264);
	assert_tick(&e, 106, 318);
	e.low_ns = e.certain_ns; /* nothing but that block is certain */
	assert_tick(&e, 264, 160);
}

static void time_that_no_clock_knows_is_unexplained(void **state)
{
	(void)state;
	struct event_stall e = busy(0, 100, 100);

	e.cpu_ns = MS(95); /* within the slack of the clocks */
	assert_int_equal(tick_unexplained(&e), 0);
	e.cpu_ns = MS(20);
	assert_int_equal(tick_unexplained(&e), MS(80));
	e.split[LSC_CAUSE_SLEEP] = MS(75);
	assert_int_equal(tick_unexplained(&e), 0);
	e.cpu_ns = MS(500); /* a stale clock at the begin */
	assert_int_equal(tick_unexplained(&e), 0);
}

static void what_a_sleep_ends_is_exact_to_the_last(void **state)
{
	(void)state;
	struct event_stall e = busy(0, 100, 100);

	e.cpu_ns = MS(95);
	e.split[LSC_CAUSE_RUNQUEUE] = MS(2);
	assert_int_equal(tick_taken(&e), MS(3));
	e.precise = 1; /* the clock may be a scheduler tick old */
	assert_int_equal(tick_taken(&e), 0);
	e.precise = 0;
	e.exited = 1;
	assert_int_equal(tick_taken(&e), 0);
	e.exited = 0;
	e.split[LSC_CAUSE_OTHER] = MS(3); /* told already */
	assert_int_equal(tick_taken(&e), 0);
}

static uint64_t sum_of(const uint64_t split[LSC_CAUSE_COUNT])
{
	uint64_t sum = 0;

	for (int i = 0; i < LSC_CAUSE_COUNT; i++)
		sum += split[i];
	return sum;
}

static void the_rest_was_spent_on_the_cpu_in_the_modes_of_the_samples(void **state)
{
	(void)state;
	uint64_t split[LSC_CAUSE_COUNT] = {[LSC_CAUSE_SLEEP] = MS(20)};

	tick_split_close(split, MS(100), 3, 1);
	assert_int_equal(split[LSC_CAUSE_CPU_USER], MS(60));
	assert_int_equal(split[LSC_CAUSE_CPU_KERNEL], MS(20));
	assert_int_equal(sum_of(split), MS(100));
	assert_int_equal(tick_top_cause(split), LSC_CAUSE_CPU_USER);
}

static void what_the_thread_did_itself_is_not_the_hosts(void **state)
{
	(void)state;
	uint64_t split[LSC_CAUSE_COUNT] = {[LSC_CAUSE_RUNQUEUE] = MS(30),
					   [LSC_CAUSE_STEAL] = MS(20),
					   [LSC_CAUSE_THROTTLED] = MS(20),
					   [LSC_CAUSE_GIL] = MS(10),
					   [LSC_CAUSE_SLEEP] = MS(5)};

	assert_int_equal(tick_own_cause(split), LSC_CAUSE_GIL);
	split[LSC_CAUSE_CPU_USER] = MS(11);
	assert_int_equal(tick_own_cause(split), LSC_CAUSE_CPU_USER);
	split[LSC_CAUSE_CPU_USER] = split[LSC_CAUSE_GIL] = split[LSC_CAUSE_SLEEP] = 0;
	assert_int_equal(tick_own_cause(split), LSC_CAUSE_RUNQUEUE);
}

static void what_lay_outside_is_not_taken_from_the_block(void **state)
{
	(void)state;
	uint64_t split[LSC_CAUSE_COUNT] = {
		[LSC_CAUSE_SLEEP] = MS(30), [LSC_CAUSE_RUNQUEUE] = MS(2), [LSC_CAUSE_LOCK] = MS(1)};

	tick_split_close(split, MS(31), 5, 5);
	assert_int_equal(split[LSC_CAUSE_SLEEP], MS(30));
	assert_int_equal(split[LSC_CAUSE_RUNQUEUE], 0);
	assert_int_equal(split[LSC_CAUSE_LOCK], MS(1));
	tick_split_close(split, MS(10), 0, 0);
	assert_int_equal(split[LSC_CAUSE_SLEEP], MS(10));
	assert_int_equal(sum_of(split), MS(10));
}

static void what_neither_blocks_nor_the_cpu_explain_is_unknown(void **state)
{
	(void)state;
	uint64_t split[LSC_CAUSE_COUNT] = {[LSC_CAUSE_SLEEP] = MS(20)};

	assert_int_equal(tick_unknown(split, MS(100), 0), MS(80));
	assert_int_equal(tick_unknown(split, MS(100), MS(30)), MS(50));
	assert_int_equal(tick_unknown(split, MS(100), MS(90)), 0);
}

static void any_split_sums_to_its_duration(void **state)
{
	(void)state;
	chance_seed();
	for (int i = 0; i < 20000; i++) {
		uint64_t split[LSC_CAUSE_COUNT], duration = (uint64_t)rand() % MS(1000) + 1;
		for (int k = 0; k < LSC_CAUSE_COUNT; k++)
			split[k] = rand() % 3 ? 0 : (uint64_t)rand() % MS(300);
		tick_split_close(split, duration, (uint64_t)rand() % 9, (uint64_t)rand() % 9);
		assert_int_equal(sum_of(split), duration);
	}
}

static void what_was_waited_for_a_cpu_is_sure_whatever_tick_it_was_in(void **state)
{
	(void)state;
	__u64 split[PROBE_CAUSES] = {0};

	assert_int_equal(tick_unsure(MS(100), MS(20), split, MS(10)), MS(80));
	split[LSC_CAUSE_SLEEP] = MS(15);
	assert_int_equal(tick_unsure(MS(100), MS(20), split, MS(10)), MS(80));
	split[LSC_CAUSE_RUNQUEUE] = MS(50);
	split[LSC_CAUSE_THROTTLED] = MS(20);
	assert_int_equal(tick_unsure(MS(100), MS(20), split, MS(10)), MS(30));
	assert_int_equal(tick_unsure(MS(100), MS(90), split, MS(10)), MS(10));
	assert_int_equal(tick_unsure(MS(100), MS(95.1), split, MS(10)),
			 0);		     /* too little to hide in */
	split[LSC_CAUSE_RUNQUEUE] = MS(500); /* never less than nothing */
	assert_int_equal(tick_unsure(MS(100), MS(20), split, MS(10)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tick_that_is_certain_keeps_its_bounds),
		cmocka_unit_test(a_tick_ends_where_it_ended_whatever_block_it_holds),
		cmocka_unit_test(what_was_waited_for_a_cpu_is_sure_whatever_tick_it_was_in),
		cmocka_unit_test(
			a_computing_tick_began_at_the_wake_up_unless_little_of_it_is_certain),
		cmocka_unit_test(what_led_to_a_block_belongs_to_its_tick_but_not_a_long_past),
		cmocka_unit_test(time_that_no_clock_knows_is_unexplained),
		cmocka_unit_test(what_a_sleep_ends_is_exact_to_the_last),
		cmocka_unit_test(the_rest_was_spent_on_the_cpu_in_the_modes_of_the_samples),
		cmocka_unit_test(what_the_thread_did_itself_is_not_the_hosts),
		cmocka_unit_test(what_lay_outside_is_not_taken_from_the_block),
		cmocka_unit_test(what_neither_blocks_nor_the_cpu_explain_is_unknown),
		cmocka_unit_test(any_split_sums_to_its_duration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
