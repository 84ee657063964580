/* SPDX-License-Identifier: MIT */
/*
 * A task in every state that it can wait in: cancelled there, before it ran, after what it waited
 * for had come; and a loop that is freed with all of them alive. Nothing is lost, nothing leaks
 * (the asan preset and valgrind look).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"
#include "on_valgrind.h"

#define HOUR_NS 3600000000000ull

/* Things to wait for that do not come by themselves. */
struct things {
	struct lsc_future *future, *futures[3];
	struct lsc_event *event;
	struct lsc_lock *lock;		 /* main has it */
	struct lsc_semaphore *semaphore; /* at 0 */
	struct lsc_barrier *barrier;	 /* of two */
	struct lsc_queue *empty, *full;
	struct lsc_stream *stream;  /* nobody writes to it, nobody reads from it */
	struct lsc_stream *closing; /* nobody reads what is to be sent first */
	struct lsc_server *server;  /* it goes on */
	int pair[2], peer, closing_peer, listener;
};

static int in_sleep(void *arg)
{
	(void)arg;
	return lsc_sleep(HOUR_NS);
}

static int in_wait_fd(void *arg)
{
	return lsc_wait_fd(((struct things *)arg)->pair[0], POLLIN);
}

static int in_read(void *arg)
{
	char c;

	return (int)lsc_read(((struct things *)arg)->pair[0], &c, 1);
}

static int in_recv(void *arg)
{
	char c;

	return (int)lsc_recv(((struct things *)arg)->pair[0], &c, 1, 0);
}

static int in_future(void *arg)
{
	return lsc_await(((struct things *)arg)->future);
}

static int in_shield(void *arg)
{
	struct lsc_future *shield = lsc_shield(((struct things *)arg)->futures[0]);
	int r = lsc_await(shield);

	lsc_unref(shield);
	return r;
}

static int in_gather(void *arg)
{
	struct lsc_future *members[] = {lsc_future_new(), lsc_future_new()};
	struct lsc_future *all = lsc_gather(members, 2, 0);
	int r = lsc_await(all);

	(void)arg;
	lsc_unref(all);
	lsc_unref(members[0]);
	lsc_unref(members[1]);
	return r;
}

static int in_wait(void *arg)
{
	return lsc_wait(((struct things *)arg)->futures, 3, LSC_ALL_COMPLETED, UINT64_MAX);
}

static int in_wait_for(void *arg)
{
	struct lsc_future *f = lsc_future_new();
	int r = lsc_wait_for(f, HOUR_NS);

	(void)arg;
	lsc_unref(f);
	return r;
}

static int in_as_completed(void *arg)
{
	struct lsc_as_completed *all = lsc_as_completed_new(((struct things *)arg)->futures, 3);
	struct lsc_future *next;
	int r = lsc_as_completed_next(all, &next);

	lsc_as_completed_free(all);
	return r;
}

static int in_group(void *arg)
{
	struct lsc_group *group = lsc_group_new();

	lsc_unref(lsc_group_spawn(group, in_sleep, arg, "child of a group"));
	return lsc_group_end(group, 0);
}

static int in_event(void *arg)
{
	return lsc_event_wait(((struct things *)arg)->event);
}

static int in_lock(void *arg)
{
	return lsc_lock_acquire(((struct things *)arg)->lock);
}

static int in_semaphore(void *arg)
{
	return lsc_semaphore_acquire(((struct things *)arg)->semaphore);
}

static int in_barrier(void *arg)
{
	return lsc_barrier_wait(((struct things *)arg)->barrier);
}

static int in_get(void *arg)
{
	void *item;

	return lsc_queue_get(((struct things *)arg)->empty, &item);
}

static int in_put(void *arg)
{
	return lsc_queue_put(((struct things *)arg)->full, arg);
}

static int in_join(void *arg)
{
	return lsc_queue_join(((struct things *)arg)->full);
}

static int in_stream_read(void *arg)
{
	char c;

	return (int)lsc_stream_read(((struct things *)arg)->stream, &c, 1);
}

static int in_drain(void *arg)
{
	return lsc_stream_drain(((struct things *)arg)->stream);
}

static int in_closing(void *arg)
{
	return lsc_stream_wait_closed(((struct things *)arg)->closing);
}

static int in_server(void *arg)
{
	return lsc_server_wait_closed(((struct things *)arg)->server);
}

static int in_accept(void *arg)
{
	return lsc_accept(((struct things *)arg)->listener, NULL, NULL);
}

static int in_condition(void *arg)
{
	struct lsc_lock *lock = lsc_lock_new();
	struct lsc_condition *condition = lsc_condition_new(lock);
	int r = lsc_lock_acquire(lock);

	(void)arg;
	if (r == 0)
		r = lsc_condition_wait(condition);
	lsc_lock_release(lock);
	lsc_condition_free(condition);
	lsc_lock_free(lock);
	return r;
}

static int in_signal(void *arg)
{
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return lsc_signal_wait(&set);
}

static int in_timeout(void *arg)
{
	struct lsc_timeout timeout;
	int r = lsc_timeout_begin(&timeout, HOUR_NS);

	(void)arg;
	return lsc_timeout_end(&timeout, r < 0 ? r : lsc_sleep_until(UINT64_MAX));
}

/* With its own three tasks, for the child's pipes. */
static int in_communicate(void *arg)
{
	static const struct lsc_process_options pipes = {
		.size = sizeof(pipes), .stdio = {LSC_STDIO_PIPE, LSC_STDIO_PIPE, LSC_STDIO_PIPE}};
	char *argv[] = {"/bin/sleep", "3600", NULL};
	struct lsc_process_output out;
	struct lsc_process *p;
	int status, r = lsc_process_start(argv, &pipes, &p);

	(void)arg;
	if (r < 0)
		return r;
	r = lsc_process_communicate(p, "x", 1, 100, &out, NULL, &status);
	lsc_process_free(p);
	return r;
}

static int in_child(void *arg)
{
	char *argv[] = {"/bin/sleep", "3600", NULL};
	struct lsc_process *p;
	int status, r = lsc_process_start(argv, NULL, &p);

	(void)arg;
	if (r < 0)
		return r;
	r = lsc_process_wait(p, &status);
	lsc_process_kill(p, SIGKILL);
	lsc_process_free(p);
	return r;
}

static const lsc_task_fn waits[] = {
	in_sleep,	in_wait_fd,   in_read,	   in_recv,	    in_future, in_shield,
	in_gather,	in_wait,      in_wait_for, in_as_completed, in_group,  in_event,
	in_lock,	in_semaphore, in_barrier,  in_get,	    in_put,    in_join,
	in_stream_read, in_drain,     in_closing,  in_server,	    in_accept, in_condition,
	in_signal,	in_timeout,   in_child,	   in_communicate,
};
/* The last two need pidfd_open, which valgrind does not know. */
#define WAITS (sizeof(waits) / sizeof(waits[0]) - (RUNNING_ON_VALGRIND ? 2 : 0))

/* A stream with more to send than the socket and the high-water mark take. */
static struct lsc_stream *open_full(int *ret_peer)
{
	static char data[1 << 20];
	struct lsc_stream *s;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*ret_peer = pair[1];
	assert_int_equal(lsc_stream_open(pair[0], &s), 0);
	assert_int_equal(lsc_stream_write(s, data, sizeof(data)), 0);
	return s;
}

static int serve_nobody(struct lsc_stream *stream, void *arg)
{
	(void)stream;
	(void)arg;
	return 0;
}

static void make(struct things *t)
{
	*t = (struct things){.future = lsc_future_new(),
			     .event = lsc_event_new(),
			     .lock = lsc_lock_new(),
			     .semaphore = lsc_semaphore_new(0, 0),
			     .barrier = lsc_barrier_new(2),
			     .empty = lsc_queue_new(LSC_FIFO, 0, NULL),
			     .full = lsc_queue_new(LSC_FIFO, 1, NULL)};
	for (int i = 0; i < 3; i++)
		t->futures[i] = lsc_future_new();
	assert_true(t->future && t->event && t->lock && t->semaphore && t->barrier && t->empty &&
		    t->full);
	assert_int_equal(lsc_lock_acquire(t->lock), 0);
	assert_int_equal(lsc_queue_put_nowait(t->full, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->pair), 0);
	t->stream = open_full(&t->peer);
	t->closing = open_full(&t->closing_peer);
	lsc_stream_close(t->closing);
	assert_int_equal(lsc_start_server("127.0.0.1", 0, serve_nobody, NULL, NULL, &t->server), 0);
	t->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(listen(t->listener, 1), 0);
}

static void drop(struct things *t)
{
	lsc_stream_abort(t->stream);
	lsc_stream_free(t->stream);
	close(t->peer);
	lsc_stream_abort(t->closing);
	lsc_stream_free(t->closing);
	close(t->closing_peer);
	lsc_server_free(t->server);
	lsc_close(t->listener);
	lsc_close(t->pair[0]);
	close(t->pair[1]);
	lsc_queue_free(t->full);
	lsc_queue_free(t->empty);
	lsc_barrier_free(t->barrier);
	lsc_semaphore_free(t->semaphore);
	lsc_lock_free(t->lock);
	lsc_event_free(t->event);
	for (int i = 0; i < 3; i++)
		lsc_unref(t->futures[i]);
	lsc_unref(t->future);
}

/* in_future() cancels what it awaits, so each has a future of its own. */
static struct lsc_future *start(struct things *t, size_t i)
{
	if (lsc_is_done(t->future)) {
		lsc_unref(t->future);
		t->future = lsc_future_new();
	}
	struct lsc_future *task = lsc_spawn(waits[i], t, "in a wait");
	assert_non_null(task);
	return task;
}

static void settle(void)
{
	for (int i = 0; i < 5; i++)
		assert_int_equal(lsc_yield(), 0);
}

static int main_that_cancels(void *arg)
{
	struct things t;

	(void)arg;
	make(&t);
	for (size_t i = 0; i < WAITS; i++) {
		struct lsc_future *task = start(&t, i);

		settle();
		if (lsc_is_done(task))
			fail_msg("number %zu does not wait: %d", i, lsc_result(task));
		lsc_cancel(task);
		int r = lsc_await(task);
		if (r != -ECANCELED || !lsc_is_cancelled(task))
			fail_msg("number %zu ends with %d", i, r);
		lsc_unref(task);
	}
	drop(&t);
	return 0;
}

static void a_task_may_be_cancelled_in_every_wait(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_that_cancels, NULL), 0);
}

static int main_that_cancels_at_once(void *arg)
{
	struct things t;

	(void)arg;
	make(&t);
	for (size_t i = 0; i < WAITS; i++) {
		struct lsc_future *task = start(&t, i);

		lsc_cancel(task);
		lsc_cancel(task); /* twice is once */
		assert_int_equal(lsc_await(task), -ECANCELED);
		lsc_unref(task);
	}
	drop(&t);
	return 0;
}

static void a_task_may_be_cancelled_before_it_runs(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_that_cancels_at_once, NULL), 0);
}

/* Main ends, or the loop is freed, with a task in each wait; then the things go. */
static int main_that_leaves(void *arg)
{
	struct things *t = arg;

	make(t);
	lsc_lock_release(t->lock);
	lsc_unref(lsc_spawn(in_lock, t, "has the lock"));
	settle();
	for (size_t i = 0; i < WAITS; i++)
		lsc_unref(start(t, i));
	settle();
	return 5;
}

static void a_run_ends_with_a_task_in_every_wait(void **state)
{
	struct things t;

	(void)state;
	assert_int_equal(lsc_run(main_that_leaves, &t), 5);
	drop(&t);
}

static void a_loop_is_freed_with_a_task_in_every_wait(void **state)
{
	struct lsc_loop *loop;
	struct things t;

	(void)state;
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	struct lsc_future *first = lsc_spawn(main_that_leaves, &t, "first");
	assert_int_equal(lsc_loop_run_until(loop, first), 5);
	lsc_unref(first);
	assert_int_equal(lsc_loop_free(loop), 0);
	drop(&t);
	/* and with tasks that never ran */
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	lsc_unref(lsc_spawn(in_sleep, NULL, "never ran"));
	assert_int_equal(lsc_loop_free(loop), 0);
}

/* ---- callbacks that free themselves ---- */

static void unref_future(struct lsc_future *future, void *arg)
{
	++*(int *)arg;
	lsc_unref(future);
}

struct own_timer {
	struct lsc_timer timer;
	int *calls;
};

static void free_own_timer(void *arg)
{
	struct own_timer *t = arg;

	++*t->calls;
	free(t);
}

static int main_of_suicides(void *arg)
{
	int calls = 0;
	struct lsc_future *f = lsc_future_new();

	(void)arg;
	assert_int_equal(lsc_add_done_callback(f, unref_future, &calls), 0);
	lsc_resolve(f, 1); /* the callback drops the last reference */
	struct own_timer *t = malloc(sizeof(*t));
	assert_non_null(t);
	t->calls = &calls;
	lsc_timer_init(&t->timer, free_own_timer, t);
	lsc_timer_start(&t->timer, lsc_time());
	assert_int_equal(lsc_sleep(5000000), 0);
	assert_int_equal(calls, 2);
	return 0;
}

static void callbacks_may_free_what_called_them(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_suicides, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_may_be_cancelled_in_every_wait),
		cmocka_unit_test(a_task_may_be_cancelled_before_it_runs),
		cmocka_unit_test(a_run_ends_with_a_task_in_every_wait),
		cmocka_unit_test(a_loop_is_freed_with_a_task_in_every_wait),
		cmocka_unit_test(callbacks_may_free_what_called_them),
	};
	return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
