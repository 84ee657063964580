/* SPDX-License-Identifier: MIT */
/* Threads for which the kernel side has no room: each is counted once, however often it sleeps. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>

#include "probe.h"
#include "thread.h"

#define THREADS 3
#define SLEEPS	20
#define OTHERS	(PROBE_SLOTS + PROBE_MAX_THREADS)

static void *idle(void *arg)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev;

	for (int i = 0; i < SLEEPS; i++)
		epoll_wait(epoll, &ev, 1, 1);
	close(epoll);
	return arg;
}

static void run_threads(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, idle, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static int take_room(struct probe *p, int tid)
{
	const struct probe_sleeper s = {
		.pid = getpid(), .tid = tid, .at_ns = 1, .nr = NR_POLL, .sp = 1 << 20};

	return probe_seed(p, &s, true);
}

static void a_thread_without_room_is_counted_once(void **state)
{
	struct lsc_err err = {0};
	struct probe *p = NULL;
	int self = getpid(), taken = 0;
	const struct probe_options o = {
		.pids = &self, .npids = 1, .stall_ns = 10000000, .block_ns = 1000000};

	(void)state;
	if (probe_new(&o, NULL, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(take_room(p, self) >= 0); /* what it waits in below is not counted */
	run_threads();
	assert_int_equal(probe_counter(p, COUNT_THREADS_FULL), 0);
	for (int i = 0; i < OTHERS && take_room(p, (int)PROBE_TIDS + i) == 1; i++)
		taken++;
	assert_true(taken >= PROBE_MAX_THREADS);
	run_threads();
	assert_int_equal(probe_counter(p, COUNT_THREADS_FULL), THREADS);
	run_threads(); /* others */
	assert_int_equal(probe_counter(p, COUNT_THREADS_FULL), 2 * THREADS);
	probe_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_without_room_is_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
