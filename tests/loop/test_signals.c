/* SPDX-License-Identifier: MIT */
/* Signals between two moments: before the task that they woke has run, together with a request to
 * end, and in a handler of another thread while the loop is freed. getpid() is wrapped by the
 * linker: the handler calls it between its look at the loop's descriptor and its write there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"

static int wait_for_both(void *arg)
{
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	return lsc_signal_wait(&set);
}

static int main_of_two(void *arg)
{
	struct lsc_future *task = lsc_spawn(wait_for_both, arg, "waits");

	lsc_yield();
	assert_int_equal(raise(SIGUSR2), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(lsc_await(task), SIGUSR1);
	lsc_unref(task);
	assert_int_equal(wait_for_both(arg), SIGUSR2);
	return 0;
}

static void a_second_signal_is_not_lost(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_two, NULL), 0);
}

/* It comes once more, when the task is awake and before its turn. */
static void raise_again(int signo, void *arg)
{
	(void)signo;
	(void)arg;
	assert_int_equal(raise(SIGUSR1), 0);
}

static int main_of_same(void *arg)
{
	struct lsc_future *task = lsc_spawn(wait_for_both, arg, "waits");
	struct lsc_timeout limit;

	lsc_yield();
	/* Handlers are called in the order of their numbers: SIGUSR1 wakes, SIGURG raises it. */
	assert_true(SIGUSR1 < SIGURG);
	assert_int_equal(lsc_signal_add(SIGURG, raise_again, NULL), 0);
	assert_int_equal(raise(SIGURG), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(lsc_await(task), SIGUSR1);
	lsc_unref(task);
	assert_int_equal(lsc_timeout_begin(&limit, LSC_NS_PER_S), 0);
	assert_int_equal(lsc_timeout_end(&limit, wait_for_both(arg)), SIGUSR1);
	return lsc_signal_remove(SIGURG);
}

static void the_same_signal_again_is_not_lost(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_same, NULL), 0);
}

static void cancel(void *arg)
{
	lsc_cancel(arg);
}

static int wait_twice(void *arg)
{
	int r = wait_for_both(arg);

	return r == SIGUSR1 && lsc_yield() == -ECANCELED ? -ECANCELED : -EPROTO;
}

/* The signal, then the request, then the task's turn. */
static void cancel_when_it_came(int signo, void *arg)
{
	(void)signo;
	lsc_cancel(arg);
}

static int main_of_request(void *arg)
{
	struct lsc_future *task = lsc_spawn(wait_twice, arg, "waits");

	lsc_yield();
	/* Handlers are called in the order of their numbers: SIGUSR1 wakes, SIGURG cancels. */
	assert_true(SIGUSR1 < SIGURG);
	assert_int_equal(lsc_signal_add(SIGURG, cancel_when_it_came, task), 0);
	assert_int_equal(raise(SIGURG), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	return lsc_signal_remove(SIGURG);
}

static void a_signal_that_came_before_the_request_is_not_lost(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_request, NULL), 0);
}

static int main_of_early_request(void *arg)
{
	struct lsc_future *task = lsc_spawn(wait_for_both, arg, "waits");

	lsc_yield();
	lsc_handle_unref(lsc_call_soon(cancel, task));
	assert_int_equal(lsc_await(task), -ECANCELED);
	lsc_unref(task);
	return 0;
}

static void a_request_alone_ends_the_wait(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_early_request, NULL), 0);
}

/* ---- handlers that take themselves away ---- */

static int calls;

static void remove_itself(int signo, void *arg)
{
	calls++;
	assert_int_equal(lsc_signal_remove(signo), 0);
	/* The other one that came with it, which has not been called yet, is not called any more.
	 */
	assert_int_equal(lsc_signal_remove(*(int *)arg), 0);
}

static int main_of_suicides(void *arg)
{
	int second = SIGUSR2;
	struct sigaction own = {.sa_handler = SIG_IGN}, before;

	(void)arg;
	calls = 0;
	assert_int_equal(sigaction(SIGUSR1, &own, &before), 0);
	assert_int_equal(lsc_signal_add(SIGUSR1, remove_itself, &second), 0);
	assert_int_equal(lsc_signal_add(SIGUSR2, remove_itself, &second), 0);
	assert_int_equal(raise(SIGUSR2), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	while (calls == 0)
		assert_int_equal(lsc_sleep(1), 0);
	assert_int_equal(lsc_sleep(LSC_NS_PER_MS), 0);
	assert_int_equal(calls, 1);
	assert_int_equal(raise(SIGUSR1), 0); /* ignored, as it was */
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	return 0;
}

static void a_handler_may_take_itself_and_others_away(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_suicides, NULL), 0);
}

/* ---- a handler that runs while the loop is freed ---- */

#define PATIENCE_MS 200

static __thread bool is_held_up; /* in its handler */
static int eventfd_number;
static sem_t in_handler;
static bool closed_meanwhile;

static void pause_ms(void)
{
	struct timespec ms = {0, 1000000};

	nanosleep(&ms, NULL);
}

pid_t __real_getpid(void);
pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void)
{
	if (is_held_up) {
		sem_post(&in_handler);
		for (int i = 0; i < PATIENCE_MS && !closed_meanwhile; i++) {
			closed_meanwhile = fcntl(eventfd_number, F_GETFD) < 0;
			pause_ms();
		}
	}
	return __real_getpid();
}

static void ignore(int signo, void *arg)
{
	(void)signo;
	(void)arg;
}

static void *meet_signal(void *arg)
{
	(void)arg;
	is_held_up = true;
	pthread_kill(pthread_self(), SIGUSR1);
	return NULL;
}

static void a_handler_in_another_thread_finds_the_loop_open(void **state)
{
	struct lsc_loop *loop;
	pthread_t late;

	(void)state;
	sem_init(&in_handler, 0, 0);
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	assert_int_equal(lsc_signal_add(SIGUSR1, ignore, NULL), 0);
	eventfd_number = loop->remote.fd;
	assert_int_equal(pthread_create(&late, NULL, meet_signal, NULL), 0);
	while (sem_wait(&in_handler) < 0)
		;
	assert_int_equal(lsc_loop_free(loop), 0);
	assert_int_equal(pthread_join(late, NULL), 0);
	assert_false(closed_meanwhile);
	sem_destroy(&in_handler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_signal_is_not_lost),
		cmocka_unit_test(the_same_signal_again_is_not_lost),
		cmocka_unit_test(a_signal_that_came_before_the_request_is_not_lost),
		cmocka_unit_test(a_request_alone_ends_the_wait),
		cmocka_unit_test(a_handler_may_take_itself_and_others_away),
		cmocka_unit_test(a_handler_in_another_thread_finds_the_loop_open),
	};
	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
