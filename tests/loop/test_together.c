/* SPDX-License-Identifier: MIT */
/* Many at once, and at the wrong moment: large gathers cancelled in the midst, groups that their
 * children end, what is freed while a task is on its way back, and asyncio's finer rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "on_valgrind.h"

#define HOUR_NS (3600 * LSC_NS_PER_S)

static int sleep_long(void *arg)
{
	(void)arg;
	return lsc_sleep(HOUR_NS);
}

static int give(void *arg)
{
	return *(int *)arg;
}

static void cancel(void *arg)
{
	lsc_cancel(arg);
}

/* ---- gathers ---- */

static int main_of_small_gathers(void *arg)
{
	int one = 1, result = -1;

	(void)arg;
	struct lsc_future *none = lsc_gather(NULL, 0, 0);
	assert_non_null(none);
	assert_int_equal(lsc_is_done(none), 1);
	assert_int_equal(lsc_await(none), 0);
	assert_int_equal(lsc_cancel(none), 0);
	assert_int_equal(lsc_gather_results(none, NULL, 0), 0);
	lsc_unref(none);
	struct lsc_future *task = lsc_spawn(give, &one, NULL);
	struct lsc_future *single = lsc_gather(&task, 1, 0);
	assert_int_equal(lsc_gather_results(single, &result, 1), -EAGAIN);
	assert_int_equal(lsc_await(single), 0);
	assert_int_equal(lsc_gather_results(single, &result, 0), -ENOSPC);
	assert_int_equal(lsc_gather_results(single, &result, 1), 1);
	assert_int_equal(result, 1);
	lsc_unref(single);
	/* One task as several members. */
	struct lsc_future *thrice[] = {task, task, task};
	int results[3];
	single = lsc_gather(thrice, 3, LSC_GATHER_ALL);
	assert_int_equal(lsc_await(single), 0);
	assert_int_equal(lsc_gather_results(single, results, 3), 3);
	assert_int_equal(results[0] + results[1] + results[2], 3);
	lsc_unref(single);
	lsc_unref(task);
	return 0;
}

static void a_gather_may_have_no_member_or_one(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_small_gathers, NULL), 0);
}

#if defined(__SANITIZE_THREAD__)
#define MANY 1000 /* each is a fiber, of which more take the sanitizer half a minute */
#elif defined(__SANITIZE_ADDRESS__)
#define MANY 5000 /* each has a stack of 256 KiB there */
#else
#define MANY (RUNNING_ON_VALGRIND ? 1000 : 100000)
#endif

/* The first half ends, the others are cancelled while they sleep, the last ones before they run. */
static int end_or_sleep(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;

	return i < MANY / 2 ? (int)i : lsc_sleep(HOUR_NS);
}

static int main_of_many(void *arg)
{
	struct lsc_future **tasks = calloc(MANY, sizeof(struct lsc_future *));
	int *results = calloc(MANY, sizeof(int));

	(void)arg;
	assert_true(tasks && results);
	for (size_t i = 0; i < MANY; i++) {
		if (i == MANY / 4 * 3)
			for (int turns = 0; turns < 3; turns++)
				assert_int_equal(lsc_yield(), 0);
		tasks[i] = lsc_spawn(end_or_sleep, (void *)i, NULL);
		assert_non_null(tasks[i]);
	}
	struct lsc_future *all = lsc_gather(tasks, MANY, 0);
	assert_non_null(all);
	assert_int_equal(lsc_cancel(all), 1);
	assert_int_equal(lsc_cancel(all), 1); /* it has not ended yet */
	assert_int_equal(lsc_await(all), -ECANCELED);
	assert_int_equal(lsc_gather_results(all, results, MANY), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(results[i], i < MANY / 2 ? (int)i : -ECANCELED);
	lsc_unref(all);
	for (size_t i = 0; i < MANY; i++)
		lsc_unref(tasks[i]);
	free(tasks);
	free(results);
	return 0;
}

static void a_large_gather_is_cancelled_in_the_midst(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_many, NULL), 0);
}

#ifdef __SANITIZE_THREAD__
#define DEEP 1000
#else
#define DEEP 5000
#endif

/* Each awaits a gather of the next one. */
static int descend(void *arg)
{
	size_t depth = (size_t)(uintptr_t)arg;
	struct lsc_future *next, *all;

	if (depth == 0)
		return lsc_sleep(HOUR_NS);
	next = lsc_spawn(descend, (void *)(depth - 1), NULL);
	all = lsc_gather(&next, 1, 0);
	int r = lsc_await(all);
	lsc_unref(all);
	lsc_unref(next);
	return r;
}

static int main_of_depths(void *arg)
{
	struct lsc_future *first = lsc_spawn(descend, (void *)DEEP, NULL);

	(void)arg;
	for (int i = 0; i < DEEP + 2; i++)
		assert_int_equal(lsc_yield(), 0);
	assert_int_equal(lsc_cancel(first), 1);
	assert_int_equal(lsc_await(first), -ECANCELED);
	lsc_unref(first);
	return 0;
}

static void a_deep_chain_of_gathers_can_be_cancelled(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_depths, NULL), 0);
}

/* ---- in the order of their ends ---- */

struct race {
	struct lsc_as_completed *all;
	struct lsc_future *futures[2];
};

static int take_next(void *arg)
{
	struct race *race = arg;
	struct lsc_future *next;
	int r = lsc_as_completed_next(race->all, &next);

	return r <= 0 ? r : next == race->futures[0] ? 10 : 20;
}

static int main_of_races(void *arg)
{
	struct race race = {.futures = {lsc_future_new(), lsc_future_new()}};
	struct lsc_future *task;

	(void)arg;
	/* Another task does not get between the end and the one that it woke. */
	race.all = lsc_as_completed_new(race.futures, 2);
	task = lsc_spawn(take_next, &race, "waits");
	lsc_yield();
	assert_int_equal(lsc_resolve(race.futures[0], 1), 0);
	assert_int_equal(take_next(&race), -EBUSY);
	assert_int_equal(lsc_await(task), 10);
	lsc_unref(task);
	/* One that was woken and cancelled loses nothing. */
	task = lsc_spawn(take_next, &race, "waits");
	lsc_yield();
	assert_int_equal(lsc_resolve(race.futures[1], 1), 0);
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	assert_int_equal(take_next(&race), 20);
	assert_int_equal(take_next(&race), 0);
	lsc_as_completed_free(race.all);
	lsc_unref(race.futures[0]);
	lsc_unref(race.futures[1]);
	return 0;
}

static void who_was_woken_gets_the_next(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_races, NULL), 0);
}

/* Freed while a task waits, was woken, is cancelled. */
static int main_of_freed(void *arg)
{
	(void)arg;
	for (int woken = 0; woken < 2; woken++)
		for (int cancelled = 0; cancelled < 3; cancelled++) {
			struct race race = {.futures = {lsc_future_new(), lsc_future_new()}};
			struct lsc_future *task;

			race.all = lsc_as_completed_new(race.futures, 2);
			task = lsc_spawn(take_next, &race, "waits");
			lsc_yield();
			if (woken)
				lsc_resolve(race.futures[0], 1);
			if (cancelled == 1)
				lsc_cancel(task);
			race.all = lsc_as_completed_free(race.all);
			if (cancelled == 2)
				lsc_cancel(task);
			assert_int_equal(lsc_await(task), cancelled ? -ECANCELED : -EIDRM);
			lsc_unref(task);
			lsc_unref(race.futures[0]);
			lsc_unref(race.futures[1]);
		}
	return 0;
}

static void what_completes_may_be_freed_under_who_waits(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_freed, NULL), 0);
}

/* ---- conditions ---- */

struct meeting {
	struct lsc_lock *lock;
	struct lsc_condition *condition;
	int has_lock; /* after the wait */
};

static int wait_for_condition(void *arg)
{
	struct meeting *m = arg;

	assert_int_equal(lsc_lock_acquire(m->lock), 0);
	int r = lsc_condition_wait(m->condition);
	m->has_lock += lsc_lock_is_locked(m->lock);
	assert_int_equal(lsc_lock_release(m->lock), 0);
	return r;
}

/* Notified, waiting for the lock, which we have: then the condition goes, or a request comes, or
 * both. */
static int main_of_returning(void *arg)
{
	(void)arg;
	for (int freed = 0; freed < 2; freed++)
		for (int requests = 0; requests < 3; requests++) {
			struct meeting m = {.lock = lsc_lock_new()};
			struct lsc_future *task, *second;

			m.condition = lsc_condition_new(m.lock);
			task = lsc_spawn(wait_for_condition, &m, "returns");
			second = lsc_spawn(wait_for_condition, &m, "second");
			lsc_yield();
			assert_int_equal(lsc_lock_acquire(m.lock), 0);
			assert_int_equal(lsc_condition_notify(m.condition, 1), 1);
			for (int i = 0; i < 3; i++)
				lsc_yield(); /* it wants the lock by now */
			if (freed)
				m.condition = lsc_condition_free(m.condition);
			for (int i = 0; i < requests; i++) {
				lsc_cancel(task);
				lsc_yield();
				/* It does not leave without the lock. */
				assert_int_equal(lsc_is_done(task), 0);
			}
			assert_int_equal(lsc_lock_release(m.lock), 0);
			assert_int_equal(lsc_await(task), requests ? -ECANCELED
							  : freed  ? -EIDRM
								   : 0);
			/* Its notification went on to the next one, where it did not answer it. */
			if (!freed && requests == 0)
				lsc_cancel(second);
			assert_int_equal(lsc_await(second), freed      ? -EIDRM
							    : requests ? 0
								       : -ECANCELED);
			assert_int_equal(m.has_lock, 2);
			lsc_unref(task);
			lsc_unref(second);
			lsc_condition_free(m.condition);
			lsc_lock_free(m.lock);
		}
	return 0;
}

static void who_returns_from_a_condition_has_the_lock(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_returning, NULL), 0);
}

static int hold_for_ever(void *arg)
{
	struct lsc_lock *lock = arg;

	assert_int_equal(lsc_lock_acquire(lock), 0);
	int r = lsc_sleep(HOUR_NS);
	lsc_lock_release(lock);
	return r;
}

static int acquire(void *arg)
{
	int r = lsc_lock_acquire(arg);

	return r < 0 ? r : lsc_lock_release(arg);
}

static int main_of_owners(void *arg)
{
	struct lsc_lock *lock = lsc_lock_new();
	struct lsc_future *owner = lsc_spawn(hold_for_ever, lock, "has the lock"), *waiters[3];

	(void)arg;
	for (int i = 0; i < 3; i++)
		waiters[i] = lsc_spawn(acquire, lock, "wants it");
	lsc_yield();
	lsc_yield();
	/* The owner, and the next one, which gets the lock in the same instant. */
	lsc_cancel(waiters[1]);
	lsc_cancel(owner);
	while (!lsc_is_done(owner))
		lsc_yield();
	lsc_cancel(waiters[0]);
	assert_int_equal(lsc_await(waiters[1]), -ECANCELED);
	assert_int_equal(lsc_await(waiters[2]), 0);
	assert_int_equal(lsc_is_done(waiters[0]), 1);
	assert_int_equal(lsc_lock_is_locked(lock), 0);
	lsc_unref(owner);
	for (int i = 0; i < 3; i++)
		lsc_unref(waiters[i]);
	lsc_lock_free(lock);
	return 0;
}

static void a_lock_goes_on_when_its_owner_is_cancelled(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_owners, NULL), 0);
}

static int main_of_two_releases(void *arg)
{
	struct lsc_lock *lock = lsc_lock_new();
	struct lsc_future *first, *second;

	(void)arg;
	assert_int_equal(lsc_lock_acquire(lock), 0);
	first = lsc_spawn(hold_for_ever, lock, "gets it");
	second = lsc_spawn(acquire, lock, "wants it");
	lsc_yield();
	assert_int_equal(lsc_lock_release(lock), 0);
	assert_int_equal(lsc_lock_release(lock), -EPERM); /* it is not ours any more */
	for (int i = 0; i < 3; i++)
		lsc_yield();
	assert_int_equal(lsc_is_done(second), 0);
	lsc_cancel(first);
	assert_int_equal(lsc_await(second), 0);
	lsc_unref(first);
	lsc_unref(second);
	lsc_lock_free(lock);
	return 0;
}

static void a_lock_on_its_way_is_not_released_again(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_two_releases, NULL), 0);
}

/* ---- groups ---- */

static int with_group(void *arg)
{
	lsc_task_fn child = *(lsc_task_fn *)arg;
	struct lsc_group *group = lsc_group_new();
	struct lsc_future *self = lsc_current_task();

	for (int i = 0; i < 3; i++)
		lsc_unref(lsc_group_spawn(group, sleep_long, NULL, "sibling"));
	lsc_unref(lsc_group_spawn(group, child, self, "ends the group"));
	int r = lsc_group_end(group, 0);
	assert_int_equal(lsc_cancelling(self), 1); /* a request behind an error is not lost */
	return r;
}

/* The parent's own task, from within. */
static int cancel_parent(void *arg)
{
	lsc_cancel(arg);
	return lsc_sleep(HOUR_NS);
}

static int cancel_parent_and_fail(void *arg)
{
	lsc_cancel(arg);
	return -EXDEV;
}

static int cancel_self(void *arg)
{
	(void)arg;
	lsc_cancel(lsc_current_task());
	return lsc_sleep(HOUR_NS);
}

static int main_of_groups(void *arg)
{
	static const struct {
		lsc_task_fn child;
		int result;
	} cases[] = {{cancel_parent, -ECANCELED}, {cancel_parent_and_fail, -EXDEV}};

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		lsc_task_fn child = cases[i].child;
		struct lsc_future *task = lsc_spawn(with_group, &child, "parent");
		int r = lsc_await(task);

		if (r != cases[i].result)
			fail_msg("number %zu ends with %d", i, r);
		lsc_unref(task);
	}
	/* A child that ends itself as cancelled is nobody's failure: the others go on. */
	lsc_task_fn child = cancel_self;
	struct lsc_future *task = lsc_spawn(with_group, &child, "parent");
	for (int i = 0; i < 5; i++)
		lsc_yield();
	assert_int_equal(lsc_is_done(task), 0);
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	return 0;
}

static void a_child_may_end_its_group(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_groups, NULL), 0);
}

/* ---- scopes and shields ---- */

static int main_of_deadlines(void *arg)
{
	enum { NESTED = 5 };
	struct lsc_timeout scopes[NESTED];
	uint64_t due_ns = lsc_time() + LSC_NS_PER_MS;

	(void)arg;
	/* All of them expire at once; the outermost one answers, as in asyncio. */
	for (int i = 0; i < NESTED; i++)
		assert_int_equal(lsc_timeout_begin_at(&scopes[i], due_ns), 0);
	int r = lsc_sleep(HOUR_NS);
	for (int i = NESTED - 1; i >= 0; i--) {
		assert_int_equal(lsc_timeout_expired(&scopes[i]), 1);
		r = lsc_timeout_end(&scopes[i], r);
		assert_int_equal(r, i > 0 ? -ECANCELED : -ETIMEDOUT);
	}
	assert_int_equal(lsc_cancelling(lsc_current_task()), 0);
	/* Those whose time is up at once, and never. */
	static const uint64_t ends[] = {0, 1, UINT64_MAX};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		assert_int_equal(lsc_timeout_begin_at(&scopes[0], ends[i]), 0);
		r = lsc_timeout_end(&scopes[0], lsc_sleep(LSC_NS_PER_MS));
		assert_int_equal(r, ends[i] == UINT64_MAX ? 0 : -ETIMEDOUT);
	}
	assert_int_equal(lsc_timeout_begin(&scopes[0], UINT64_MAX - 1), 0);
	return lsc_timeout_end(&scopes[0], lsc_sleep(LSC_NS_PER_MS));
}

static void scopes_of_one_deadline_end_together(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_deadlines, NULL), 0);
}

static int main_of_shields(void *arg)
{
	struct lsc_future *inner = lsc_future_new(), *shield = lsc_shield(inner);
	struct lsc_future *twice = lsc_shield(inner);

	(void)arg;
	assert_int_equal(lsc_cancel(shield), 1);
	assert_int_equal(lsc_cancel(shield), 0); /* it has ended */
	assert_int_equal(lsc_await(shield), -ECANCELED);
	assert_int_equal(lsc_is_done(inner), 0);
	assert_int_equal(lsc_is_done(twice), 0);
	assert_int_equal(lsc_resolve(inner, 5), 0);
	assert_int_equal(lsc_await(twice), 5);
	assert_int_equal(lsc_await(shield), -ECANCELED); /* it stays so */
	lsc_unref(shield);
	lsc_unref(twice);
	lsc_unref(inner);
	/* One that is released first; one over a shield; one whose inner is cancelled. */
	inner = lsc_future_new();
	lsc_unref(lsc_shield(inner));
	shield = lsc_shield(inner);
	twice = lsc_shield(shield);
	assert_int_equal(lsc_cancel(inner), 1);
	assert_int_equal(lsc_await(twice), -ECANCELED);
	lsc_unref(twice);
	lsc_unref(shield);
	lsc_unref(inner);
	/* A task that awaits one and is cancelled twice in a turn. */
	struct lsc_future *task = lsc_spawn(sleep_long, NULL, "inner");
	shield = lsc_shield(task);
	lsc_handle_unref(lsc_call_soon(cancel, lsc_current_task()));
	lsc_handle_unref(lsc_call_soon(cancel, lsc_current_task()));
	assert_int_equal(lsc_await(shield), -ECANCELED);
	assert_int_equal(lsc_uncancel(lsc_current_task()), 1);
	assert_int_equal(lsc_uncancel(lsc_current_task()), 0);
	assert_int_equal(lsc_yield(), 0);
	assert_int_equal(lsc_is_done(task), 0);
	lsc_cancel(task);
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	lsc_unref(shield);
	return 0;
}

static void a_shield_is_cancelled_alone_and_once(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_shields, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gather_may_have_no_member_or_one),
		cmocka_unit_test(a_large_gather_is_cancelled_in_the_midst),
		cmocka_unit_test(a_deep_chain_of_gathers_can_be_cancelled),
		cmocka_unit_test(who_was_woken_gets_the_next),
		cmocka_unit_test(what_completes_may_be_freed_under_who_waits),
		cmocka_unit_test(who_returns_from_a_condition_has_the_lock),
		cmocka_unit_test(a_lock_goes_on_when_its_owner_is_cancelled),
		cmocka_unit_test(a_lock_on_its_way_is_not_released_again),
		cmocka_unit_test(a_child_may_end_its_group),
		cmocka_unit_test(scopes_of_one_deadline_end_together),
		cmocka_unit_test(a_shield_is_cancelled_alone_and_once),
	};
	return cmocka_run_group_tests_name("together", tests, NULL, NULL);
}
