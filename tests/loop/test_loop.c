/* SPDX-License-Identifier: MIT */
/* Explicit loops, and fairness of a tick. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_runs_again_and_again_until_it_is_freed),
		cmocka_unit_test(another_thread_can_only_call_threadsafe),
		cmocka_unit_test(a_task_may_have_a_stack_of_its_own_size),
		cmocka_unit_test(tasks_that_keep_themselves_ready_starve_nobody),
		cmocka_unit_test(no_round_begins_after_the_burst),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
