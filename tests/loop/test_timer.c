/* SPDX-License-Identifier: MIT */
/* The wheel of timers, and sleeping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"

#define N 2000

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* ---- the wheel ---- */

struct entry {
	struct timer timer;
	uint64_t added; /* its turn among all that were added */
	bool removed;
};

static struct timer_wheel wheel;
static struct entry entries[N];
static struct entry *last_expired;
static uint64_t now_ns, nexpired;

static void note_expiry(struct job *job)
{
	struct entry *e = container_of(job, struct entry, timer.job);

	assert_false(e->removed);
	assert_false(timer_is_set(&e->timer));
	assert_true(e->timer.due_ns <= now_ns);
	if (last_expired) /* of this call of timer_wheel_expire() */
		assert_true(last_expired->timer.due_ns < e->timer.due_ns ||
			    (last_expired->timer.due_ns == e->timer.due_ns &&
			     last_expired->added < e->added));
	last_expired = e;
	nexpired++;
}

static const struct job_ops entry_ops = {.run = note_expiry};

/* Spans from below a slot to hours, equal deadlines among them. */
static uint64_t random_span(uint32_t *x)
{
	static const uint64_t widths[] = {
		1, 1000, 20000, 5000000, 600000000, 90000000000, LSC_NS_PER_S * 3600 * 5};
	uint64_t width = widths[next_random(x) % 7];

	return next_random(x) % 16 * width + (next_random(x) % 2 ? next_random(x) % width : 0);
}

static void advance(uint64_t to_ns)
{
	size_t due = 0, left = 0;

	now_ns = to_ns;
	for (int i = 0; i < N; i++)
		if (timer_is_set(&entries[i].timer))
			*(entries[i].timer.due_ns <= now_ns ? &due : &left) += 1;
	uint64_t before = nexpired;
	last_expired = NULL;
	struct job_queue queue;
	job_queue_init(&queue);
	/* A few at a time is all at once. */
	for (uint64_t n = before;; n = nexpired) {
		timer_wheel_expire(&wheel, now_ns, 10, &queue);
		if (nexpired == n)
			break;
	}
	assert_null(queue.first); /* all of them are direct */
	assert_int_equal(nexpired - before, due);
	assert_int_equal(wheel.count, left);
}

static void check_next(void)
{
	uint64_t first = UINT64_MAX, next = timer_wheel_next(&wheel);

	for (int i = 0; i < N; i++)
		if (timer_is_set(&entries[i].timer) && entries[i].timer.due_ns < first)
			first = entries[i].timer.due_ns;
	assert_true(next <= (first > now_ns ? first : now_ns));
	assert_int_equal(next == UINT64_MAX, first == UINT64_MAX);
	/* Whoever waits until then makes progress, but for the width of the slot that goes on. */
	if (first != UINT64_MAX && next < first && next > now_ns) {
		advance(next);
		assert_true(timer_wheel_next(&wheel) > next || first - next < 8192);
	}
}

static void timers_expire_in_the_order_of_their_deadlines(void **state)
{
	uint32_t seed = (uint32_t)lsc_now_ns() | 1, x = seed;
	uint64_t added = 0;

	(void)state;
	printf("# seed %u\n", seed);
	now_ns = lsc_now_ns();
	timer_wheel_init(&wheel, now_ns);
	for (int round = 0; round < 300; round++) {
		for (int k = 0; k < 200; k++) {
			struct entry *e = &entries[next_random(&x) % N];

			if (timer_is_set(&e->timer)) {
				e->removed = true;
				timer_remove(&wheel, &e->timer);
				assert_false(timer_is_set(&e->timer));
				continue;
			}
			*e = (struct entry){
				.timer = {.job.ops = &entry_ops,
					  .due_ns = now_ns - 500 + random_span(&x),
					  .direct = true},
				.added = added++,
			};
			timer_add(&wheel, &e->timer);
		}
		check_next();
		advance(now_ns + random_span(&x) / 4);
	}
	/* The last ones: as a loop would, from one deadline to the next. */
	for (uint64_t next; (next = timer_wheel_next(&wheel)) != UINT64_MAX;)
		advance(next > now_ns ? next : now_ns + 1000);
	assert_int_equal(wheel.count, 0);
	assert_true(nexpired > N);
}

static void a_timer_beyond_all_time_never_expires(void **state)
{
	struct entry never = {
		.timer = {.due_ns = UINT64_MAX, .job.ops = &entry_ops, .direct = true}};

	(void)state;
	memset(&wheel, 0, sizeof(wheel));
	timer_wheel_init(&wheel, lsc_now_ns());
	timer_add(&wheel, &never.timer);
	timer_wheel_expire(&wheel, 1ull << 61, SIZE_MAX, NULL);
	assert_int_equal(wheel.count, 1);
	timer_remove(&wheel, &never.timer);
	assert_int_equal(timer_wheel_next(&wheel), UINT64_MAX);
}

/* ---- sleeping ---- */

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
		cmocka_unit_test(timers_expire_in_the_order_of_their_deadlines),
		cmocka_unit_test(a_timer_beyond_all_time_never_expires),
		cmocka_unit_test(sleepers_wake_in_order_and_never_early),
		cmocka_unit_test(a_sleep_of_zero_lets_the_others_run),
	};
	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
