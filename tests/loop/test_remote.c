/* SPDX-License-Identifier: MIT */
/* Calls from many threads while the loop runs, stops, and is freed: from threads that the program
 * keeps away from a loop that is gone, and from workers, which the loop waits for. ThreadSanitizer
 * looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"
#include "on_valgrind.h"

#define THREADS	     4
#define LOOPS	     (RUNNING_ON_VALGRIND ? 10 : 100)
#define CALLS_A_LOOP 50 /* of each thread, at least, before the loop stops */

/* Who calls reads; who changes the loop writes, and goes first: or it would wait for ever. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static struct lsc_loop *current; /* under the gate; NULL: none */
static bool over;		 /* under the gate */
static uint64_t calls;		 /* of all posters; atomic */

struct poster {
	pthread_t thread;
	uint64_t posted;  /* its own */
	uint64_t latest;  /* the loop's thread: number of the last call made */
	unsigned in_loop; /* the same: calls made in this loop */
};

static struct poster posters[THREADS];

/* Numbers grow: what is missing was dropped with a loop. A call is packed into its argument. */
static void take(void *arg)
{
	uintptr_t packed = (uintptr_t)arg;
	struct poster *poster = &posters[packed % THREADS];
	uint64_t number = packed / THREADS;
	bool all = true;

	assert_true(number > poster->latest);
	poster->latest = number;
	poster->in_loop++;
	for (int i = 0; i < THREADS; i++)
		all &= posters[i].in_loop >= CALLS_A_LOOP;
	if (all)
		lsc_loop_stop(lsc_loop_current());
}

static void *post(void *arg)
{
	struct poster *poster = arg;

	for (;;) {
		pthread_rwlock_rdlock(&gate);
		bool has_loop = current;
		if (over) {
			pthread_rwlock_unlock(&gate);
			return NULL;
		}
		if (has_loop) {
			uintptr_t packed = (uintptr_t)++poster->posted * THREADS +
					   (uintptr_t)(poster - posters);

			assert_int_equal(lsc_call_soon_threadsafe(current, take, (void *)packed),
					 0);
			__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
		}
		pthread_rwlock_unlock(&gate);
		if (!has_loop || poster->posted % CALLS_A_LOOP == 0)
			sched_yield(); /* the others have their turn, too */
	}
}

static int wait_for_the_end(void *arg)
{
	(void)arg;
	int r = lsc_sleep(3600000000000u);
	/* While the loop unwinds calls still come. */
	lsc_yield();
	return r;
}

static void set_current(struct lsc_loop *loop)
{
	pthread_rwlock_wrlock(&gate);
	current = loop;
	pthread_rwlock_unlock(&gate);
}

static void calls_come_while_loops_stop_and_are_freed(void **state)
{
	struct lsc_loop *loop;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&posters[i].thread, NULL, post, &posters[i]), 0);
	for (int n = 0; n < LOOPS; n++) {
		for (int i = 0; i < THREADS; i++)
			posters[i].in_loop = 0;
		assert_int_equal(lsc_loop_new(NULL, &loop), 0);
		lsc_unref(lsc_spawn(wait_for_the_end, NULL, "to the end"));
		set_current(loop);
		assert_int_equal(lsc_loop_run(loop), 0);
		/* What comes now is dropped, or made while tasks unwind. */
		uint64_t before = __atomic_load_n(&calls, __ATOMIC_RELAXED);
		while (__atomic_load_n(&calls, __ATOMIC_RELAXED) == before)
			sched_yield();
		set_current(NULL);
		assert_int_equal(lsc_loop_free(loop), 0);
	}
	pthread_rwlock_wrlock(&gate);
	over = true;
	pthread_rwlock_unlock(&gate);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
		assert_true(posters[i].latest >= (uint64_t)LOOPS * CALLS_A_LOOP);
		assert_true(posters[i].latest <= posters[i].posted);
	}
}

/* ---- workers ---- */

#define CALLS 2000

static int made;

static void count(void *arg)
{
	(void)arg;
	made++;
}

static int post_many(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(lsc_call_soon_threadsafe(arg, count, NULL), 0);
	return CALLS;
}

static int main_that_leaves_workers(void *arg)
{
	struct lsc_future *first = lsc_thread_start(post_many, lsc_loop_current(), NULL);

	(void)arg;
	for (int i = 1; i < THREADS; i++)
		lsc_unref(lsc_thread_start(post_many, lsc_loop_current(), NULL));
	int r = lsc_await(first);
	lsc_unref(first);
	assert_true(made >= CALLS);
	return r;
}

static void workers_may_call_until_the_loop_has_waited_for_them(void **state)
{
	(void)state;
	for (int n = 0; n < LOOPS / 10; n++) {
		made = 0;
		assert_int_equal(lsc_run(main_that_leaves_workers, NULL), CALLS);
		assert_in_range(made, CALLS, THREADS * CALLS);
	}
}

/* ---- more completions than io_uring has room for ---- */

#if defined(__SANITIZE_THREAD__)
#define WAITERS 500 /* each is a fiber, of more memory than it has for so many */
#else
#define WAITERS (RUNNING_ON_VALGRIND ? 500 : 5000)
#endif

static int wait_readable(void *arg)
{
	int r = lsc_wait_fd(*(int *)arg, POLLIN);

	return r < 0 ? r : 0;
}

/* So many descriptors of one pipe: each is watched, and a write is an event of all of them. */
static void open_many(int *fds, int pipe_end)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 2 * WAITERS) {
		limit.rlim_cur = 2 * WAITERS;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	for (int i = 0; i < WAITERS; i++) {
		fds[i] = dup(pipe_end);
		assert_true(fds[i] >= 0);
	}
}

static int main_of_floods(void *arg)
{
	struct lsc_future **tasks = calloc(WAITERS, sizeof(struct lsc_future *));
	int *fds = calloc(WAITERS, sizeof(int));
	int pair[2];

	(void)arg;
	assert_non_null(tasks);
	assert_non_null(fds);
	assert_int_equal(pipe(pair), 0);
	open_many(fds, pair[0]);
	for (int round = 0; round < 3; round++) {
		char byte;

		for (int i = 0; i < WAITERS; i++)
			assert_non_null(tasks[i] = lsc_spawn(wait_readable, &fds[i], NULL));
		assert_int_equal(lsc_sleep(1), 0); /* all of them wait by now */
		made = 0;
		assert_int_equal(write(pair[1], "x", 1), 1);
		assert_int_equal(lsc_call_soon_threadsafe(lsc_loop_current(), count, NULL), 0);
		for (int i = 0; i < WAITERS; i++) {
			assert_int_equal(lsc_await(tasks[i]), 0);
			lsc_unref(tasks[i]);
		}
		assert_int_equal(read(pair[0], &byte, 1), 1);
		/* Then, and afterwards. */
		assert_int_equal(lsc_call_soon_threadsafe(lsc_loop_current(), count, NULL), 0);
		while (made < 2)
			assert_int_equal(lsc_sleep(1), 0);
	}
	for (int i = 0; i < WAITERS; i++)
		assert_int_equal(lsc_close(fds[i]), 0);
	assert_int_equal(lsc_close(pair[0]), 0);
	assert_int_equal(lsc_close(pair[1]), 0);
	free(fds);
	free(tasks);
	return 0;
}

static void calls_come_through_a_flood_of_events(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_floods, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_come_while_loops_stop_and_are_freed),
		cmocka_unit_test(workers_may_call_until_the_loop_has_waited_for_them),
		cmocka_unit_test(calls_come_through_a_flood_of_events),
	};
	return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
