/* SPDX-License-Identifier: MIT */
/* Tasks: start, order, end, cancellation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <sys/wait.h>
#include <sys/socket.h>
#include <poll.h>
#include <unistd.h>
#include <pthread.h>
#include <signal.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "task.h"

static char log_text[256];

static int note(void *arg)
{
	strcat(log_text, arg);
	return 0;
}

/* ---- results and order ---- */

static int return_seven(void *arg)
{
	(void)arg;
	return 7;
}

static int fail_with_enoent(void *arg)
{
	(void)arg;
	return -ENOENT;
}

static int main_awaits(void *arg)
{
	struct lsc_future *good = lsc_spawn(return_seven, NULL, "good");
	struct lsc_future *bad = lsc_spawn(fail_with_enoent, NULL, "bad");

	(void)arg;
	assert_int_equal(lsc_is_done(good), 0);
	assert_int_equal(lsc_result(good), -EAGAIN);
	assert_int_equal(lsc_await(good), 7);
	assert_int_equal(lsc_await(good), 7);
	assert_int_equal(lsc_await(bad), -ENOENT);
	assert_int_equal(lsc_result(bad), -ENOENT);
	assert_int_equal(lsc_cancel(bad), 0);
	lsc_unref(good);
	lsc_unref(bad);
	return 42;
}

static void a_task_ends_with_what_its_body_returns(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_awaits, NULL), 42);
}

static int yield_and_note(void *arg)
{
	note(arg);
	lsc_yield();
	return note(arg);
}

static int main_interleaves(void *arg)
{
	(void)arg;
	lsc_unref(lsc_spawn(yield_and_note, "a", NULL));
	lsc_unref(lsc_spawn(yield_and_note, "b", NULL));
	strcat(log_text, "m");
	for (int i = 0; i < 3; i++)
		lsc_yield();
	return 0;
}

static void ready_tasks_take_turns_in_order(void **state)
{
	(void)state;
	log_text[0] = '\0';
	assert_int_equal(lsc_run(main_interleaves, NULL), 0);
	assert_string_equal(log_text, "mabab");
}

static int spawn_another(void *arg)
{
	note("s");
	lsc_unref(lsc_spawn(note, arg, NULL));
	return 0;
}

static void what_becomes_ready_in_a_round_runs_in_the_next(void **state)
{
	static struct lsc_site site;
	struct lsc_loop *loop;

	(void)state;
	site = (struct lsc_site){__func__, __FILE__, __LINE__, 0};
	log_text[0] = '\0';
	assert_int_equal(loop_open(&loop, NULL), 0);
	loop->burst_ns = 0; /* one round a tick */
	lsc_unref(&task_new(loop, &site, spawn_another, "n", NULL, 0)->future);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(log_text, "s");
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_string_equal(log_text, "sn");
	loop_close(loop);
}

static int count_up(void *arg)
{
	int *count = arg;

	lsc_yield();
	return ++*count;
}

#if defined(__SANITIZE_THREAD__)
#define MANY 2000 /* the sanitizer's own bound on threads and fibers is about 8,000 */
#else
#define MANY 10000
#endif

static int main_of_many(void *arg)
{
	static struct lsc_future *all[MANY];

	for (int i = 0; i < MANY; i++)
		assert_non_null(all[i] = lsc_spawn(count_up, arg, NULL));
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(lsc_await(all[i]), i + 1);
		lsc_unref(all[i]);
	}
	return 0;
}

static void ten_thousand_tasks_live_at_once(void **state)
{
	int count = 0;

	(void)state;
	assert_int_equal(lsc_run(main_of_many, &count), 0);
	assert_int_equal(count, MANY);
}

/* ---- cancellation ---- */

static int main_cancels_before_run(void *arg)
{
	struct lsc_future *f = lsc_spawn(note, "x", "never");

	(void)arg;
	assert_int_equal(lsc_cancel(f), 1);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	return 0;
}

static void cancel_before_first_run_skips_the_body(void **state)
{
	(void)state;
	log_text[0] = '\0';
	assert_int_equal(lsc_run(main_cancels_before_run, NULL), 0);
	assert_string_equal(log_text, "");
}

static int sleep_long(void *arg)
{
	int *r = arg;

	*r = lsc_sleep(3600 * LSC_NS_PER_S);
	return *r;
}

static int wait_for_fd(void *arg)
{
	int *fd = arg;

	*fd = lsc_wait_fd(*fd, POLLIN);
	return *fd;
}

static int gather_sleepers(void *arg)
{
	struct lsc_future *members[2] = {
		lsc_spawn(sleep_long, arg, NULL),
		lsc_spawn(sleep_long, (int *)arg + 1, NULL),
	};
	struct lsc_future *g = lsc_gather(members, 2, 0);

	lsc_unref(members[0]);
	lsc_unref(members[1]);
	int r = lsc_await(g);
	lsc_unref(g);
	return r;
}

static int main_cancels_suspended(void *arg)
{
	int slept = 0, pair[2], members[2] = {0, 0};

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	int fd = pair[0];
	struct lsc_future *timer = lsc_spawn(sleep_long, &slept, NULL);
	struct lsc_future *socket = lsc_spawn(wait_for_fd, &fd, NULL);
	struct lsc_future *group = lsc_spawn(gather_sleepers, members, NULL);
	lsc_yield();
	lsc_yield();
	lsc_cancel(timer);
	lsc_cancel(socket);
	lsc_cancel(group);
	assert_int_equal(lsc_await(timer), -ECANCELED);
	assert_int_equal(lsc_await(socket), -ECANCELED);
	assert_int_equal(lsc_await(group), -ECANCELED);
	assert_int_equal(slept, -ECANCELED);
	assert_int_equal(fd, -ECANCELED);
	assert_int_equal(members[0], -ECANCELED);
	assert_int_equal(members[1], -ECANCELED);
	lsc_unref(timer);
	lsc_unref(socket);
	lsc_unref(group);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void cancel_reaches_timers_descriptors_and_gathers(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_cancels_suspended, NULL), 0);
}

static int await_it(void *arg)
{
	return lsc_await(arg);
}

static int cancel_myself(void *arg)
{
	struct lsc_loop *loop = lsc_loop_current();

	lsc_cancel(&loop->current->future);
	if (arg) {
		assert_int_equal(lsc_sleep(3600 * LSC_NS_PER_S), -ECANCELED);
		assert_int_equal(lsc_yield(), 0); /* delivered once */
	}
	return 5;
}

static int main_self_cancel(void *arg)
{
	struct lsc_future *met = lsc_spawn(cancel_myself, "", NULL);
	struct lsc_future *unmet = lsc_spawn(cancel_myself, NULL, NULL);

	(void)arg;
	assert_int_equal(lsc_await(met), 5);
	assert_int_equal(lsc_await(unmet), -ECANCELED);
	lsc_unref(met);
	lsc_unref(unmet);
	return 0;
}

static void a_request_is_delivered_once_and_never_lost(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_self_cancel, NULL), 0);
}

static int main_cancels_ready(void *arg)
{
	struct lsc_future *gate = lsc_future_new();
	struct lsc_future *waiter = lsc_spawn(await_it, gate, NULL);

	(void)arg;
	lsc_yield();
	lsc_resolve(gate, 1);
	lsc_cancel(waiter); /* it is ready already: the request wins, as in asyncio */
	assert_int_equal(lsc_await(waiter), -ECANCELED);
	assert_int_equal(lsc_resolve(gate, 2), -EALREADY);
	lsc_unref(gate);
	lsc_unref(waiter);
	return 0;
}

static void cancel_after_the_event_and_before_the_step_still_counts(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_cancels_ready, NULL), 0);
}

#define CHAIN 1000

static int main_cancels_chain(void *arg)
{
	static struct lsc_future *chain[CHAIN];
	int slept = 0;

	(void)arg;
	chain[0] = lsc_spawn(sleep_long, &slept, NULL);
	for (int i = 1; i < CHAIN; i++)
		chain[i] = lsc_spawn(await_it, chain[i - 1], NULL);
	lsc_yield();
	assert_int_equal(lsc_cancel(chain[CHAIN - 1]), 1);
	for (int i = CHAIN - 1; i >= 0; i--) {
		assert_int_equal(lsc_await(chain[i]), -ECANCELED);
		lsc_unref(chain[i]);
	}
	assert_int_equal(slept, -ECANCELED);
	return 0;
}

static void cancel_goes_down_a_long_chain_of_awaits(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_cancels_chain, NULL), 0);
}

static struct lsc_future *ring_of_waits[2];

static int await_gather_of(void *arg)
{
	struct lsc_future *member = *(struct lsc_future **)arg;
	struct lsc_future *g = lsc_gather(&member, 1, 0);
	int r = lsc_await(g);

	lsc_unref(g);
	return r;
}

static int await_other(void *arg)
{
	return lsc_await(*(struct lsc_future **)arg);
}

static int main_cancels_cycle(void *arg)
{
	lsc_task_fn second = arg ? await_gather_of : await_other;

	ring_of_waits[0] = lsc_spawn(await_other, &ring_of_waits[1], NULL);
	ring_of_waits[1] = lsc_spawn(second, &ring_of_waits[0], NULL);
	lsc_yield();
	lsc_yield();
	lsc_cancel(ring_of_waits[0]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lsc_await(ring_of_waits[i]), -ECANCELED);
		lsc_unref(ring_of_waits[i]);
	}
	return 0;
}

static void a_cycle_of_awaits_can_be_cancelled(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_cancels_cycle, NULL), 0);
	assert_int_equal(lsc_run(main_cancels_cycle, ""), 0);
}

static int main_leaves_tasks(void *arg)
{
	lsc_unref(lsc_spawn(sleep_long, arg, NULL));
	lsc_yield();
	return 0;
}

static void run_unwinds_the_tasks_that_are_left(void **state)
{
	int slept = 0;

	(void)state;
	assert_int_equal(lsc_run(main_leaves_tasks, &slept), 0);
	assert_int_equal(slept, -ECANCELED);
}

static int spawn_when_cancelled(void *arg)
{
	int slept;

	sleep_long(&slept);
	struct lsc_future *late = lsc_spawn(sleep_long, arg, NULL);
	int r = lsc_await(late);
	lsc_unref(late);
	return r;
}

static int main_leaves_a_spawner(void *arg)
{
	lsc_unref(lsc_spawn(spawn_when_cancelled, arg, NULL));
	lsc_yield();
	return 0;
}

static void what_is_spawned_while_a_loop_closes_does_not_run(void **state)
{
	int slept = 0;

	(void)state;
	assert_int_equal(lsc_run(main_leaves_a_spawner, &slept), 0);
	assert_int_equal(slept, 0);
}

/* ---- misuse and limits ---- */

static int main_misuses(void *arg)
{
	struct lsc_loop *loop = lsc_loop_current();

	(void)arg;
	assert_int_equal(lsc_await(&loop->current->future), -EDEADLK);
	assert_int_equal(lsc_resolve(&loop->current->future, 0), -EINVAL);
	assert_int_equal(lsc_run(return_seven, NULL), -EBUSY);
	assert_string_equal(lsc_task_name(), "main");
	return 0;
}

static void misuse_is_refused(void **state)
{
	struct lsc_loop_options o = {.size = sizeof(o), .record_bits = 21};

	(void)state;
	assert_int_equal(lsc_run(main_misuses, NULL), 0);
	assert_int_equal(lsc_sleep(1), -EPERM);
	assert_int_equal(lsc_yield(), -EPERM);
	assert_null(lsc_spawn(return_seven, NULL, NULL));
	assert_null(lsc_future_new());
	assert_null(lsc_task_name());
	assert_int_equal(lsc_run_with(&o, return_seven, NULL), -EINVAL);
	o.record_bits = 0;
	o.stack_size = 100;
	assert_int_equal(lsc_run_with(&o, return_seven, NULL), -EINVAL);
}

/* ---- other threads ---- */

static void resolve_gate(void *arg)
{
	lsc_resolve(arg, 11);
}

struct handover {
	struct lsc_loop *loop;
	struct lsc_future *gate;
};

static void *hand_over(void *arg)
{
	struct handover *h = arg;

	return lsc_call_soon_threadsafe(h->loop, resolve_gate, h->gate) == 0 ? h : NULL;
}

static int main_waits_for_thread(void *arg)
{
	pthread_t thread;
	void *result;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		struct handover h = {lsc_loop_current(), lsc_future_new()};

		assert_int_equal(pthread_create(&thread, NULL, hand_over, &h), 0);
		assert_int_equal(lsc_await(h.gate), 11);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_ptr_equal(result, &h);
		lsc_unref(h.gate);
	}
	return 0;
}

static void another_thread_wakes_the_loop(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_waits_for_thread, NULL), 0);
}

static int main_of_a_thread(void *arg)
{
	int count = 0;

	for (int i = 0; i < 200; i++) {
		struct lsc_future *f = lsc_spawn(count_up, &count, "counter");

		if (!f || lsc_await(f) != i + 1)
			return -EPROTO;
		lsc_unref(f);
	}
	return lsc_loop_current() == *(struct lsc_loop **)arg ? -EPROTO : 0;
}

static void *run_loop(void *arg)
{
	return lsc_run(main_of_a_thread, arg) == 0 ? arg : NULL;
}

static int main_beside_threads(void *arg)
{
	struct lsc_loop *mine = lsc_loop_current();
	pthread_t threads[3];
	void *result;

	(void)arg;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_loop, &mine), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, &mine);
	}
	return 0;
}

static void each_thread_has_a_loop_of_its_own(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_beside_threads, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_ends_with_what_its_body_returns),
		cmocka_unit_test(ready_tasks_take_turns_in_order),
		cmocka_unit_test(what_becomes_ready_in_a_round_runs_in_the_next),
		cmocka_unit_test(ten_thousand_tasks_live_at_once),
		cmocka_unit_test(cancel_before_first_run_skips_the_body),
		cmocka_unit_test(cancel_reaches_timers_descriptors_and_gathers),
		cmocka_unit_test(a_request_is_delivered_once_and_never_lost),
		cmocka_unit_test(cancel_after_the_event_and_before_the_step_still_counts),
		cmocka_unit_test(cancel_goes_down_a_long_chain_of_awaits),
		cmocka_unit_test(a_cycle_of_awaits_can_be_cancelled),
		cmocka_unit_test(run_unwinds_the_tasks_that_are_left),
		cmocka_unit_test(what_is_spawned_while_a_loop_closes_does_not_run),
		cmocka_unit_test(misuse_is_refused),
		cmocka_unit_test(another_thread_wakes_the_loop),
		cmocka_unit_test(each_thread_has_a_loop_of_its_own),
	};
	return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
