/* SPDX-License-Identifier: MIT */
/* tracer/feed_kernel: no account of the kernel goes by unsaid, whatever the ring tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "feed_kernel.h"

#define MS    1000000ull
#define LEAST (10 * MS)

static struct feed_kernel k;

static int clean(void **state)
{
	(void)state;
	memset(&k, 0, sizeof(k));
	return 0;
}

static struct event_stall account(uint64_t begin_ms, uint64_t end_ms)
{
	return (struct event_stall){.e.kind = EVENT_STALL,
				    .begin_ns = begin_ms * MS,
				    .end_ns = end_ms * MS,
				    .low_ns = (end_ms - begin_ms) * MS};
}

static void add(uint64_t begin_ms, uint64_t end_ms)
{
	struct event_stall e = account(begin_ms, end_ms);

	assert_true(feed_kernel_add(&k, &e));
}

static void told(uint64_t begin_ms, uint64_t end_ms)
{
	feed_kernel_told(&k, begin_ms * MS, end_ms * MS, LEAST);
}

static void assert_nothing_untold(void)
{
	struct event_stall e;
	bool part;

	assert_false(feed_kernel_untold(&k, UINT64_MAX, LEAST, &e, &part));
}

/* What is untold next. Returns whether it is a part. */
static bool assert_untold(uint64_t open_ns, uint64_t begin_ms, uint64_t end_ms,
			  struct event_stall *ret)
{
	bool part;

	assert_true(feed_kernel_untold(&k, open_ns, LEAST, ret, &part));
	assert_int_equal(ret->begin_ns, begin_ms * MS);
	assert_int_equal(ret->end_ns, end_ms * MS);
	return part;
}

static void a_tick_of_the_ring_has_its_account(void **state)
{
	(void)state;
	add(100, 150);
	told(100, 150);
	const struct event_stall *e = feed_kernel_find(&k, 100 * MS, 150 * MS);
	assert_non_null(e);
	assert_int_equal(e->end_ns, 150 * MS);
	assert_null(feed_kernel_find(&k, 150 * MS, 200 * MS));
	assert_nothing_untold();
}

static void many_short_ticks_without_a_pause_are_told_by_the_ring(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 500; i++)
		told(100 + i, 101 + i);
	add(100, 600);
	assert_nothing_untold();
}

static void an_account_without_a_tick_is_untold_once(void **state)
{
	struct event_stall e;

	(void)state;
	told(10, 20);
	add(100, 150);
	assert_false(assert_untold(UINT64_MAX, 100, 150, &e));
	assert_int_equal(e.low_ns, 50 * MS);
	assert_nothing_untold();
	told(200, 210); /* the ring goes on */
	add(300, 350);
	told(300, 350);
	assert_nothing_untold();
}

static void a_silence_is_remembered_until_its_account_comes(void **state)
{
	struct event_stall e;

	(void)state;
	told(10, 20);
	told(200, 210);
	told(215, 220);
	add(100, 150);
	assert_false(assert_untold(UINT64_MAX, 100, 150, &e));
}

static void a_tick_that_goes_on_is_the_rings_to_tell(void **state)
{
	struct event_stall e;
	bool part;

	(void)state;
	told(10, 20);
	add(100, 150);
	assert_false(feed_kernel_untold(&k, 100 * MS, LEAST, &e, &part));
}

static void what_is_cut_off_keeps_what_is_certain_of_it(void **state)
{
	struct event_stall e = account(100, 200);

	(void)state;
	told(90, 110);
	told(170, 200);
	e.low_ns = e.certain_ns = e.longest_block_ns = 30 * MS;
	e.certain_start_ns = e.longest_block_start_ns = 120 * MS;
	assert_true(feed_kernel_add(&k, &e));
	assert_true(assert_untold(UINT64_MAX, 110, 170, &e));
	assert_int_equal(e.low_ns, 30 * MS);
	assert_int_equal(e.longest_block_ns, 30 * MS);
}

static void what_is_certain_of_another_part_is_not_certain_of_this(void **state)
{
	struct event_stall e = account(100, 200);

	(void)state;
	told(90, 110);
	told(150, 200);
	e.low_ns = e.certain_ns = e.longest_block_ns = 30 * MS;
	e.certain_start_ns = e.longest_block_start_ns = 160 * MS;
	assert_true(feed_kernel_add(&k, &e));
	assert_true(assert_untold(UINT64_MAX, 110, 150, &e));
	assert_int_equal(e.low_ns, 0);
	assert_int_equal(e.certain_ns, 0);
	assert_int_equal(e.longest_block_ns, 0);
}

static void a_silence_below_the_threshold_is_nothing(void **state)
{
	(void)state;
	told(90, 109);
	told(118, 200);
	add(100, 200);
	assert_nothing_untold();
}

static void the_end_of_the_thread_ends_the_tick_that_goes_on(void **state)
{
	struct event_stall e = account(100, 150), part;
	bool is_part;

	(void)state;
	told(10, 20);
	assert_null(feed_kernel_last(&k, 100 * MS));
	assert_true(feed_kernel_add(&k, &e));
	assert_null(feed_kernel_last(&k, 100 * MS)); /* it ended in a wait */
	e.exited = 1;
	e.begin_ns = 160 * MS;
	e.end_ns = 200 * MS;
	assert_true(feed_kernel_add(&k, &e));
	assert_null(feed_kernel_last(&k, 200 * MS));
	const struct event_stall *last = feed_kernel_last(&k, 161 * MS);
	assert_non_null(last);
	assert_int_equal(last->end_ns, 200 * MS);
	assert_true(feed_kernel_untold(&k, UINT64_MAX, LEAST, &part, &is_part));
	assert_int_equal(part.end_ns, 150 * MS); /* the one before: the last is settled */
	assert_nothing_untold();
}

static void one_that_gives_way_before_it_was_compared_is_said(void **state)
{
	struct event_stall e = account(100, 150);

	(void)state;
	for (int i = 0; i < FEED_KERNEL_ACCOUNTS; i++)
		add(100, 150);
	assert_false(feed_kernel_add(&k, &e));
	for (int i = 0; i < FEED_KERNEL_ACCOUNTS; i++)
		assert_false(assert_untold(UINT64_MAX, 100, 150, &e));
	assert_nothing_untold();
	add(100, 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_tick_of_the_ring_has_its_account, clean),
		cmocka_unit_test_setup(many_short_ticks_without_a_pause_are_told_by_the_ring,
				       clean),
		cmocka_unit_test_setup(an_account_without_a_tick_is_untold_once, clean),
		cmocka_unit_test_setup(a_silence_is_remembered_until_its_account_comes, clean),
		cmocka_unit_test_setup(a_tick_that_goes_on_is_the_rings_to_tell, clean),
		cmocka_unit_test_setup(what_is_cut_off_keeps_what_is_certain_of_it, clean),
		cmocka_unit_test_setup(what_is_certain_of_another_part_is_not_certain_of_this,
				       clean),
		cmocka_unit_test_setup(a_silence_below_the_threshold_is_nothing, clean),
		cmocka_unit_test_setup(the_end_of_the_thread_ends_the_tick_that_goes_on, clean),
		cmocka_unit_test_setup(one_that_gives_way_before_it_was_compared_is_said, clean),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
