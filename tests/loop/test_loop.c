/* SPDX-License-Identifier: MIT */
/* Explicit loops, fairness of a tick, and debug mode. */
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

#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static int return_seven(void *arg)
{
	(void)arg;
	return 7;
}

static int sleep_long(void *arg)
{
	int *slept = arg;

	*slept = lsc_sleep(LSC_NS_PER_S * 3600);
	return *slept;
}

static void stop(void *arg)
{
	lsc_loop_stop(arg);
}

/* ---- explicit loops ---- */

static int main_of_misuse(void *arg)
{
	assert_int_equal(lsc_loop_free(arg), -EBUSY);
	assert_int_equal(lsc_loop_run(arg), -EBUSY);
	assert_int_equal(lsc_loop_run_until(arg, lsc_current_task()), -EBUSY);
	return 1;
}

static void a_loop_runs_again_and_again_until_it_is_freed(void **state)
{
	struct lsc_loop *loop, *second;
	int slept = 0;

	(void)state;
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	assert_int_equal(lsc_loop_new(NULL, &second), -EBUSY);
	assert_ptr_equal(lsc_loop_current(), loop);
	struct lsc_future *sleeper = lsc_spawn(sleep_long, &slept, NULL);
	struct lsc_future *task = lsc_spawn(return_seven, NULL, NULL);
	assert_int_equal(lsc_loop_run_until(loop, task), 7);
	assert_int_equal(lsc_loop_run_until(loop, task), 7);
	lsc_unref(task);
	task = lsc_spawn(main_of_misuse, loop, NULL);
	assert_int_equal(lsc_loop_run_until(loop, task), 1);
	lsc_unref(task);
	lsc_handle_unref(lsc_call_soon(stop, loop));
	assert_int_equal(lsc_loop_run(loop), 0);
	lsc_handle_unref(lsc_call_later(LSC_NS_PER_MS, stop, loop));
	assert_int_equal(lsc_loop_run_until(loop, sleeper), -EINTR);
	assert_int_equal(slept, 0);
	/* With tasks alive: they unwind. */
	assert_int_equal(lsc_loop_free(loop), 0);
	assert_int_equal(slept, -ECANCELED);
	assert_null(lsc_loop_current());
	assert_int_equal(lsc_is_cancelled(sleeper), 1); /* a late reference does no harm */
	lsc_unref(sleeper);
	assert_int_equal(lsc_loop_free(NULL), 0);
}

static void *use_foreign_loop(void *arg)
{
	struct lsc_loop *loop = arg;

	assert_int_equal(lsc_loop_run(loop), -EPERM);
	assert_int_equal(lsc_loop_free(loop), -EPERM);
	assert_int_equal(lsc_call_soon_threadsafe(loop, stop, loop), 0);
	return NULL;
}

static void another_thread_can_only_call_threadsafe(void **state)
{
	struct lsc_loop *loop;
	pthread_t thread;

	(void)state;
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	assert_int_equal(pthread_create(&thread, NULL, use_foreign_loop, loop), 0);
	assert_int_equal(lsc_loop_run(loop), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(lsc_loop_free(loop), 0);
}

static int large_frame(void *arg)
{
	volatile char frame[700 * 1024];

	(void)arg;
	for (size_t i = 0; i < sizeof(frame); i += 4096)
		frame[i] = 1;
	return frame[4096];
}

static int main_of_sizes(void *arg)
{
	struct lsc_task_options o = {.size = sizeof(o), .name = "large", .stack_size = 800 * 1024};

	(void)arg;
	for (int i = 0; i < 3; i++) {
		struct lsc_future *f = lsc_spawn_with(large_frame, NULL, &o);
		assert_int_equal(lsc_await(f), 1);
		lsc_unref(f);
	}
	o.stack_size = (1ull << 30) + 1;
	assert_null(lsc_spawn_with(large_frame, NULL, &o));
	o = (struct lsc_task_options){.size = 1};
	assert_null(lsc_spawn_with(large_frame, NULL, &o));
	return 0;
}

static void a_task_may_have_a_stack_of_its_own_size(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_sizes, NULL), 0);
}

/* ---- fairness ---- */

struct fair {
	bool stop;
	uint64_t due_ns;
	uint32_t due_tick; /* in which a task first saw that the timer was due; 0: not yet */
	int fd[2];
};

static uint32_t tick(void)
{
	return lsc_loop_current()->trace.ring.producer->header->tick;
}

static int keep_ready(void *arg)
{
	struct fair *f = arg;

	while (!f->stop) {
		if (f->due_tick == 0 && lsc_now_ns() >= f->due_ns)
			f->due_tick = tick();
		assert_int_equal(lsc_yield(), 0);
	}
	return 0;
}

static int main_of_fairness(void *arg)
{
	struct fair f = {.due_ns = lsc_now_ns() + 2 * LSC_NS_PER_MS};
	struct lsc_future *keen[10];
	char byte;

	(void)arg;
	assert_int_equal(pipe(f.fd), 0);
	for (int i = 0; i < 10; i++)
		keen[i] = lsc_spawn(keep_ready, &f, NULL);
	assert_int_equal(lsc_sleep_until(f.due_ns), 0);
	/* Seen in one tick, or not yet; served in the next. */
	assert_true(f.due_tick == 0 || tick() - f.due_tick <= 1);
	assert_int_equal(write(f.fd[1], "x", 1), 1);
	uint32_t ready_tick = tick();
	assert_int_equal(lsc_wait_fd(f.fd[0], POLLIN), POLLIN);
	assert_int_equal(tick() - ready_tick, 1);
	assert_int_equal(read(f.fd[0], &byte, 1), 1);
	f.stop = true;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(lsc_await(keen[i]), 0);
		lsc_unref(keen[i]);
	}
	close(f.fd[0]);
	close(f.fd[1]);
	return 0;
}

static void tasks_that_keep_themselves_ready_starve_nobody(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_fairness, NULL), 0);
}

static unsigned steps;

static int step_20us(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		uint64_t end_ns = lsc_now_ns() + 20000;

		steps++;
		while (lsc_now_ns() < end_ns)
			;
		assert_int_equal(lsc_yield(), 0);
	}
	return 0;
}

/* Two tasks with steps of 20 us: a second round may begin 40 us after the wait, a third, at 80 us,
 * may not. So a tick lasts for a burst of 50 us and a round at most, whatever the tasks do. */
static void no_round_begins_after_the_burst(void **state)
{
	struct lsc_loop *loop;

	(void)state;
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	struct lsc_future *a = lsc_spawn(step_20us, NULL, NULL);
	struct lsc_future *b = lsc_spawn(step_20us, NULL, NULL);
	while (!lsc_is_done(a) || !lsc_is_done(b)) {
		steps = 0;
		assert_int_equal(loop_turn(loop, UINT64_MAX), 0);
		assert_in_range(steps, 0, 4);
	}
	lsc_unref(a);
	lsc_unref(b);
	assert_int_equal(lsc_loop_free(loop), 0);
}

/* ---- debug mode ---- */

static char said[4096];

static void hear(const char *message, void *arg)
{
	assert_string_equal(arg, "arg");
	assert_null(strchr(message, '\n'));
	strcat(said, message);
	strcat(said, "\n");
}

static int run_debug(lsc_task_fn main_fn, void *arg)
{
	struct lsc_loop_options o = {
		.size = sizeof(o),
		.debug = LSC_DEBUG_ON,
		.slow_step_ns = 20 * LSC_NS_PER_MS,
		.log = hear,
		.log_arg = "arg",
	};

	said[0] = '\0';
	return lsc_run_with(&o, main_fn, arg);
}

static int block(void *arg)
{
	struct timespec t = {.tv_nsec = 25000000};

	(void)arg;
	nanosleep(&t, NULL);
	return 0;
}

static void block_in_a_call(void *arg)
{
	block(arg);
}

static int main_of_slow(void *arg)
{
	struct lsc_future *f = lsc_spawn(block, NULL, "slowpoke");

	(void)arg;
	lsc_await(f);
	lsc_unref(f);
	lsc_handle_unref(lsc_call_soon(block_in_a_call, NULL));
	return lsc_yield();
}

static void debug_tells_who_held_the_loop(void **state)
{
	(void)state;
	assert_int_equal(run_debug(main_of_slow, NULL), 0);
	assert_non_null(
		strstr(said, "'slowpoke', spawned in main_of_slow (tests/loop/test_loop.c:"));
	assert_non_null(strstr(said, "held the loop for 2"));
	assert_non_null(strstr(said, "a call held the loop"));
	assert_null(strstr(said, "'main'"));
}

static int fail_io(void *arg)
{
	(void)arg;
	return -EIO;
}

static int leave_a_lock(void *arg)
{
	return lsc_lock_acquire(arg);
}

static int main_of_forgotten(void *arg)
{
	struct lsc_lock *lock = lsc_lock_new();
	static int slept;

	(void)arg;
	lsc_unref(lsc_spawn(fail_io, NULL, "failed"));
	lsc_unref(lsc_spawn(return_seven, NULL, "detached")); /* no mistake */
	struct lsc_future *forgotten = lsc_spawn(return_seven, NULL, "forgotten");
	struct lsc_future *awaited = lsc_spawn(fail_io, NULL, "seen");
	struct lsc_future *locker = lsc_spawn(leave_a_lock, lock, "locker");
	lsc_unref(lsc_spawn(sleep_long, &slept, "left"));
	assert_int_equal(lsc_await(awaited), -EIO);
	assert_int_equal(lsc_await(locker), 0);
	assert_int_equal(lsc_lock_is_locked(lock), 1);
	assert_int_equal(lsc_lock_release(lock), 0);
	lsc_lock_free(lock);
	lsc_unref(forgotten);
	lsc_unref(awaited);
	lsc_unref(locker);
	return 0;
}

static void debug_tells_what_was_forgotten(void **state)
{
	(void)state;
	assert_int_equal(run_debug(main_of_forgotten, NULL), 0);
	assert_non_null(strstr(said, "'failed', spawned in main_of_forgotten"));
	assert_non_null(strstr(said, "its error -5 (Input/output error) was never taken"));
	assert_non_null(strstr(said, "'forgotten', spawned in main_of_forgotten"));
	assert_non_null(strstr(said, "was never awaited"));
	assert_non_null(strstr(said, "ended with 1 lock held"));
	assert_non_null(strstr(said, "is cancelled: its loop ends"));
	assert_null(strstr(said, "'detached'"));
	assert_null(strstr(said, "'seen'"));
	assert_null(strstr(said, "'main'"));
}

struct shared {
	struct lsc_future *future;
	struct lsc_event *event;
	struct lsc_lock *lock;
	struct lsc_semaphore *semaphore;
	struct lsc_queue *queue;
};

static void never(struct lsc_future *future, void *arg)
{
	(void)future;
	(void)arg;
	abort();
}

static void *use_foreign_objects(void *arg)
{
	struct shared *s = arg;
	void *item;

	assert_int_equal(lsc_resolve(s->future, 1), -EPERM);
	assert_int_equal(lsc_cancel(s->future), -EPERM);
	assert_int_equal(lsc_add_done_callback(s->future, never, NULL), -EPERM);
	assert_int_equal(lsc_event_set(s->event), -EPERM);
	assert_int_equal(lsc_lock_release(s->lock), -EPERM);
	assert_int_equal(lsc_semaphore_release(s->semaphore), -EPERM);
	assert_int_equal(lsc_queue_put_nowait(s->queue, NULL), -EPERM);
	assert_int_equal(lsc_queue_get_nowait(s->queue, &item), -EPERM);
	return NULL;
}

static int main_of_foreign(void *arg)
{
	struct shared s = {lsc_future_new(), lsc_event_new(), lsc_lock_new(),
			   lsc_semaphore_new(0, 0), lsc_queue_new(LSC_FIFO, 0, NULL)};
	pthread_t thread;

	(void)arg;
	assert_int_equal(lsc_lock_acquire(s.lock), 0);
	assert_int_equal(pthread_create(&thread, NULL, use_foreign_objects, &s), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(lsc_is_done(s.future), 0);
	lsc_unref(s.future);
	lsc_event_free(s.event);
	lsc_lock_free(s.lock);
	lsc_semaphore_free(s.semaphore);
	lsc_queue_free(s.queue);
	return 0;
}

static void debug_refuses_calls_from_another_thread(void **state)
{
	static const char *const names[] = {
		"lsc_resolve()",	  "lsc_cancel()",	    "lsc_add_done_callback()",
		"lsc_event_set()",	  "lsc_lock_release()",	    "lsc_semaphore_release()",
		"lsc_queue_put_nowait()", "lsc_queue_get_nowait()",
	};

	(void)state;
	assert_int_equal(run_debug(main_of_foreign, NULL), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(strstr(said, names[i]));
	assert_non_null(strstr(said, "another thread"));
}

static int use_stack(void *arg)
{
	size_t size = *(size_t *)arg;
	volatile char frame[size];

	for (size_t i = 0; i < size; i += 64)
		frame[i] = 1;
	return frame[0] - 1;
}

static int main_of_stacks(void *arg)
{
	struct lsc_task_options o = {.size = sizeof(o), .stack_size = 4u << 20};
	static struct lsc_site sites[3] = {
		{"a", "a.c", 1, 0, 0}, {"b", "b.c", 2, 0, 0}, {"c", "c.c", 3, 0, 0}};
	size_t sizes[3] = {40000, 900000, 90000};

	(void)arg;
	for (int i = 0; i < 3; i++) { /* one after the other, on the same stack */
		struct lsc_future *f = lsc_spawn_with_at(&sites[i], use_stack, &sizes[i], &o);

		assert_int_equal(lsc_await(f), 0);
		lsc_unref(f);
		assert_in_range(sites[i].stack_high, sizes[i], sizes[i] + 30000);
	}
	sizes[2] = 20000; /* less: the mark stays */
	struct lsc_future *f = lsc_spawn_with_at(&sites[2], use_stack, &sizes[2], &o);
	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
	assert_in_range(sites[2].stack_high, 90000, 120000);
	return 0;
}

static int keep_reference(void *arg)
{
	*(struct lsc_future **)arg = lsc_future_new();
	return 0;
}

static void debug_takes_no_late_reference_for_another_thread(void **state)
{
	struct lsc_future *late;

	(void)state;
	assert_int_equal(run_debug(keep_reference, &late), 0);
	lsc_unref(late);
	assert_string_equal(said, "");
}

static void debug_measures_the_stack_of_each_site(void **state)
{
	(void)state;
	assert_int_equal(run_debug(main_of_stacks, NULL), 0);
}

static int is_debug(void *arg)
{
	(void)arg;
	return lsc_loop_current()->debug != NULL;
}

static void debug_is_asked_for_by_the_environment_or_an_option(void **state)
{
	struct lsc_loop_options o = {.size = sizeof(o), .debug = LSC_DEBUG_OFF};

	(void)state;
	unsetenv("LSC_DEBUG");
	assert_int_equal(lsc_run(is_debug, NULL), 0);
	setenv("LSC_DEBUG", "1", 1);
	assert_int_equal(lsc_run(is_debug, NULL), 1);
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), 0);
	setenv("LSC_DEBUG", "0", 1);
	assert_int_equal(lsc_run(is_debug, NULL), 0);
	o.debug = LSC_DEBUG_ON;
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), 1);
	o.debug = 3;
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), -EINVAL);
	/* Options of a program that was built before there was a debug mode. */
	o = (struct lsc_loop_options){.size = 16, .debug = 3};
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), 0);
	unsetenv("LSC_DEBUG");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_runs_again_and_again_until_it_is_freed),
		cmocka_unit_test(another_thread_can_only_call_threadsafe),
		cmocka_unit_test(a_task_may_have_a_stack_of_its_own_size),
		cmocka_unit_test(tasks_that_keep_themselves_ready_starve_nobody),
		cmocka_unit_test(no_round_begins_after_the_burst),
		cmocka_unit_test(debug_tells_who_held_the_loop),
		cmocka_unit_test(debug_tells_what_was_forgotten),
		cmocka_unit_test(debug_refuses_calls_from_another_thread),
		cmocka_unit_test(debug_takes_no_late_reference_for_another_thread),
		cmocka_unit_test(debug_measures_the_stack_of_each_site),
		cmocka_unit_test(debug_is_asked_for_by_the_environment_or_an_option),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
