/* SPDX-License-Identifier: MIT */
/* Calls of the loop: soon, later, at a time; taken back; releasing themselves. */
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

static char log_text[64];

static void note(void *arg)
{
	assert_null(lsc_current_task());
	assert_int_equal(lsc_yield(), -EPERM); /* a call must not suspend, and cannot */
	strcat(log_text, arg);
}

static int main_of_order(void *arg)
{
	uint64_t now = lsc_time();

	(void)arg;
	log_text[0] = '\0';
	struct lsc_handle *h = lsc_call_at(now + 2 * LSC_NS_PER_MS, note, "d");
	assert_int_equal(lsc_handle_when(h), now + 2 * LSC_NS_PER_MS);
	lsc_handle_unref(lsc_call_at(now + LSC_NS_PER_MS, note, "b"));
	lsc_handle_unref(lsc_call_at(now + LSC_NS_PER_MS, note, "c"));
	lsc_handle_unref(lsc_call_soon(note, "a"));
	struct lsc_handle *never = lsc_call_later(UINT64_MAX, note, "never");
	assert_int_equal(lsc_sleep(3 * LSC_NS_PER_MS), 0);
	assert_string_equal(log_text, "abcd");
	assert_int_equal(lsc_handle_cancel(h), 0);
	assert_int_equal(lsc_handle_is_cancelled(h), 0);
	lsc_handle_unref(h);
	assert_int_equal(lsc_handle_cancel(never), 1);
	assert_int_equal(lsc_handle_cancel(never), 0);
	assert_int_equal(lsc_handle_is_cancelled(never), 1);
	lsc_handle_unref(never);
	return 0;
}

static void calls_come_in_the_order_of_their_times(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_order, NULL), 0);
	assert_null(lsc_call_soon(note, "x"));
	assert_null(lsc_call_later(1, note, "x"));
	assert_null(lsc_call_at(1, note, "x"));
	assert_null(lsc_handle_unref(NULL));
}

static struct lsc_handle *mine, *other;

static void release_myself(void *arg)
{
	strcat(log_text, arg);
	assert_int_equal(lsc_handle_cancel(mine), 0);
	mine = lsc_handle_unref(mine);
}

static void cancel_other(void *arg)
{
	strcat(log_text, arg);
	/* It is due, too, and in the queue already. */
	assert_int_equal(lsc_handle_cancel(other), 1);
	other = lsc_handle_unref(other);
}

static int main_of_release(void *arg)
{
	(void)arg;
	log_text[0] = '\0';
	mine = lsc_call_soon(release_myself, "a");
	lsc_yield();
	uint64_t when = lsc_time();
	lsc_handle_unref(lsc_call_at(when, cancel_other, "b"));
	other = lsc_call_at(when + 1, note, "never");
	lsc_handle_unref(lsc_call_at(when + 2, note, "c"));
	lsc_sleep(LSC_NS_PER_MS);
	/* Taken back while it is the last one in the queue. */
	lsc_handle_unref(lsc_call_soon(cancel_other, "d"));
	other = lsc_call_soon(note, "never");
	lsc_yield();
	lsc_handle_unref(lsc_call_soon(note, "e"));
	lsc_yield();
	assert_string_equal(log_text, "abcde");
	/* Left behind: the loop drops them, one with a reference. */
	mine = lsc_call_later(LSC_NS_PER_S * 3600, note, "never");
	lsc_handle_unref(lsc_call_later(LSC_NS_PER_S * 3600, note, "never"));
	return 0;
}

static void a_call_may_release_itself_and_others(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_release, NULL), 0);
	assert_int_equal(lsc_handle_is_cancelled(mine), 1);
	assert_int_equal(lsc_handle_cancel(mine), 0);
	lsc_handle_unref(mine);
}

/* ---- timers of the application ---- */

struct owner {
	struct lsc_timer timer;
	int calls;
};

static void call_thrice(void *arg)
{
	struct owner *o = arg;

	assert_int_equal(lsc_timer_is_set(&o->timer), 0);
	if (++o->calls < 3)
		assert_int_equal(lsc_timer_start(&o->timer, lsc_time()), 0);
}

static void free_myself(void *arg)
{
	strcat(log_text, "f");
	free(arg);
}

static struct owner stopped;

static void stop_other(void *arg)
{
	(void)arg;
	assert_int_equal(lsc_timer_stop(&stopped.timer), 1);
	memset(&stopped, 0xa5, sizeof(stopped)); /* its memory is free for anything */
}

static int main_of_timers(void *arg)
{
	struct owner o = {.calls = 0};
	struct owner *heap = malloc(sizeof(*heap));
	struct lsc_timer stopper;

	(void)arg;
	log_text[0] = '\0';
	lsc_timer_init(&o.timer, call_thrice, &o);
	assert_int_equal(lsc_timer_stop(&o.timer), 0);
	assert_int_equal(lsc_timer_start(&o.timer, UINT64_MAX), 0);
	assert_int_equal(lsc_timer_is_set(&o.timer), 1);
	assert_int_equal(lsc_timer_start(&o.timer, lsc_time()), 0); /* anew */
	lsc_timer_init(&heap->timer, free_myself, heap);
	assert_int_equal(lsc_timer_start(&heap->timer, lsc_time()), 0);
	for (uint64_t end_ns = lsc_time() + LSC_NS_PER_S; o.calls < 3 && lsc_time() < end_ns;)
		lsc_sleep(LSC_NS_PER_MS);
	lsc_sleep(LSC_NS_PER_MS); /* and not once more */
	assert_int_equal(o.calls, 3);
	assert_string_equal(log_text, "f");
	/* Stopped when it is due, and in the queue already. */
	uint64_t when = lsc_time();
	lsc_timer_init(&stopper, stop_other, NULL);
	lsc_timer_init(&stopped.timer, note, "never");
	assert_int_equal(lsc_timer_start(&stopper, when), 0);
	assert_int_equal(lsc_timer_start(&stopped.timer, when + 1), 0);
	lsc_sleep(LSC_NS_PER_MS);
	assert_string_equal(log_text, "f");
	return 0;
}

static void a_timer_belongs_to_the_application(void **state)
{
	struct lsc_timer t;

	(void)state;
	assert_int_equal(lsc_run(main_of_timers, NULL), 0);
	lsc_timer_init(&t, note, "x");
	assert_int_equal(lsc_timer_start(&t, 0), -EPERM);
}

/* ---- times at the ends of what there is ---- */

struct times {
	int order[4], n;
};

static struct times times;

static void note_first(void *arg)
{
	times.order[times.n++] = *(int *)arg;
}

static int sleep_for_ever(void *arg)
{
	return lsc_sleep(*(uint64_t *)arg);
}

static int main_of_ends(void *arg)
{
	static int one = 1, two = 2, three = 3;
	static uint64_t never[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2};
	struct lsc_timer at_zero, at_end;
	struct lsc_handle *late[3];

	(void)arg;
	times.n = 0;
	lsc_timer_init(&at_zero, note_first, &one);
	lsc_timer_init(&at_end, note_first, &three);
	late[0] = lsc_call_at(UINT64_MAX, note_first, &three);
	late[1] = lsc_call_later(UINT64_MAX, note_first, &three); /* the sum has no room */
	late[2] = lsc_call_later(UINT64_MAX - 1, note_first, &three);
	lsc_handle_unref(lsc_call_at(lsc_time(), note_first, &two));
	assert_int_equal(lsc_timer_start(&at_zero, 0), 0);
	assert_int_equal(lsc_timer_start(&at_end, UINT64_MAX), 0);
	assert_int_equal(lsc_sleep(2000000), 0);
	/* The one at 0 was due first, though it was set last. */
	assert_int_equal(times.n, 2);
	assert_int_equal(times.order[0], 1);
	assert_int_equal(times.order[1], 2);
	assert_int_equal(lsc_timer_stop(&at_end), 1);
	for (int i = 0; i < 3; i++) {
		assert_true(lsc_handle_when(late[i]) == UINT64_MAX);
		assert_int_equal(lsc_handle_cancel(late[i]), 1);
		lsc_handle_unref(late[i]);
	}
	assert_int_equal(lsc_sleep_until(0), 0);
	assert_int_equal(lsc_sleep_until(lsc_time()), 0);
	/* Sleeps without an end, beside some that have one. */
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		struct lsc_future *task = lsc_spawn(sleep_for_ever, &never[i], NULL);

		assert_int_equal(lsc_wait(&task, 1, LSC_ALL_COMPLETED, 1000000), 0);
		assert_int_equal(lsc_wait(&task, 1, LSC_ALL_COMPLETED, 0), 0);
		lsc_cancel(task);
		/* A bound that has no room either. */
		assert_int_equal(lsc_wait(&task, 1, LSC_ALL_COMPLETED, UINT64_MAX - 1), 1);
		assert_int_equal(lsc_result(task), -ECANCELED);
		lsc_unref(task);
	}
	struct lsc_future *f = lsc_future_new();
	assert_int_equal(lsc_wait_for(f, 0), -ETIMEDOUT);
	lsc_unref(f);
	return 0;
}

static void times_may_lie_at_the_ends_of_all_time(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_ends, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_come_in_the_order_of_their_times),
		cmocka_unit_test(a_call_may_release_itself_and_others),
		cmocka_unit_test(a_timer_belongs_to_the_application),
		cmocka_unit_test(times_may_lie_at_the_ends_of_all_time),
	};
	return cmocka_run_group_tests_name("handle", tests, NULL, NULL);
}
