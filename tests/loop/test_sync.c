/* SPDX-License-Identifier: MIT */
/* Events, locks, conditions, semaphores, barriers: order, cancellation in every state, misuse. */
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

static void note(const char *text)
{
	strcat(log_text, text);
}

static void yields(int n)
{
	while (n-- > 0)
		assert_int_equal(lsc_yield(), 0);
}

/* ---- events ---- */

static int wait_for_event(void *arg)
{
	int r = lsc_event_wait(arg);

	note(r == 0 ? "s" : r == -EIDRM ? "g" : r == -ECANCELED ? "c" : "?");
	return r;
}

static int main_of_event(void *arg)
{
	struct lsc_event *event = lsc_event_new();
	struct lsc_future *f[3];

	(void)arg;
	log_text[0] = '\0';
	for (int i = 0; i < 3; i++)
		f[i] = lsc_spawn(wait_for_event, event, NULL);
	yields(1);
	lsc_cancel(f[1]);
	assert_int_equal(lsc_event_set(event), 0);
	lsc_event_clear(event); /* who waited is woken all the same */
	assert_int_equal(lsc_event_is_set(event), 0);
	yields(1);
	assert_string_equal(log_text, "css");
	for (int i = 0; i < 3; i++)
		lsc_unref(f[i]);
	lsc_event_set(event);
	assert_int_equal(lsc_event_wait(event), 0);
	lsc_event_clear(event);
	f[0] = lsc_spawn(wait_for_event, event, NULL);
	yields(1);
	lsc_event_free(event);
	assert_int_equal(lsc_await(f[0]), -EIDRM);
	lsc_unref(f[0]);
	return 0;
}

static void an_event_wakes_all_who_wait(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_event, NULL), 0);
	assert_null(lsc_event_new());
	assert_null(lsc_event_free(NULL));
	assert_int_equal(lsc_event_wait(NULL), -EPERM);
}

/* ---- locks ---- */

struct locker {
	struct lsc_lock *lock;
	const char *name;
};

static int hold_lock(void *arg)
{
	struct locker *l = arg;
	int r = lsc_lock_acquire(l->lock);

	if (r < 0)
		return r;
	note(l->name);
	yields(2);
	note(l->name);
	assert_int_equal(lsc_lock_release(l->lock), 0);
	return 0;
}

static int main_of_lock(void *arg)
{
	struct lsc_lock *lock = lsc_lock_new();
	struct locker l[4] = {{lock, "a"}, {lock, "b"}, {lock, "c"}, {lock, "d"}};
	struct lsc_future *f[4];

	(void)arg;
	log_text[0] = '\0';
	for (int i = 0; i < 4; i++)
		f[i] = lsc_spawn(hold_lock, &l[i], NULL);
	yields(1);
	assert_int_equal(lsc_lock_is_locked(lock), 1);
	lsc_cancel(f[1]); /* while it waits */
	for (int i = 0; i < 4; i++)
		assert_int_equal(lsc_await(f[i]), i == 1 ? -ECANCELED : 0);
	assert_string_equal(log_text, "aaccdd");
	for (int i = 0; i < 4; i++)
		lsc_unref(f[i]);
	/* Cancelled after the lock was handed over, before it runs: it is passed on. */
	log_text[0] = '\0';
	assert_int_equal(lsc_lock_acquire(lock), 0);
	assert_int_equal(lsc_lock_acquire(lock), -EDEADLK);
	f[0] = lsc_spawn(hold_lock, &l[0], NULL);
	f[1] = lsc_spawn(hold_lock, &l[1], NULL);
	yields(1);
	assert_int_equal(lsc_lock_release(lock), 0);
	lsc_cancel(f[0]);
	assert_int_equal(lsc_await(f[0]), -ECANCELED);
	assert_int_equal(lsc_await(f[1]), 0);
	assert_string_equal(log_text, "bb");
	lsc_unref(f[0]);
	lsc_unref(f[1]);
	assert_int_equal(lsc_lock_release(lock), -EPERM);
	/* Freed under somebody who waits. */
	assert_int_equal(lsc_lock_acquire(lock), 0);
	f[0] = lsc_spawn(hold_lock, &l[0], NULL);
	yields(1);
	lsc_lock_free(lock);
	assert_int_equal(lsc_await(f[0]), -EIDRM);
	lsc_unref(f[0]);
	return 0;
}

static void a_lock_goes_round_in_the_order_of_arrival(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_lock, NULL), 0);
	assert_null(lsc_lock_new());
	assert_null(lsc_lock_free(NULL));
	assert_int_equal(lsc_lock_acquire(NULL), -EPERM);
}

/* ---- conditions ---- */

struct consumer {
	struct lsc_condition *condition;
	struct lsc_lock *lock;
	int *stock;
};

static int in_stock(void *arg)
{
	return *(int *)arg > 0;
}

static int consume(void *arg)
{
	struct consumer *c = arg;

	assert_int_equal(lsc_lock_acquire(c->lock), 0);
	int r = lsc_condition_wait_for(c->condition, in_stock, c->stock);
	if (r == 1)
		--*c->stock;
	/* The lock is held also after a cancellation. */
	assert_int_equal(lsc_lock_release(c->lock), 0);
	return r;
}

static int main_of_condition(void *arg)
{
	struct lsc_lock *lock = lsc_lock_new();
	struct lsc_condition *condition = lsc_condition_new(lock);
	int stock = 0;
	struct consumer c = {condition, lock, &stock};
	struct lsc_future *f[3];

	(void)arg;
	for (int i = 0; i < 3; i++)
		f[i] = lsc_spawn(consume, &c, NULL);
	yields(2);
	assert_int_equal(lsc_condition_notify(condition, 1), -EPERM); /* without the lock */
	assert_int_equal(lsc_condition_wait(condition), -EPERM);
	assert_int_equal(lsc_lock_acquire(lock), 0);
	stock = 1;
	assert_int_equal(lsc_condition_notify(condition, 1), 1);
	lsc_cancel(f[0]); /* notified, and cancelled: the notification goes to the next one */
	assert_int_equal(lsc_lock_release(lock), 0);
	assert_int_equal(lsc_await(f[0]), -ECANCELED);
	assert_int_equal(lsc_await(f[1]), 1);
	assert_int_equal(stock, 0);
	assert_int_equal(lsc_lock_acquire(lock), 0);
	assert_int_equal(lsc_condition_notify(condition, SIZE_MAX), 1);
	assert_int_equal(lsc_lock_release(lock), 0);
	yields(4);
	assert_int_equal(lsc_is_done(f[2]), 0); /* it looked, and waits again */
	lsc_condition_free(condition);
	assert_int_equal(lsc_await(f[2]), -EIDRM);
	for (int i = 0; i < 3; i++)
		lsc_unref(f[i]);
	lsc_lock_free(lock);
	return 0;
}

static void a_condition_wakes_who_waits_with_its_lock(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_condition, NULL), 0);
	assert_null(lsc_condition_new(NULL));
	assert_null(lsc_condition_free(NULL));
}

/* ---- semaphores ---- */

static unsigned inside, most_inside;

static int pass(void *arg)
{
	int r = lsc_semaphore_acquire(arg);

	if (r < 0)
		return r;
	if (++inside > most_inside)
		most_inside = inside;
	yields(3);
	inside--;
	return lsc_semaphore_release(arg);
}

static int main_of_semaphore(void *arg)
{
	struct lsc_semaphore *s = lsc_semaphore_new(3, 3);
	struct lsc_future *f[10];

	(void)arg;
	inside = most_inside = 0;
	for (int i = 0; i < 10; i++)
		f[i] = lsc_spawn(pass, s, NULL);
	yields(1);
	assert_int_equal(lsc_semaphore_permits(s), 0);
	lsc_cancel(f[5]);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(lsc_await(f[i]), i == 5 ? -ECANCELED : 0);
		lsc_unref(f[i]);
	}
	assert_int_equal(most_inside, 3);
	assert_int_equal(lsc_semaphore_permits(s), 3);
	assert_int_equal(lsc_semaphore_release(s), -EOVERFLOW);
	lsc_semaphore_free(s);
	assert_null(lsc_semaphore_new(2, 1));
	/* A permit that is given to a task which is cancelled then goes to the next one. */
	s = lsc_semaphore_new(0, 0);
	f[0] = lsc_spawn(pass, s, NULL);
	f[1] = lsc_spawn(pass, s, NULL);
	f[2] = lsc_spawn(pass, s, NULL);
	yields(1);
	assert_int_equal(lsc_semaphore_release(s), 0);
	lsc_cancel(f[0]);
	assert_int_equal(lsc_await(f[0]), -ECANCELED);
	assert_int_equal(lsc_await(f[1]), 0);
	assert_int_equal(lsc_await(f[2]), 0);
	for (int i = 0; i < 3; i++)
		lsc_unref(f[i]);
	assert_int_equal(lsc_semaphore_acquire(s), 0);
	f[0] = lsc_spawn(pass, s, NULL);
	yields(1);
	lsc_semaphore_free(s);
	assert_int_equal(lsc_await(f[0]), -EIDRM);
	lsc_unref(f[0]);
	return 0;
}

static void a_semaphore_lets_so_many_through(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_semaphore, NULL), 0);
	assert_null(lsc_semaphore_new(1, 1));
	assert_null(lsc_semaphore_free(NULL));
	assert_int_equal(lsc_semaphore_acquire(NULL), -EPERM);
}

/* ---- barriers ---- */

static int meet_three_times(void *arg)
{
	int sum = 0;

	for (int i = 0; i < 3; i++) {
		note(i == 0 ? "0" : i == 1 ? "1" : "2");
		int r = lsc_barrier_wait(arg);
		if (r < 0)
			return r;
		sum += r;
	}
	return sum;
}

static int main_of_barrier(void *arg)
{
	struct lsc_barrier *barrier = lsc_barrier_new(3);
	struct lsc_future *f[3];
	int sum = 0;

	(void)arg;
	log_text[0] = '\0';
	for (int i = 0; i < 3; i++)
		f[i] = lsc_spawn(meet_three_times, barrier, NULL);
	for (int i = 0; i < 3; i++) {
		int r = lsc_await(f[i]);

		assert_true(r >= 0);
		sum += r;
		lsc_unref(f[i]);
	}
	assert_string_equal(log_text, "000111222");
	assert_int_equal(sum, 3 * (0 + 1 + 2)); /* each place once a round */
	/* A task that is cancelled leaves; the others wait on. */
	f[0] = lsc_spawn(meet_three_times, barrier, NULL);
	f[1] = lsc_spawn(meet_three_times, barrier, NULL);
	yields(1);
	assert_int_equal(lsc_barrier_waiting(barrier), 2);
	lsc_cancel(f[0]);
	assert_int_equal(lsc_await(f[0]), -ECANCELED);
	assert_int_equal(lsc_barrier_waiting(barrier), 1);
	lsc_barrier_reset(barrier);
	assert_int_equal(lsc_await(f[1]), -EPIPE);
	assert_int_equal(lsc_barrier_is_broken(barrier), 0);
	lsc_unref(f[0]);
	lsc_unref(f[1]);
	f[0] = lsc_spawn(meet_three_times, barrier, NULL);
	yields(1);
	lsc_barrier_abort(barrier);
	assert_int_equal(lsc_await(f[0]), -EPIPE);
	assert_int_equal(lsc_barrier_is_broken(barrier), 1);
	assert_int_equal(lsc_barrier_wait(barrier), -EPIPE);
	lsc_unref(f[0]);
	lsc_barrier_reset(barrier);
	f[0] = lsc_spawn(meet_three_times, barrier, NULL);
	yields(1);
	lsc_barrier_free(barrier);
	assert_int_equal(lsc_await(f[0]), -EIDRM);
	lsc_unref(f[0]);
	barrier = lsc_barrier_new(1);
	assert_int_equal(lsc_barrier_wait(barrier), 0);
	assert_int_equal(lsc_barrier_wait(barrier), 0);
	lsc_barrier_free(barrier);
	assert_null(lsc_barrier_new(0));
	return 0;
}

static void a_barrier_holds_each_round_together(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_barrier, NULL), 0);
	assert_null(lsc_barrier_new(2));
	assert_null(lsc_barrier_free(NULL));
	assert_int_equal(lsc_barrier_wait(NULL), -EPERM);
}

static int meet_once(void *arg)
{
	return lsc_barrier_wait(arg);
}

/* A round of two is full: first has not run since, and late will come before it does. */
static struct lsc_barrier *fill_a_round(struct lsc_future **ret_first, struct lsc_future **ret_late)
{
	struct lsc_barrier *barrier = lsc_barrier_new(2);

	*ret_first = lsc_spawn(meet_once, barrier, NULL);
	yields(1);
	assert_int_equal(lsc_barrier_waiting(barrier), 1);
	*ret_late = lsc_spawn(meet_once, barrier, NULL);
	assert_int_equal(lsc_barrier_wait(barrier), 1);
	assert_false(lsc_is_done(*ret_first));
	return barrier;
}

static int main_of_draining(void *arg)
{
	struct lsc_future *first, *late;
	struct lsc_barrier *barrier = fill_a_round(&first, &late);

	(void)arg;
	lsc_barrier_reset(barrier);
	assert_int_equal(lsc_await(first), 0);
	yields(2);
	assert_false(lsc_is_done(late));
	assert_int_equal(lsc_barrier_waiting(barrier), 1); /* of the round that begins */
	assert_int_equal(lsc_barrier_wait(barrier), 1);
	assert_int_equal(lsc_await(late), 0);
	lsc_unref(first);
	lsc_unref(late);
	lsc_barrier_free(barrier);

	barrier = fill_a_round(&first, &late);
	lsc_barrier_abort(barrier);
	assert_int_equal(lsc_await(first), 0);
	assert_int_equal(lsc_await(late), -EPIPE);
	lsc_unref(first);
	lsc_unref(late);
	lsc_barrier_free(barrier);
	return 0;
}

static void who_is_of_a_full_round_gets_a_number_whatever_becomes_of_the_barrier(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_draining, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_wakes_all_who_wait),
		cmocka_unit_test(a_lock_goes_round_in_the_order_of_arrival),
		cmocka_unit_test(a_condition_wakes_who_waits_with_its_lock),
		cmocka_unit_test(a_semaphore_lets_so_many_through),
		cmocka_unit_test(a_barrier_holds_each_round_together),
		cmocka_unit_test(
			who_is_of_a_full_round_gets_a_number_whatever_becomes_of_the_barrier),
	};
	return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
