/* SPDX-License-Identifier: MIT */
/* A descriptor or a stream is closed, aborted or freed under each operation that waits for it; and
 * the operation is cancelled, ahead of that or after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"
#include "operations.h"
#include "pair.h"

/* What happens to the task: besides the close. */
enum { ALONE, CANCELLED_BEFORE, CANCELLED_AFTER, KINDS };

static void close_under(size_t i, int kind)
{
	int pair[2];

	pair_open_tcp(pair);
	struct lsc_future *task = lsc_spawn(operations[i], &pair[0], "in an operation");
	operation_waits(task);
	if (kind == CANCELLED_BEFORE)
		lsc_cancel(task);
	assert_int_equal(lsc_close(pair[0]), 0);
	if (kind == CANCELLED_AFTER)
		lsc_cancel(task);
	int r = lsc_await(task);
	/* A proactor's answer may be the close or the request. */
	if (r != -EBADF && (kind == ALONE || r != -ECANCELED))
		fail_msg("operation %zu ends with %d", i, r);
	lsc_unref(task);
	/* Nothing is left that would take what comes for the number's next owner. */
	int next[2];
	char byte;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next), 0);
	int other = next[1] == pair[0] ? next[0] : next[1];
	assert_true(next[0] == pair[0] || next[1] == pair[0]);
	next[0] = pair[0];
	next[1] = other;
	assert_int_equal(send(next[1], "n", 1, 0), 1);
	assert_int_equal(lsc_recv(next[0], &byte, 1, 0), 1);
	assert_int_equal(byte, 'n');
	pair_close(next);
	assert_int_equal(lsc_close(pair[1]), 0);
}

static int main_of_descriptors(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < operations_count; i++)
		for (int kind = 0; kind < KINDS; kind++)
			close_under(i, kind);
	return 0;
}

static void a_close_ends_every_operation(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_descriptors, NULL), 0);
}

/* What a loop that has ended waited for is closed by a plain close(2), at once. */
static int main_of_a_short_loop(void *arg)
{
	struct lsc_future *task = lsc_spawn(pair_wait_readable, arg, "waits to the end");

	operation_waits(task);
	lsc_unref(task);
	return 0;
}

static void a_loop_that_has_ended_holds_nothing_open(void **state)
{
	int pair[2];
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(lsc_run(main_of_a_short_loop, &pair[0]), 0);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(close(pair[1]), 0);
}

/* Also of a loop that never idles a plain close(2) is complete, within eight ticks. */
static int main_of_a_saturated_loop(void *arg)
{
	int pair[2], ticks = 0;
	char byte;

	(void)arg;
	lsc_loop_current()->burst_ns = 0; /* each turn of a task is a tick */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	struct lsc_future *task = lsc_spawn(pair_wait_readable, &pair[0], "waits");
	operation_waits(task);
	assert_int_equal(send(pair[1], "x", 1, 0), 1);
	while (!lsc_is_done(task))
		assert_int_equal(lsc_yield(), 0);
	lsc_unref(task);
	assert_int_equal(recv(pair[0], &byte, 1, 0), 1);
	assert_int_equal(close(pair[0]), 0);
	while (recv(pair[1], &byte, 1, MSG_DONTWAIT) < 0) {
		assert_int_equal(lsc_yield(), 0);
		assert_true(++ticks <= 10); /* the last for the request, and for what comes back */
	}
	return close(pair[1]);
}

static void a_loop_that_never_idles_holds_nothing_open_for_long(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_a_saturated_loop, NULL), 0);
}

static void abort_under(size_t i, int kind, bool freed)
{
	struct stream_operation use = {.i = i};
	int pair[2];

	pair_open_tcp(pair);
	assert_int_equal(lsc_stream_open(pair[0], &use.stream), 0);
	struct lsc_future *task = lsc_spawn(operation_on_stream, &use, "in an operation");
	operation_waits(task);
	if (kind == CANCELLED_BEFORE)
		lsc_cancel(task);
	lsc_stream_abort(use.stream);
	if (freed)
		use.stream = lsc_stream_free(use.stream);
	if (kind == CANCELLED_AFTER)
		lsc_cancel(task);
	int r = lsc_await(task);
	bool reads = i < STREAM_OPERATIONS_READING;
	/* Who waits for what was to be sent is let go: it is closed, as was asked. */
	if (r != (reads ? -EBADF : 0) && (kind == ALONE || r != -ECANCELED))
		fail_msg("operation %zu ends with %d", i, r);
	lsc_unref(task);
	lsc_stream_free(use.stream);
	assert_int_equal(lsc_close(pair[1]), 0);
}

static int main_of_streams(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < stream_operations_count; i++)
		for (int kind = 0; kind < KINDS; kind++) {
			abort_under(i, kind, false);
			abort_under(i, kind, true);
		}
	return 0;
}

static void an_abort_ends_every_operation_of_a_stream(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_streams, NULL), 0);
}

/* ---- sockets that are not connected yet ---- */

static struct sockaddr_in address;

static int accept_one(void *arg)
{
	return lsc_accept(*(int *)arg, NULL, NULL);
}

static int connect_one(void *arg)
{
	return lsc_connect(*(int *)arg, (struct sockaddr *)&address, sizeof(address));
}

static int main_of_strangers(void *arg)
{
	enum { FULL = 3 };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[FULL];
	socklen_t size = sizeof(address);

	(void)arg;
	address = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	struct lsc_future *task = lsc_spawn(accept_one, &listener, "accepts");
	operation_waits(task);
	int fd = dup(listener); /* it still listens */
	assert_int_equal(lsc_close(listener), 0);
	assert_int_equal(lsc_await(task), -EBADF);
	lsc_unref(task);
	/* The backlog is full: an attempt waits. */
	for (int i = 0; i < FULL; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	task = lsc_spawn(connect_one, &client, "connects");
	operation_waits(task);
	assert_int_equal(lsc_close(client), 0);
	assert_int_equal(lsc_await(task), -EBADF);
	lsc_unref(task);
	for (int i = 0; i < FULL; i++)
		assert_int_equal(lsc_close(fillers[i]), 0);
	return lsc_close(fd);
}

static void a_close_ends_accepting_and_connecting(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_strangers, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_close_ends_every_operation),
		cmocka_unit_test(a_loop_that_has_ended_holds_nothing_open),
		cmocka_unit_test(a_loop_that_never_idles_holds_nothing_open_for_long),
		cmocka_unit_test(an_abort_ends_every_operation_of_a_stream),
		cmocka_unit_test(a_close_ends_accepting_and_connecting),
	};
	return cmocka_run_group_tests_name("closed", tests, NULL, NULL);
}
