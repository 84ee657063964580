/* SPDX-License-Identifier: MIT */
/* Calls at the end of a future; requests to end, counted. */
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

static void note(struct lsc_future *future, void *arg)
{
	assert_true(lsc_is_done(future));
	assert_null(lsc_task_name()); /* outside of tasks */
	strcat(log_text, arg);
}

static void note_and_unref(struct lsc_future *future, void *arg)
{
	note(future, arg);
	lsc_unref(future);
}

static int return_arg(void *arg)
{
	return arg ? *(int *)arg : 0;
}

static int main_of_callbacks(void *arg)
{
	struct lsc_future *f = lsc_future_new();
	char x[] = "x";

	(void)arg;
	log_text[0] = '\0';
	assert_int_equal(lsc_add_done_callback(f, note, "a"), 0);
	assert_int_equal(lsc_add_done_callback(f, note, x), 0);
	assert_int_equal(lsc_add_done_callback(f, note, "b"), 0);
	assert_int_equal(lsc_add_done_callback(f, note, x), 0);
	assert_int_equal(lsc_remove_done_callback(f, note, x), 2);
	assert_int_equal(lsc_resolve(f, 3), 0);
	assert_string_equal(log_text, ""); /* the loop calls, not lsc_resolve() */
	assert_int_equal(lsc_yield(), 0);
	assert_string_equal(log_text, "ab");
	assert_int_equal(lsc_add_done_callback(f, note_and_unref, "late"), 0);
	assert_int_equal(lsc_remove_done_callback(f, note_and_unref, "late"), 0);
	assert_int_equal(lsc_yield(), 0);
	assert_string_equal(log_text, "ablate");
	return 0;
}

static void callbacks_are_called_by_the_loop_in_order(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_callbacks, NULL), 0);
}

static int main_of_forgotten(void *arg)
{
	struct lsc_future *f = lsc_future_new();
	struct lsc_future *task = lsc_spawn(return_arg, NULL, NULL);

	(void)arg;
	log_text[0] = '\0';
	assert_int_equal(lsc_add_done_callback(f, note, "never"), 0);
	lsc_unref(f); /* pending, and nobody is left to end it */
	assert_int_equal(lsc_add_done_callback(task, note, "task"), 0);
	lsc_unref(task); /* it goes on, so there is an end */
	assert_int_equal(lsc_yield(), 0);
	assert_int_equal(lsc_yield(), 0);
	assert_string_equal(log_text, "task");
	f = lsc_future_new();
	assert_int_equal(lsc_add_done_callback(f, note, "dropped"), 0);
	lsc_resolve(f, 0);
	lsc_unref(f);
	return 0; /* the loop ends before the call: it is made or dropped, never leaked */
}

static void a_pending_callback_is_gone_with_its_future(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_forgotten, NULL), 0);
}

/* ---- counted requests ---- */

static int sleep_twice(void *arg)
{
	(void)arg;
	assert_int_equal(lsc_sleep(LSC_NS_PER_S * 3600), -ECANCELED);
	assert_int_equal(lsc_cancelling(lsc_current_task()), 1);
	assert_int_equal(lsc_uncancel(lsc_current_task()), 0);
	assert_int_equal(lsc_uncancel(lsc_current_task()), 0);
	assert_int_equal(lsc_sleep(LSC_NS_PER_MS), 0);
	/* A request that is taken back before it is delivered is not delivered. */
	assert_int_equal(lsc_cancel(lsc_current_task()), 1);
	assert_int_equal(lsc_uncancel(lsc_current_task()), 0);
	assert_int_equal(lsc_yield(), 0);
	/* One of two leaves the other. */
	assert_int_equal(lsc_cancel(lsc_current_task()), 1);
	assert_int_equal(lsc_cancel(lsc_current_task()), 1);
	assert_int_equal(lsc_uncancel(lsc_current_task()), 1);
	assert_int_equal(lsc_yield(), -ECANCELED);
	return 8;
}

static int main_of_requests(void *arg)
{
	struct lsc_future *task = lsc_spawn(sleep_twice, NULL, NULL), *all[4], *f;

	(void)arg;
	assert_int_equal(lsc_all_tasks(all, 4), 2);
	assert_ptr_equal(all[0], lsc_current_task());
	assert_ptr_equal(all[1], task);
	assert_int_equal(lsc_all_tasks(NULL, 0), 2);
	lsc_yield();
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), 8);
	assert_int_equal(lsc_is_cancelled(task), 0);
	lsc_unref(task);
	f = lsc_future_new();
	assert_int_equal(lsc_cancelling(f), -EINVAL);
	assert_int_equal(lsc_uncancel(f), -EINVAL);
	assert_int_equal(lsc_is_cancelled(f), 0);
	lsc_cancel(f);
	assert_int_equal(lsc_is_cancelled(f), 1);
	lsc_unref(f);
	return 0;
}

static void requests_to_end_are_counted_and_taken_back(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_requests, NULL), 0);
	assert_int_equal(lsc_all_tasks(NULL, 0), 0);
	assert_null(lsc_current_task());
}

/* ---- waits that cannot be undone at once ---- */

struct slow {
	struct park park;
	int asked;
	int result;
	bool keep; /* the result */
};

static bool ask_slow(struct park *park)
{
	container_of(park, struct slow, park)->asked++;
	return false;
}

static int wait_slowly(void *arg)
{
	struct slow *s = arg;
	struct task *task = task_current();
	int r = task_park(task, &s->park, LSC_WAIT_THREAD, 0);

	s->result = s->park.result;
	if (r == -ECANCELED && s->keep && s->result >= 0) {
		task_recancel(task);
		assert_int_equal(lsc_yield(), -ECANCELED);
		return s->result;
	}
	return r;
}

static int main_of_slow_waits(void *arg)
{
	(void)arg;
	for (int keep = 0; keep < 2; keep++) {
		struct slow s = {.park.cancel = ask_slow, .keep = keep};
		struct lsc_future *task = lsc_spawn(wait_slowly, &s, NULL);

		lsc_yield();
		assert_int_equal(lsc_cancel(task), 1);
		assert_int_equal(lsc_cancel(task), 1);
		assert_int_equal(s.asked, 1);
		lsc_yield();
		assert_int_equal(lsc_is_done(task), 0); /* its buffer is still in use */
		task_unpark(&s.park, 42);
		assert_int_equal(lsc_await(task), keep ? 42 : -ECANCELED);
		assert_int_equal(s.result, 42);
		lsc_unref(task);
	}
	return 0;
}

static void a_wait_that_cannot_be_undone_ends_by_itself(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_slow_waits, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(callbacks_are_called_by_the_loop_in_order),
		cmocka_unit_test(a_pending_callback_is_gone_with_its_future),
		cmocka_unit_test(requests_to_end_are_counted_and_taken_back),
		cmocka_unit_test(a_wait_that_cannot_be_undone_ends_by_itself),
	};
	return cmocka_run_group_tests_name("future", tests, NULL, NULL);
}
