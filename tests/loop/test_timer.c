/* SPDX-License-Identifier: MIT */
/* The heap of timers, and sleeping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"

#define N 2000

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void timers_leave_in_the_order_of_their_deadlines(void **state)
{
	static struct timer timers[N];
	static bool removed[N];
	struct timer_heap heap = {0};
	uint32_t x = 12345;

	(void)state;
	for (int i = 0; i < N; i++) {
		timers[i].due_ns = next_random(&x) % 500;
		assert_int_equal(timer_heap_push(&heap, &timers[i]), 0);
	}
	for (int i = 0; i < N; i += 3) {
		timer_heap_remove(&heap, &timers[i]);
		removed[i] = true;
	}
	struct timer *last = NULL;
	size_t count = 0;
	for (struct timer *t; (t = timer_heap_first(&heap)); last = t, count++) {
		assert_false(removed[t - timers]);
		/* Equal deadlines leave in the order in which they were set. */
		assert_true(!last || last->due_ns < t->due_ns ||
			    (last->due_ns == t->due_ns && last < t));
		timer_heap_remove(&heap, t);
	}
	assert_int_equal(count, N - (N + 2) / 3);
	timer_heap_done(&heap);
}

struct sleeper {
	uint64_t deadline_ns;
	int *turn;
	int woken;
};

static int sleep_until(void *arg)
{
	struct sleeper *s = arg;
	int r = lsc_sleep_until(s->deadline_ns);

	s->woken = (*s->turn)++;
	assert_true(lsc_now_ns() >= s->deadline_ns);
	return r;
}

static int main_of_sleepers(void *arg)
{
	int turn = 0;
	uint64_t base = lsc_now_ns() + 5 * LSC_NS_PER_MS;
	struct sleeper s[4] = {
		{base + 3000000, &turn, -1},
		{base + 1000000, &turn, -1},
		{base + 1000000, &turn, -1},
		{0, &turn, -1}, /* long past */
	};
	struct lsc_future *f[4];

	(void)arg;
	for (int i = 0; i < 4; i++)
		f[i] = lsc_spawn(sleep_until, &s[i], NULL);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(lsc_await(f[i]), 0);
		lsc_unref(f[i]);
	}
	assert_int_equal(s[3].woken, 0);
	assert_int_equal(s[1].woken, 1);
	assert_int_equal(s[2].woken, 2);
	assert_int_equal(s[0].woken, 3);
	return 0;
}

static void sleepers_wake_in_order_and_never_early(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_sleepers, NULL), 0);
}

static int return_three(void *arg)
{
	(void)arg;
	return 3;
}

static int main_of_zero(void *arg)
{
	struct lsc_future *other = lsc_spawn(return_three, NULL, NULL);

	(void)arg;
	assert_int_equal(lsc_sleep(0), 0);
	assert_int_equal(lsc_result(other), 3);
	lsc_unref(other);
	return 0;
}

static void a_sleep_of_zero_lets_the_others_run(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_zero, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_leave_in_the_order_of_their_deadlines),
		cmocka_unit_test(sleepers_wake_in_order_and_never_early),
		cmocka_unit_test(a_sleep_of_zero_lets_the_others_run),
	};
	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
