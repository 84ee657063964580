/* SPDX-License-Identifier: MIT */
/* Adversaries that always have something to run, each alone and all at once: a timer and a
 * descriptor are served all the same. Whoever can starve them does so for good, so the bound on
 * time is no tolerance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"

#define GIVE_UP_NS (20 * LSC_NS_PER_S)
#define ROUNDS	   20
#define QUEUED_MAX 1000

static struct lsc_loop *loop;
static uint64_t give_up_ns;
static bool over;	/* atomic: the victim is served, or never will be */
static unsigned queued; /* atomic: calls of the thread that are under way */

static bool goes_on(void)
{
	if (lsc_now_ns() >= give_up_ns)
		__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	return !__atomic_load_n(&over, __ATOMIC_RELAXED);
}

/* ---- adversaries ---- */

static int respawn(void *arg)
{
	if (goes_on())
		lsc_unref(lsc_spawn(respawn, arg, NULL));
	return 0;
}

static void start_respawning(void)
{
	lsc_unref(lsc_spawn(respawn, NULL, NULL));
}

static void call_again(void *arg)
{
	if (goes_on())
		lsc_handle_unref(lsc_call_soon(call_again, arg));
}

static void start_calling(void)
{
	call_again(NULL);
}

static void is_due_again(void *arg)
{
	if (goes_on())
		lsc_handle_unref(lsc_call_at(0, is_due_again, arg));
}

static int sleep_until_past(void *arg)
{
	(void)arg;
	while (goes_on())
		lsc_sleep_until(1);
	return 0;
}

static void start_timers(void)
{
	for (int i = 0; i < 1000; i++)
		is_due_again(NULL);
	lsc_unref(lsc_spawn(sleep_until_past, NULL, NULL));
}

static int talk_to_itself(void *arg)
{
	char byte = 0;
	int ends[2];

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	while (goes_on()) {
		/* Both would go on for ever without suspending. */
		if (lsc_send(ends[0], &byte, 1, 0) < 0 || lsc_recv(ends[1], &byte, 1, 0) < 0)
			break; /* the loop ends */
	}
	lsc_close(ends[0]);
	return lsc_close(ends[1]);
}

static void start_talking(void)
{
	lsc_unref(lsc_spawn(talk_to_itself, NULL, NULL));
}

static void take_call(void *arg)
{
	(void)arg;
	__atomic_sub_fetch(&queued, 1, __ATOMIC_RELAXED);
}

static void *flood(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(&queued, __ATOMIC_RELAXED) >= QUEUED_MAX)
			continue;
		__atomic_add_fetch(&queued, 1, __ATOMIC_RELAXED);
		if (lsc_call_soon_threadsafe(loop, take_call, NULL) < 0)
			__atomic_sub_fetch(&queued, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static pthread_t thread;
static bool has_thread;

static void start_flooding(void)
{
	has_thread = pthread_create(&thread, NULL, flood, NULL) == 0;
	assert_true(has_thread);
}

static void (*const adversaries[])(void) = {start_respawning, start_calling, start_timers,
					    start_talking, start_flooding};

#define ALL (sizeof(adversaries) / sizeof(adversaries[0]))

/* ---- the victim ---- */

static int write_byte(void *arg)
{
	assert_int_equal(lsc_sleep(100000), 0);
	return lsc_send(*(int *)arg, "x", 1, 0) == 1 ? 0 : -EIO;
}

static int be_served(void *arg)
{
	size_t which = *(size_t *)arg;
	char byte;
	int ends[2];

	loop = lsc_loop_current();
	over = has_thread = false;
	give_up_ns = lsc_now_ns() + GIVE_UP_NS;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	for (size_t i = 0; i < ALL; i++)
		if (i == which || which == ALL)
			adversaries[i]();
	for (int i = 0; i < ROUNDS; i++) {
		struct lsc_future *writer = lsc_spawn(write_byte, &ends[0], NULL);

		assert_int_equal(lsc_recv(ends[1], &byte, 1, 0), 1);
		assert_int_equal(lsc_await(writer), 0);
		lsc_unref(writer);
	}
	int r = goes_on() ? 0 : -ETIMEDOUT;
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	if (has_thread)
		pthread_join(thread, NULL);
	lsc_close(ends[0]);
	lsc_close(ends[1]);
	return r;
}

static void nobody_starves_a_timer_or_a_descriptor(void **state)
{
	(void)state;
	for (size_t which = 0; which <= ALL; which++)
		assert_int_equal(lsc_run(be_served, &which), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_starves_a_timer_or_a_descriptor),
	};

	return cmocka_run_group_tests_name("fairness", tests, NULL, NULL);
}
