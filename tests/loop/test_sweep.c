/* SPDX-License-Identifier: MIT */
/*
 * The allocation sweep: lets the first, second, ... call of those that can fail do so, until a
 * whole run succeeds. Each failure must come back as an error, or leave the loop unrecorded, and
 * leak nothing (the asan preset looks). The calls are wrapped by the linker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"
#include "wrap.h"

static int body(void *arg)
{
	int *fd = arg;

	return lsc_wait_fd(*fd, POLLIN);
}

/* Makes one of each object and wait; 0, or the first error. */
static int main_of_everything(void *arg)
{
	int *fd = arg;
	struct lsc_future *f = NULL, *g = NULL, *task = lsc_spawn(body, fd, "a");
	int r = task ? lsc_await(task) : -ENOMEM;

	if (r >= 0) {
		f = lsc_future_new();
		r = f ? lsc_resolve(f, 0) : -ENOMEM;
	}
	if (r >= 0) {
		g = lsc_gather(&f, 1, 0);
		r = g ? lsc_await(g) : -ENOMEM;
	}
	if (r >= 0)
		r = lsc_sleep(1);
	lsc_unref(g);
	lsc_unref(f);
	lsc_unref(task);
	return r < 0 ? r : 0;
}

static void every_failure_is_an_error_or_harmless(void **state)
{
	int pair[2], failures = 0, r;

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	for (unsigned nth = 1;; nth++) {
		wrap_fail_at(nth);
		r = lsc_run(main_of_everything, &pair[0]);
		if (!wrap_has_failed())
			break;
		assert_true(r == 0 || r == -ENOMEM);
		failures += r != 0;
		assert_in_range(nth, 1, 100);
	}
	wrap_fail_at(0);
	assert_int_equal(r, 0);
	/* loop, backend, epoll, eventfd, main and its stack, task and its stack, table, heap, ...
	 */
	assert_true(failures >= 10);
	close(pair[0]);
	close(pair[1]);
}

/* ---- what tasks make of each other ---- */

#define MANY 12 /* futures: more than lsc_wait() keeps on the stack */

static void count(struct lsc_future *future, void *arg)
{
	(void)future;
	++*(int *)arg;
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

static int return_one(void *arg)
{
	(void)arg;
	return 1;
}

static int use_futures(struct lsc_future **f, struct lsc_future **ret_shield)
{
	struct lsc_future *next;
	int r, counted = 0;

	for (int i = 0; i < MANY; i++) {
		f[i] = lsc_future_new();
		if (!f[i])
			return -ENOMEM;
	}
	r = lsc_add_done_callback(f[0], count, &counted);
	if (r < 0)
		return r;
	*ret_shield = lsc_shield(f[0]);
	if (!*ret_shield)
		return -ENOMEM;
	for (int i = 0; i < MANY; i++)
		lsc_resolve(f[i], i);
	r = lsc_wait(f, MANY, LSC_ALL_COMPLETED, 1);
	if (r < 0)
		return r;
	struct lsc_as_completed *all = lsc_as_completed_new(f, MANY);
	r = all ? lsc_as_completed_next(all, &next) : -ENOMEM;
	lsc_as_completed_free(all);
	if (r >= 0)
		r = lsc_yield();
	assert_true(r < 0 || counted == 1);
	return r;
}

static int use_calls(void)
{
	struct lsc_handle *soon, *later;
	int calls = 0, r = 0;

	soon = lsc_call_soon(count_call, &calls);
	later = lsc_call_later(1, count_call, &calls);
	int remote = lsc_call_soon_threadsafe(lsc_loop_current(), count_call, &calls);
	assert_true(remote == 0 || remote == -ENOMEM);
	if (soon && later)
		r = lsc_sleep(2000000);
	assert_true(!soon || !later || r < 0 || calls == 2 + (remote == 0));
	if (soon)
		lsc_handle_cancel(soon);
	if (later)
		lsc_handle_cancel(later);
	r = soon && later && remote == 0 ? r : -ENOMEM;
	lsc_handle_unref(soon);
	lsc_handle_unref(later);
	return r;
}

static int use_group(void)
{
	struct lsc_group *group = lsc_group_new();
	struct lsc_future *child;

	if (!group)
		return -ENOMEM;
	child = lsc_group_spawn(group, return_one, NULL, "a child with a name");
	lsc_unref(child);
	return lsc_group_end(group, child ? 0 : -ENOMEM);
}

static int use_objects(void)
{
	struct lsc_event *event = lsc_event_new();
	struct lsc_lock *lock = lsc_lock_new();
	struct lsc_condition *condition = lsc_condition_new(lock);
	struct lsc_semaphore *semaphore = lsc_semaphore_new(1, 1);
	struct lsc_barrier *barrier = lsc_barrier_new(1);
	struct lsc_queue *queue = lsc_queue_new(LSC_FIFO, 0, NULL);
	int r = event && lock && condition && semaphore && barrier && queue ? 0 : -ENOMEM;

	for (int i = 0; i < 40 && r == 0; i++) { /* the queue grows twice */
		r = lsc_queue_put(queue, NULL);
		assert_int_equal(lsc_queue_count(queue), i + (r == 0));
	}
	lsc_queue_free(queue);
	lsc_barrier_free(barrier);
	lsc_semaphore_free(semaphore);
	lsc_condition_free(condition);
	lsc_lock_free(lock);
	lsc_event_free(event);
	return r;
}

static int main_of_objects(void *arg)
{
	struct lsc_future *f[MANY] = {NULL}, *shield = NULL;
	int r = use_futures(f, &shield);

	(void)arg;
	for (int i = 0; i < MANY; i++)
		lsc_unref(f[i]);
	lsc_unref(shield);
	if (r >= 0)
		r = use_calls();
	if (r >= 0)
		r = use_group();
	return r >= 0 ? use_objects() : r;
}

/* What is forgotten because memory ran out is no news here. */
static void ignore(const char *message, void *arg)
{
	(void)message;
	(void)arg;
}

static void every_object_fails_cleanly(void **state)
{
	struct lsc_loop_options o = {.size = sizeof(o), .debug = LSC_DEBUG_ON, .log = ignore};
	int failures = 0, r;

	(void)state;
	for (unsigned nth = 1;; nth++) {
		wrap_fail_at(nth);
		r = lsc_run_with(&o, main_of_objects, NULL);
		if (!wrap_has_failed())
			break;
		assert_true(r == 0 || r == -ENOMEM);
		failures += r != 0;
		assert_in_range(nth, 1, 200);
	}
	wrap_fail_at(0);
	assert_int_equal(r, 0);
	assert_true(failures >= MANY + 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_is_an_error_or_harmless),
		cmocka_unit_test(every_object_fails_cleanly),
	};
	return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
