/* SPDX-License-Identifier: MIT */
/* The peer resets the connection in each state that ours can be in; and connections of which one
 * direction ends before the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"
#include "operations.h"
#include "pair.h"

/* Not an end but a reset. */
static void reset(int fd)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	assert_int_equal(lsc_close(fd), 0);
}

static void reset_during(size_t i)
{
	int pair[2];

	pair_open_tcp(pair);
	struct lsc_future *task = lsc_spawn(operations[i], &pair[0], "in an operation");
	operation_waits(task);
	reset(pair[1]);
	int r = lsc_await(task);
	if (r != -ECONNRESET)
		fail_msg("operation %zu ends with %d", i, r);
	lsc_unref(task);
	/* And again: what is lost stays lost, with the end or an error at once. */
	r = operations[i](&pair[0]);
	if (r != 0 && r != -EPIPE)
		fail_msg("operation %zu then ends with %d", i, r);
	assert_int_equal(lsc_close(pair[0]), 0);
}

static int main_of_operations(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < operations_count; i++)
		reset_during(i);
	return 0;
}

static void a_reset_ends_every_operation(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_operations, NULL), 0);
}

/* Two tasks wait on pair[0]: one reads, one writes. */
static void use_both_halves(int pair[2], struct lsc_future **ret_reader,
			    struct lsc_future **ret_writer)
{
	pair_open_tcp(pair);
	*ret_reader = lsc_spawn(operation_receive, &pair[0], "reads");
	*ret_writer = lsc_spawn(operation_send, &pair[0], "writes");
	operation_waits(*ret_reader);
	operation_waits(*ret_writer);
}

static int main_of_both(void *arg)
{
	struct lsc_future *reader, *writer;
	int pair[2];

	(void)arg;
	use_both_halves(pair, &reader, &writer);
	reset(pair[1]);
	int read = lsc_await(reader), written = lsc_await(writer);
	/* The error is told once, to whoever comes first; the other one meets the end. */
	assert_true(read == -ECONNRESET || read == 0);
	assert_true(written == -ECONNRESET || written == -EPIPE);
	assert_true(read == -ECONNRESET || written == -ECONNRESET);
	lsc_unref(reader);
	lsc_unref(writer);
	return lsc_close(pair[0]);
}

static void a_reset_ends_both_directions(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_both, NULL), 0);
}

static int main_of_data(void *arg)
{
	char data[8];
	int pair[2];

	(void)arg;
	/* What came before the reset is read before it. */
	pair_open_tcp(pair);
	assert_int_equal(lsc_send(pair[1], "abc", 3, 0), 3);
	assert_true(lsc_wait_fd(pair[0], POLLIN) > 0);
	reset(pair[1]);
	assert_int_equal(lsc_recv(pair[0], data, sizeof(data), 0), 3);
	assert_int_equal(lsc_recv(pair[0], data, sizeof(data), 0), -ECONNRESET);
	assert_int_equal(lsc_close(pair[0]), 0);
	/* Ours unread by the peer turns its close into a reset. */
	pair_open_tcp(pair);
	assert_int_equal(lsc_send(pair[0], "abc", 3, 0), 3);
	assert_true(lsc_wait_fd(pair[1], POLLIN) > 0);
	assert_int_equal(lsc_close(pair[1]), 0);
	assert_int_equal(lsc_recv(pair[0], data, sizeof(data), 0), -ECONNRESET);
	assert_int_equal(lsc_close(pair[0]), 0);
	return 0;
}

static void what_came_before_the_reset_is_read(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_data, NULL), 0);
}

/* ---- streams ---- */

static void reset_stream_during(size_t i, bool half_closed)
{
	struct stream_operation use = {.i = i};
	int pair[2];

	pair_open_tcp(pair);
	assert_int_equal(lsc_stream_open(pair[0], &use.stream), 0);
	if (half_closed)
		assert_int_equal(lsc_stream_write_eof(use.stream), 0);
	/* Lines and pieces have begun. */
	assert_int_equal(lsc_send(pair[1], i == 0 ? "" : "x", i != 0, 0), i != 0);
	struct lsc_future *task = lsc_spawn(operation_on_stream, &use, "in an operation");
	operation_waits(task);
	reset(pair[1]);
	int r = lsc_await(task);
	if (r != -ECONNRESET)
		fail_msg("operation %zu ends with %d", i, r);
	lsc_unref(task);
	/* Whatever is asked of it says the same. */
	assert_int_equal(lsc_stream_drain(use.stream), -ECONNRESET);
	assert_int_equal(lsc_stream_write(use.stream, "x", 1), half_closed ? -EPIPE : -ECONNRESET);
	assert_int_equal(lsc_stream_buffered(use.stream), 0);
	lsc_stream_close(use.stream);
	assert_int_equal(lsc_stream_wait_closed(use.stream), -ECONNRESET);
	lsc_stream_free(use.stream);
}

static int main_of_streams(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < stream_operations_count; i++) {
		reset_stream_during(i, false);
		if (i < STREAM_OPERATIONS_READING)
			reset_stream_during(i, true);
	}
	return 0;
}

static void a_reset_ends_every_operation_of_a_stream(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_streams, NULL), 0);
}

/* ---- connections that are not yet ours ---- */

static int serve(struct lsc_stream *stream, void *arg)
{
	char byte;

	*(int *)arg = (int)lsc_stream_read(stream, &byte, 1);
	return 0;
}

static int main_of_backlog(void *arg)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct lsc_server *server;
	int result = 1;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, serve, &result, NULL, &server), 0);
	assert_int_equal(lsc_server_address(server, 0, (struct sockaddr *)&address, &size), 0);
	/* Reset before anybody has accepted it: the accepting task has not run yet. */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	reset(fd);
	for (int i = 0; result == 1 && i < 1000; i++)
		assert_int_equal(lsc_sleep(LSC_NS_PER_MS), 0);
	assert_int_equal(result, -ECONNRESET);
	lsc_server_close(server);
	assert_int_equal(lsc_server_wait_closed(server), 0);
	lsc_server_free(server);
	/* Refused: the answer to the first packet is a reset. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(lsc_connect(fd, (struct sockaddr *)&address, size), -ECONNREFUSED);
	return lsc_close(fd);
}

static void a_connection_may_be_reset_before_it_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_backlog, NULL), 0);
}

/* ---- one direction after the other ---- */

static int main_of_halves(void *arg)
{
	struct lsc_stream *a, *b;
	const char *line;
	char byte;
	int pair[2];

	(void)arg;
	pair_open_tcp(pair);
	assert_int_equal(lsc_stream_open(pair[0], &a), 0);
	assert_int_equal(lsc_stream_open(pair[1], &b), 0);
	assert_int_equal(lsc_stream_write(a, "question\n", 9), 0);
	assert_int_equal(lsc_stream_write_eof(a), 0);
	assert_int_equal(lsc_stream_write_eof(a), 0);
	assert_int_equal(lsc_stream_write(a, "x", 1), -EPIPE);
	assert_int_equal(lsc_stream_read_line(b, &line), 9);
	assert_int_equal(lsc_stream_read(b, &byte, 1), 0);
	assert_int_equal(lsc_stream_at_eof(b), 1);
	assert_int_equal(lsc_stream_write(b, "answer\n", 7), 0);
	assert_int_equal(lsc_stream_write_eof(b), 0);
	assert_int_equal(lsc_stream_read_line(a, &line), 7);
	assert_int_equal(lsc_stream_read(a, &byte, 1), 0);
	lsc_stream_close(a);
	lsc_stream_close(b);
	assert_int_equal(lsc_stream_wait_closed(a), 0);
	assert_int_equal(lsc_stream_wait_closed(b), 0);
	lsc_stream_free(a);
	lsc_stream_free(b);
	return 0;
}

static void either_half_may_end_first(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_halves, NULL), 0);
}

static int read_to_end(void *arg)
{
	char *data = NULL;
	ssize_t n = lsc_stream_read_all(arg, OPERATIONS_DATA, &data);

	free(data);
	return (int)n;
}

/* Both have more to send than fits, and end their half before any of it is through. */
static int main_of_crossing(void *arg)
{
	struct lsc_stream *both[2];
	struct lsc_future *readers[2];
	int pair[2];

	(void)arg;
	pair_open_tcp(pair);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lsc_stream_open(pair[i], &both[i]), 0);
		assert_int_equal(lsc_stream_write(both[i], operations_data, OPERATIONS_DATA), 0);
		assert_int_equal(lsc_stream_write_eof(both[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		readers[i] = lsc_spawn(read_to_end, both[i], "reads");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lsc_await(readers[i]), OPERATIONS_DATA);
		lsc_unref(readers[i]);
	}
	for (int i = 0; i < 2; i++) {
		lsc_stream_close(both[i]);
		assert_int_equal(lsc_stream_wait_closed(both[i]), 0);
		lsc_stream_free(both[i]);
	}
	return 0;
}

static void both_halves_may_end_while_they_are_full(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_crossing, NULL), 0);
}

static int main_of_shutdown(void *arg)
{
	struct lsc_future *reader, *writer;
	int pair[2];

	(void)arg;
	/* Another task ends what this one waits for. */
	use_both_halves(pair, &reader, &writer);
	assert_int_equal(shutdown(pair[0], SHUT_RD), 0);
	assert_int_equal(lsc_await(reader), 0);
	assert_int_equal(lsc_is_done(writer), 0);
	assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
	assert_int_equal(lsc_await(writer), -EPIPE);
	lsc_unref(reader);
	lsc_unref(writer);
	pair_close(pair);
	return 0;
}

static void a_shutdown_ends_the_waits_of_its_direction(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_shutdown, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_ends_every_operation),
		cmocka_unit_test(a_reset_ends_both_directions),
		cmocka_unit_test(what_came_before_the_reset_is_read),
		cmocka_unit_test(a_reset_ends_every_operation_of_a_stream),
		cmocka_unit_test(a_connection_may_be_reset_before_it_is_accepted),
		cmocka_unit_test(either_half_may_end_first),
		cmocka_unit_test(both_halves_may_end_while_they_are_full),
		cmocka_unit_test(a_shutdown_ends_the_waits_of_its_direction),
	};
	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
