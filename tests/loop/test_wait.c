/* SPDX-License-Identifier: MIT */
/* Shields, waiting for some, futures in the order of their ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "task.h"

static int await_it(void *arg)
{
	return lsc_await(arg);
}

static int sleep_long(void *arg)
{
	(void)arg;
	return lsc_sleep(LSC_NS_PER_S * 3600);
}

static int main_of_shield(void *arg)
{
	struct lsc_future *inner = lsc_future_new(), *shield = lsc_shield(inner);
	struct lsc_future *task = lsc_spawn(await_it, shield, NULL);

	(void)arg;
	lsc_yield();
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), -ECANCELED);
	assert_int_equal(lsc_is_cancelled(shield), 1);
	assert_int_equal(lsc_is_done(inner), 0); /* that is the point */
	lsc_unref(task);
	lsc_unref(shield);
	shield = lsc_shield(inner);
	struct lsc_future *dropped = lsc_shield(inner);
	lsc_unref(dropped);
	lsc_resolve(inner, 9);
	assert_int_equal(lsc_await(shield), 9);
	assert_int_equal(lsc_cancel(shield), 0);
	lsc_unref(shield);
	shield = lsc_shield(inner); /* of what has ended */
	assert_int_equal(lsc_result(shield), 9);
	lsc_unref(shield);
	lsc_unref(inner);
	return 0;
}

static void a_shield_takes_the_cancellation_and_leaves_the_inner_one(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_shield, NULL), 0);
}

/* ---- wait ---- */

#define MORE 20 /* than a wait keeps on the stack */

static void resolve(void *arg)
{
	lsc_resolve(arg, 1);
}

static void break_it(void *arg)
{
	lsc_resolve(arg, -EIO);
}

static int main_of_wait(void *arg)
{
	struct lsc_future *f[MORE];

	(void)arg;
	for (int i = 0; i < MORE; i++)
		f[i] = lsc_future_new();
	lsc_handle_unref(lsc_call_soon(resolve, f[3]));
	assert_int_equal(lsc_wait(f, MORE, LSC_FIRST_COMPLETED, UINT64_MAX), 1);
	assert_int_equal(lsc_is_done(f[3]), 1);
	assert_int_equal(lsc_wait(f, MORE, LSC_FIRST_COMPLETED, UINT64_MAX), 1); /* at once */
	assert_int_equal(lsc_wait(f, 3, LSC_ALL_COMPLETED, LSC_NS_PER_MS), 0);	 /* time is up */
	/* A cancelled one is no error. */
	lsc_cancel(f[4]);
	lsc_handle_unref(lsc_call_later(LSC_NS_PER_MS, resolve, f[0]));
	lsc_handle_unref(lsc_call_later(2 * LSC_NS_PER_MS, break_it, f[1]));
	assert_int_equal(lsc_wait(f, MORE, LSC_FIRST_ERROR, UINT64_MAX), 4);
	assert_int_equal(lsc_wait(f, 2, LSC_FIRST_ERROR, UINT64_MAX), 2);
	for (int i = 0; i < MORE; i++)
		lsc_handle_unref(lsc_call_soon(resolve, f[i]));
	assert_int_equal(lsc_wait(f, MORE, LSC_ALL_COMPLETED, UINT64_MAX), MORE);
	assert_int_equal(lsc_wait(f, MORE, LSC_FIRST_ERROR, UINT64_MAX), MORE);
	assert_int_equal(lsc_wait(f, 0, LSC_ALL_COMPLETED, 0), -EINVAL);
	assert_int_equal(lsc_wait(f, 1, (enum lsc_wait_for_what)9, 0), -EINVAL);
	for (int i = 0; i < MORE; i++)
		lsc_unref(f[i]);
	return 0;
}

static void waiting_ends_with_the_first_the_first_error_or_all(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_wait, NULL), 0);
	assert_int_equal(lsc_wait(NULL, 1, LSC_ALL_COMPLETED, 0), -EPERM);
}

static int wait_for_two(void *arg)
{
	return lsc_wait(arg, 2, LSC_ALL_COMPLETED, LSC_NS_PER_S * 3600);
}

static int main_of_cancelled_wait(void *arg)
{
	struct lsc_future *f[2] = {lsc_spawn(sleep_long, NULL, NULL), lsc_future_new()};
	struct lsc_future *task = lsc_spawn(wait_for_two, f, NULL);

	(void)arg;
	lsc_yield();
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), -ECANCELED);
	assert_int_equal(lsc_is_done(f[0]), 0); /* none of them is cancelled */
	lsc_unref(task);
	lsc_resolve(f[1], 0);
	lsc_cancel(f[0]);
	lsc_unref(f[0]);
	lsc_unref(f[1]);
	return 0;
}

static void a_cancelled_wait_cancels_nobody(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_cancelled_wait, NULL), 0);
}

/* ---- as completed ---- */

static int take_next(void *arg)
{
	struct lsc_future *f;

	return lsc_as_completed_next(arg, &f);
}

static int main_of_completed(void *arg)
{
	struct lsc_future *f[4], *next;

	(void)arg;
	for (int i = 0; i < 4; i++)
		f[i] = lsc_future_new();
	lsc_resolve(f[2], 0);
	struct lsc_as_completed *all = lsc_as_completed_new(f, 4);
	lsc_handle_unref(lsc_call_later(2 * LSC_NS_PER_MS, resolve, f[0]));
	lsc_handle_unref(lsc_call_later(LSC_NS_PER_MS, break_it, f[3]));
	assert_int_equal(lsc_as_completed_next(all, &next), 1);
	assert_ptr_equal(next, f[2]);
	assert_int_equal(lsc_as_completed_next(all, &next), 1);
	assert_ptr_equal(next, f[3]);
	assert_int_equal(lsc_as_completed_next(all, &next), 1);
	assert_ptr_equal(next, f[0]);
	/* One task at a time; cancelled, it takes none away. */
	struct lsc_future *task = lsc_spawn(take_next, all, NULL);
	lsc_yield();
	assert_int_equal(lsc_as_completed_next(all, &next), -EBUSY);
	lsc_resolve(f[1], 0);
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	assert_int_equal(lsc_as_completed_next(all, &next), 1);
	assert_ptr_equal(next, f[1]);
	assert_int_equal(lsc_as_completed_next(all, &next), 0);
	lsc_as_completed_free(all);
	for (int i = 0; i < 4; i++)
		lsc_unref(f[i]);
	f[0] = lsc_future_new();
	lsc_as_completed_free(lsc_as_completed_new(f, 1)); /* left behind */
	lsc_resolve(f[0], 0);
	lsc_unref(f[0]);
	assert_null(lsc_as_completed_free(NULL));
	return 0;
}

static void futures_come_in_the_order_of_their_ends(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_completed, NULL), 0);
	assert_null(lsc_as_completed_new(NULL, 0));
}

static struct lsc_future *foreign;

static int make_foreign(void *arg)
{
	(void)arg;
	foreign = lsc_future_new();
	lsc_resolve(foreign, 0);
	return 0;
}

static int main_of_foreign(void *arg)
{
	(void)arg;
	assert_int_equal(lsc_await(foreign), -EPERM);
	assert_null(lsc_shield(foreign));
	assert_null(lsc_gather(&foreign, 1, 0));
	assert_null(lsc_as_completed_new(&foreign, 1));
	assert_int_equal(lsc_wait(&foreign, 1, LSC_ALL_COMPLETED, 0), -EPERM);
	return 0;
}

/* A reference that outlives its loop does no harm, though it should not. */
static void futures_of_another_loop_are_refused(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(make_foreign, NULL), 0);
	assert_int_equal(lsc_is_done(foreign), 1);
	assert_int_equal(lsc_run(main_of_foreign, NULL), 0);
	assert_null(lsc_unref(foreign));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shield_takes_the_cancellation_and_leaves_the_inner_one),
		cmocka_unit_test(waiting_ends_with_the_first_the_first_error_or_all),
		cmocka_unit_test(a_cancelled_wait_cancels_nobody),
		cmocka_unit_test(futures_come_in_the_order_of_their_ends),
		cmocka_unit_test(futures_of_another_loop_are_refused),
	};
	return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
