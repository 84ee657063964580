/* SPDX-License-Identifier: MIT */
/* Task groups and timeouts: what ends with a scope. */
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

static char log_text[64];

static int sleep_long(void *arg)
{
	int r = lsc_sleep(LSC_NS_PER_S * 3600);

	strcat(log_text, arg ? arg : "");
	return r;
}

static int yield_and_return(void *arg)
{
	assert_int_equal(lsc_yield(), 0);
	return *(int *)arg;
}

/* ---- groups ---- */

static int main_of_join(void *arg)
{
	int results[3] = {0, 5, 7};
	struct lsc_group *group = lsc_group_new();
	struct lsc_future *children[3];

	(void)arg;
	for (int i = 0; i < 3; i++)
		children[i] = lsc_group_spawn(group, yield_and_return, &results[i], "child");
	assert_int_equal(lsc_group_end(group, 4), 4);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lsc_result(children[i]), results[i]);
		lsc_unref(children[i]);
	}
	assert_int_equal(lsc_group_end(lsc_group_new(), 2), 2); /* no children */
	return 0;
}

static void the_end_of_a_group_joins_its_children(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_join, NULL), 0);
	assert_null(lsc_group_new());
}

static int main_of_failure(void *arg)
{
	static int error = -EPROTO;
	struct lsc_group *group = lsc_group_new();

	(void)arg;
	log_text[0] = '\0';
	lsc_unref(lsc_group_spawn(group, sleep_long, "a", NULL));
	lsc_unref(lsc_group_spawn(group, yield_and_return, &error, NULL));
	lsc_unref(lsc_group_spawn(group, sleep_long, "b", NULL));
	/* It ends the body, too. */
	assert_int_equal(lsc_sleep(LSC_NS_PER_S * 3600), -ECANCELED);
	assert_null(lsc_group_spawn(group, sleep_long, "never", NULL));
	assert_int_equal(lsc_group_end(group, -ECANCELED), -EPROTO);
	assert_string_equal(log_text, "ab");
	/* That was between the group and its body: the task itself was not asked to end. */
	assert_int_equal(lsc_cancelling(lsc_current_task()), 0);
	assert_int_equal(lsc_yield(), 0);
	/* While the parent joins, only the children are ended. */
	group = lsc_group_new();
	lsc_unref(lsc_group_spawn(group, sleep_long, "c", NULL));
	lsc_unref(lsc_group_spawn(group, yield_and_return, &error, NULL));
	assert_int_equal(lsc_group_end(group, 0), -EPROTO);
	assert_string_equal(log_text, "abc");
	assert_int_equal(lsc_cancelling(lsc_current_task()), 0);
	return 0;
}

static void the_first_child_that_fails_ends_the_others_and_the_body(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_failure, NULL), 0);
}

static int body_with_group(void *arg)
{
	struct lsc_group *group = lsc_group_new();

	lsc_unref(lsc_group_spawn(group, sleep_long, "child ", NULL));
	int r = arg ? lsc_sleep(LSC_NS_PER_S * 3600) : 0;
	return lsc_group_end(group, r);
}

static int main_of_cancelled_groups(void *arg)
{
	(void)arg;
	for (int in_body = 0; in_body < 2; in_body++) {
		struct lsc_future *task = lsc_spawn(body_with_group, in_body ? "" : NULL, NULL);

		log_text[0] = '\0';
		lsc_yield();
		lsc_yield();
		lsc_cancel(task);
		assert_int_equal(lsc_await(task), -ECANCELED);
		assert_string_equal(log_text, "child ");
		lsc_unref(task);
	}
	/* The body's own error, and an error while the parent is asked to end. */
	struct lsc_group *group = lsc_group_new();
	lsc_unref(lsc_group_spawn(group, sleep_long, NULL, NULL));
	assert_int_equal(lsc_group_end(group, -EDOM), -EDOM);
	return 0;
}

static void cancelling_the_parent_cancels_the_children(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_cancelled_groups, NULL), 0);
}

static int fail_when_cancelled(void *arg)
{
	(void)arg;
	return lsc_sleep(LSC_NS_PER_S * 3600) == -ECANCELED ? -EIO : 0;
}

static int body_with_failing_child(void *arg)
{
	struct lsc_group *group = lsc_group_new();

	lsc_unref(lsc_group_spawn(group, fail_when_cancelled, NULL, NULL));
	assert_int_equal(lsc_group_end(group, 0), -EIO);
	/* The error went first; the request is still there. */
	*(int *)arg = lsc_yield();
	return 0;
}

static int end_group(void *arg)
{
	return lsc_group_end(arg, 0);
}

static int main_of_both(void *arg)
{
	int yielded = 0;
	struct lsc_future *task = lsc_spawn(body_with_failing_child, &yielded, NULL);

	(void)arg;
	lsc_yield();
	lsc_yield();
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), 0);
	assert_int_equal(yielded, -ECANCELED);
	lsc_unref(task);
	struct lsc_group *group = lsc_group_new();
	task = lsc_spawn(end_group, group, NULL);
	assert_int_equal(lsc_await(task), -EPERM); /* not its parent */
	lsc_unref(task);
	assert_int_equal(lsc_group_end(group, 0), 0);
	return 0;
}

static void a_request_is_not_lost_behind_a_childs_error(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_both, NULL), 0);
}

/* ---- timeouts ---- */

static int main_of_timeouts(void *arg)
{
	struct lsc_timeout t, outer, inner;

	(void)arg;
	uint64_t begin_ns = lsc_time();
	assert_int_equal(lsc_timeout_begin(&t, LSC_NS_PER_MS), 0);
	int r = lsc_sleep(LSC_NS_PER_S * 3600);
	assert_int_equal(lsc_timeout_expired(&t), 1);
	assert_int_equal(lsc_timeout_reschedule(&t, UINT64_MAX), -EALREADY);
	assert_int_equal(lsc_timeout_end(&t, r), -ETIMEDOUT);
	assert_true(lsc_time() - begin_ns >= LSC_NS_PER_MS);
	assert_int_equal(lsc_cancelling(lsc_current_task()), 0);
	/* In time; and a result in spite of the timeout stays a result. */
	assert_int_equal(lsc_timeout_begin(&t, LSC_NS_PER_S), 0);
	assert_int_equal(lsc_timeout_end(&t, lsc_yield()), 0);
	assert_int_equal(lsc_timeout_expired(&t), 0);
	assert_int_equal(lsc_timeout_begin(&t, 0), 0);
	assert_int_equal(lsc_sleep(LSC_NS_PER_S * 3600), -ECANCELED);
	assert_int_equal(lsc_timeout_end(&t, 5), 5);
	assert_int_equal(lsc_yield(), 0);
	/* Rescheduled to never. */
	assert_int_equal(lsc_timeout_begin(&t, LSC_NS_PER_MS), 0);
	assert_int_equal(lsc_timeout_reschedule(&t, UINT64_MAX), 0);
	assert_int_equal(lsc_timeout_end(&t, lsc_sleep(3 * LSC_NS_PER_MS)), 0);
	/* The outer one ends the inner one's body, and answers for it. */
	assert_int_equal(lsc_timeout_begin(&outer, LSC_NS_PER_MS), 0);
	assert_int_equal(lsc_timeout_begin(&inner, LSC_NS_PER_S * 3600), 0);
	r = lsc_timeout_end(&inner, lsc_sleep(LSC_NS_PER_S * 7200));
	assert_int_equal(r, -ECANCELED);
	assert_int_equal(lsc_timeout_end(&outer, r), -ETIMEDOUT);
	/* The inner one leaves the outer one alone. */
	assert_int_equal(lsc_timeout_begin(&outer, LSC_NS_PER_S * 3600), 0);
	assert_int_equal(lsc_timeout_begin(&inner, LSC_NS_PER_MS), 0);
	r = lsc_timeout_end(&inner, lsc_sleep(LSC_NS_PER_S * 7200));
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(lsc_timeout_end(&outer, 0), 0);
	return 0;
}

static void a_timeout_ends_its_scope_and_only_that(void **state)
{
	struct lsc_timeout t;

	(void)state;
	assert_int_equal(lsc_run(main_of_timeouts, NULL), 0);
	assert_int_equal(lsc_timeout_begin(&t, 1), -EPERM);
}

static int time_out(void *arg)
{
	struct lsc_timeout t;

	assert_int_equal(lsc_timeout_begin_at(&t, *(uint64_t *)arg), 0);
	int r = lsc_sleep(LSC_NS_PER_S * 3600);
	/* Both asked: the timeout and main. */
	assert_int_equal(lsc_cancelling(lsc_current_task()), 2);
	return lsc_timeout_end(&t, r);
}

static void cancel_when_expired(void *arg)
{
	lsc_cancel(arg);
}

static int main_of_both_ask(void *arg)
{
	uint64_t due_ns = lsc_time() + 20 * LSC_NS_PER_MS;
	struct lsc_future *task = lsc_spawn(time_out, &due_ns, NULL);

	(void)arg;
	lsc_yield();
	/* Hold the loop until both are due, so that they come in one round. */
	lsc_handle_unref(lsc_call_at(due_ns + LSC_NS_PER_MS, cancel_when_expired, task));
	while (lsc_time() < due_ns + 2 * LSC_NS_PER_MS)
		;
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	return 0;
}

static void a_timeout_does_not_answer_for_somebody_elses_request(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_both_ask, NULL), 0);
}

static int refuse(void *arg)
{
	assert_int_equal(lsc_sleep(LSC_NS_PER_S * 3600), -ECANCELED);
	assert_int_equal(lsc_sleep(LSC_NS_PER_MS), 0);
	return *(int *)arg;
}

static int main_of_wait_for(void *arg)
{
	int result = 12;
	struct lsc_future *f = lsc_spawn(sleep_long, NULL, NULL);

	(void)arg;
	assert_int_equal(lsc_wait_for(f, LSC_NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(lsc_is_cancelled(f), 1);
	lsc_unref(f);
	f = lsc_spawn(refuse, &result, NULL);
	assert_int_equal(lsc_wait_for(f, LSC_NS_PER_MS), 12); /* it had its reasons */
	assert_int_equal(lsc_wait_for(f, 0), 12);
	lsc_unref(f);
	f = lsc_spawn(yield_and_return, &result, NULL);
	assert_int_equal(lsc_wait_for(f, LSC_NS_PER_S), 12);
	lsc_unref(f);
	f = lsc_spawn(sleep_long, NULL, NULL);
	struct lsc_future *shield = lsc_shield(f);
	assert_int_equal(lsc_wait_for(shield, LSC_NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(lsc_is_done(f), 0);
	lsc_cancel(f);
	lsc_unref(shield);
	lsc_unref(f);
	return 0;
}

static void waiting_with_a_bound_cancels_what_is_late(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_wait_for, NULL), 0);
	assert_int_equal(lsc_wait_for(NULL, 0), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_group_joins_its_children),
		cmocka_unit_test(the_first_child_that_fails_ends_the_others_and_the_body),
		cmocka_unit_test(cancelling_the_parent_cancels_the_children),
		cmocka_unit_test(a_request_is_not_lost_behind_a_childs_error),
		cmocka_unit_test(a_timeout_ends_its_scope_and_only_that),
		cmocka_unit_test(a_timeout_does_not_answer_for_somebody_elses_request),
		cmocka_unit_test(waiting_with_a_bound_cancels_what_is_late),
	};
	return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
