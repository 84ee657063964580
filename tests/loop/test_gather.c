/* SPDX-License-Identifier: MIT */
/* Plain futures and gathers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"

/* Three gates in reverse order: the results still come in the order of the members. */
static int main_of_order(void *arg)
{
	struct lsc_future *m[3];
	int results[3] = {0, 0, 0};

	(void)arg;
	for (int i = 0; i < 3; i++)
		m[i] = lsc_future_new();
	struct lsc_future *g = lsc_gather(m, 3, LSC_GATHER_ALL);
	assert_int_equal(lsc_gather_results(g, results, 3), -EAGAIN);
	for (int i = 2; i >= 0; i--) {
		assert_int_equal(lsc_is_done(g), 0);
		lsc_resolve(m[i], i == 1 ? -EPIPE : 10 + i);
		lsc_unref(m[i]); /* the gather has references of its own */
	}
	assert_int_equal(lsc_await(g), 0);
	assert_int_equal(lsc_gather_results(g, results, 2), -ENOSPC);
	assert_int_equal(results[0], 0);
	assert_int_equal(lsc_gather_results(g, results, 3), 3);
	assert_int_equal(results[0], 10);
	assert_int_equal(results[1], -EPIPE);
	assert_int_equal(results[2], 12);
	lsc_unref(g);
	return 0;
}

static void results_come_in_the_order_of_the_members(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_order, NULL), 0);
}

static int main_of_failure(void *arg)
{
	struct lsc_future *m[2] = {lsc_future_new(), lsc_future_new()};
	struct lsc_future *g = lsc_gather(m, 2, 0);

	(void)arg;
	lsc_resolve(m[1], -EIO);
	assert_int_equal(lsc_result(g), -EIO);
	assert_int_equal(lsc_is_done(m[0]), 0);
	assert_int_equal(lsc_gather_results(g, &(int){0}, 1), -EAGAIN);
	lsc_resolve(m[0], 1);
	/* A gather of what has ended ends at once. */
	struct lsc_future *again = lsc_gather(m, 2, 0), *none = lsc_gather(NULL, 0, 0);
	assert_int_equal(lsc_result(again), -EIO);
	assert_int_equal(lsc_result(none), 0);
	assert_int_equal(lsc_gather_results(m[0], &(int){0}, 1), -EINVAL);
	lsc_unref(none);
	lsc_unref(again);
	lsc_unref(g);
	lsc_unref(m[0]);
	lsc_unref(m[1]);
	return 0;
}

static void the_first_failure_ends_a_gather_unless_it_waits_for_all(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_failure, NULL), 0);
}

/* Cleans up for a while after it was cancelled. */
static int unwind_slowly(void *arg)
{
	int *ended = arg;
	struct lsc_future *never = lsc_future_new();

	assert_int_equal(lsc_await(never), -ECANCELED);
	lsc_unref(never);
	for (int i = 0; i < 3; i++)
		assert_int_equal(lsc_yield(), 0);
	++*ended;
	return -ECANCELED;
}

static int main_of_cancel(void *arg)
{
	int ended = 0;
	struct lsc_future *m[3] = {
		lsc_future_new(),
		lsc_spawn(unwind_slowly, &ended, NULL),
		lsc_spawn(unwind_slowly, &ended, NULL),
	};
	struct lsc_future *inner = lsc_gather(&m[1], 2, LSC_GATHER_ALL);
	struct lsc_future *outer = lsc_gather((struct lsc_future *[]){m[0], inner}, 2, 0);

	(void)arg;
	lsc_yield();
	assert_int_equal(lsc_cancel(outer), 1);
	assert_int_equal(lsc_result(m[0]), -ECANCELED);
	assert_int_equal(lsc_is_done(outer), 0);
	assert_int_equal(lsc_await(outer), -ECANCELED);
	assert_int_equal(ended, 2);
	assert_int_equal(lsc_result(inner), -ECANCELED);
	assert_int_equal(lsc_cancel(outer), 0);
	lsc_unref(outer);
	lsc_unref(inner);
	for (int i = 0; i < 3; i++)
		lsc_unref(m[i]);
	return 0;
}

static void a_cancelled_gather_ends_after_its_last_member(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_cancel, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_come_in_the_order_of_the_members),
		cmocka_unit_test(the_first_failure_ends_a_gather_unless_it_waits_for_all),
		cmocka_unit_test(a_cancelled_gather_ends_after_its_last_member),
	};
	return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
