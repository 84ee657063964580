/* SPDX-License-Identifier: MIT */
/* Requests to end beside what else ends a task: its errors, the errors of its group, time that is
 * up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"

/* ---- errors ---- */

static int fail_when_asked(void *arg)
{
	(void)arg;
	lsc_cancel(lsc_current_task());
	return -EIO;
}

static int main_of_error(void *arg)
{
	struct lsc_future *task = lsc_spawn(fail_when_asked, NULL, "fails");
	int r = lsc_await(task);

	(void)arg;
	lsc_unref(task);
	return r;
}

static void an_error_is_not_lost_to_a_request_that_no_suspension_met(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_error, NULL), -EIO);
}

/* ---- groups ---- */

static int fail_at_once(void *arg)
{
	(void)arg;
	return -EIO;
}

static int fail_to_end(void *arg)
{
	(void)arg;
	return lsc_sleep(LSC_NS_PER_S * 3600) == -ECANCELED ? -EIO : 0;
}

static int main_of_awaited_child(void *arg)
{
	struct lsc_group *group = lsc_group_new();
	struct lsc_future *child = lsc_group_spawn(group, fail_at_once, NULL, NULL);

	(void)arg;
	/* the group hears of it first, and asks its parent, which still awaits what has ended */
	int r = lsc_await(child);
	lsc_unref(child);
	assert_int_equal(r, -ECANCELED);
	assert_int_equal(lsc_cancelling(lsc_current_task()), 1);
	assert_int_equal(lsc_yield(), 0); /* that was the answer */
	assert_int_equal(lsc_group_end(group, -ECANCELED), -EIO);
	assert_int_equal(lsc_cancelling(lsc_current_task()), 0);
	return 0;
}

static void a_request_is_not_lost_on_what_has_just_ended(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_awaited_child, NULL), 0);
}

static int main_of_cancelled_body(void *arg)
{
	struct lsc_future *cancelled = lsc_future_new();
	struct lsc_group *group = lsc_group_new();

	(void)arg;
	lsc_cancel(cancelled);
	lsc_unref(lsc_group_spawn(group, fail_to_end, NULL, "fails"));
	lsc_yield();
	int r = lsc_await(cancelled);
	lsc_unref(cancelled);
	assert_int_equal(r, -ECANCELED);
	assert_int_equal(lsc_group_end(group, r), -EIO);
	return lsc_yield(); /* nobody has asked this task to end */
}

static void a_body_that_met_a_cancelled_future_is_no_request(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_cancelled_body, NULL), 0);
}

static int swallow_and_group(void *arg)
{
	struct lsc_group *group;

	(void)arg;
	assert_int_equal(lsc_sleep(LSC_NS_PER_S * 3600), -ECANCELED); /* and not uncancelled */
	group = lsc_group_new();
	lsc_unref(lsc_group_spawn(group, fail_at_once, NULL, "fails"));
	assert_int_equal(lsc_group_end(group, 0), -EIO);
	assert_int_equal(lsc_yield(), -ECANCELED);
	return 0;
}

static int main_of_swallowed(void *arg)
{
	struct lsc_future *task = lsc_spawn(swallow_and_group, NULL, "swallows");

	(void)arg;
	lsc_yield();
	lsc_cancel(task);
	int r = lsc_await(task);
	lsc_unref(task);
	return r;
}

static void a_group_that_fails_asks_again_who_has_not_taken_a_request_back(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_swallowed, NULL), 0);
}

/* ---- gathers ---- */

static int main_of_endless_member(void *arg)
{
	struct lsc_future *members[2] = {lsc_future_new(), lsc_future_new()};
	struct lsc_future *all = lsc_gather(members, 2, 0);
	uint32_t refs = lsc_loop_current()->refs;

	(void)arg;
	assert_int_equal(lsc_resolve(members[0], -EIO), 0);
	assert_int_equal(lsc_await(all), -EIO);
	lsc_unref(all);
	lsc_unref(members[0]);
	lsc_unref(members[1]);
	assert_int_equal(lsc_loop_current()->refs, refs - 3); /* one of each future */
	return 0;
}

static void a_member_that_never_ends_does_not_keep_its_gather(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_endless_member, NULL), 0);
}

/* ---- gathers ---- */

#define DIAMONDS 60 /* ways double with each */

static int sleep_long(void *arg)
{
	(void)arg;
	return lsc_sleep(LSC_NS_PER_S * 3600);
}

static int main_of_diamonds(void *arg)
{
	struct lsc_future *all = lsc_spawn(sleep_long, arg, "sleeps");

	lsc_yield();
	for (int i = 0; i < DIAMONDS; i++) {
		struct lsc_future *twice[] = {all, all}, *outer = lsc_gather(twice, 2, 0);

		assert_non_null(outer);
		lsc_unref(all);
		all = outer;
	}
	lsc_cancel(all);
	int r = lsc_await(all);
	lsc_unref(all);
	return r;
}

static void a_gather_is_asked_once_however_many_ways_lead_to_it(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_diamonds, NULL), -ECANCELED);
}

/* ---- time that is up ---- */

static int main_of_no_time(void *arg)
{
	struct lsc_timeout timeout;

	(void)arg;
	lsc_timeout_begin(&timeout, 0);
	assert_int_equal(lsc_timeout_end(&timeout, lsc_yield()), -ETIMEDOUT);
	lsc_timeout_begin_at(&timeout, 1);
	assert_int_equal(lsc_timeout_end(&timeout, lsc_yield()), -ETIMEDOUT);
	lsc_timeout_begin(&timeout, UINT64_MAX);
	assert_int_equal(lsc_timeout_reschedule(&timeout, lsc_time()), 0);
	assert_int_equal(lsc_timeout_end(&timeout, lsc_yield()), -ETIMEDOUT);
	/* One that is ended before its turn asks nobody. */
	lsc_timeout_begin(&timeout, 0);
	assert_int_equal(lsc_timeout_end(&timeout, 7), 7);
	return lsc_yield();
}

static void time_that_is_up_ends_the_next_suspension(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_no_time, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_is_not_lost_to_a_request_that_no_suspension_met),
		cmocka_unit_test(a_request_is_not_lost_on_what_has_just_ended),
		cmocka_unit_test(a_body_that_met_a_cancelled_future_is_no_request),
		cmocka_unit_test(a_group_that_fails_asks_again_who_has_not_taken_a_request_back),
		cmocka_unit_test(a_member_that_never_ends_does_not_keep_its_gather),
		cmocka_unit_test(a_gather_is_asked_once_however_many_ways_lead_to_it),
		cmocka_unit_test(time_that_is_up_ends_the_next_suspension),
	};

	return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
