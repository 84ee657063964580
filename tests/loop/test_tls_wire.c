/* SPDX-License-Identifier: MIT */
/* TLS on a wire that somebody else has in hand: bytes that dribble, cuts, garbage, silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "descriptors.h"
#include "loopscope/loopscope.h"
#include "tls_fixture.h"

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* ---- the way there ---- */

/* A wire between two ends that an attacker has in hand. */
struct wire {
	int ends[2];  /* what [0] says goes to [1], and the other way round */
	size_t chunk; /* at a time */
	size_t limit; /* bytes of [1] that pass before it is cut */
};

static int carry(struct wire *w, int from, size_t limit)
{
	char data[4096];

	while (limit > 0) {
		size_t size = w->chunk < limit ? w->chunk : limit;
		ssize_t n =
			lsc_recv(w->ends[from], data, size < sizeof(data) ? size : sizeof(data), 0);

		if (n <= 0)
			break;
		limit -= (size_t)n;
		if (lsc_send_all(w->ends[!from], data, (size_t)n) < 0)
			break;
		lsc_yield();
	}
	/* Cut: both ends see the end of the stream. */
	shutdown(w->ends[!from], limit > 0 ? SHUT_WR : SHUT_RDWR);
	if (limit == 0)
		shutdown(w->ends[from], SHUT_RDWR);
	return 0;
}

static int carry_there(void *arg)
{
	return carry(arg, 0, SIZE_MAX);
}

static int carry_back(void *arg)
{
	return carry(arg, 1, ((struct wire *)arg)->limit);
}

/* Two streams with a wire between them. */
static void open_wired_pair(struct wire *w, struct lsc_stream *ret[2], struct lsc_future *tasks[2])
{
	int pair[2];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(lsc_stream_open(pair[0], &ret[i]), 0);
		w->ends[i] = pair[1];
	}
	tasks[0] = lsc_spawn(carry_there, w, NULL);
	tasks[1] = lsc_spawn(carry_back, w, NULL);
}

static void close_wire(struct wire *w, struct lsc_future *tasks[2])
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lsc_await(tasks[i]), 0);
		lsc_unref(tasks[i]);
	}
	for (int i = 0; i < 2; i++)
		lsc_close(w->ends[i]);
}

static int echo_task(void *arg)
{
	return fixture_echo(arg, NULL);
}

static int main_of_dribbles(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("good.pem");
	struct wire w = {.chunk = 1, .limit = SIZE_MAX};
	struct lsc_future *tasks[2];
	struct lsc_stream *s[2];
	int r[2];

	(void)arg;
	open_wired_pair(&w, s, tasks);
	fixture_shake(s, client, server, "localhost", r);
	assert_int_equal(r[0], 0);
	assert_int_equal(r[1], 0);
	struct lsc_future *echoing = lsc_spawn(echo_task, s[1], NULL);
	for (int i = 0; i < 3; i++)
		fixture_ask(s[0], "byte by byte\n");
	lsc_stream_close(s[0]);
	assert_int_equal(lsc_await(echoing), 0);
	lsc_unref(echoing);
	lsc_stream_close(s[1]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(lsc_stream_wait_closed(s[i]), 0);
	close_wire(&w, tasks);
	for (int i = 0; i < 2; i++)
		lsc_stream_free(s[i]);
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void bytes_may_come_one_by_one(void **state)
{
	(void)state;
	run(main_of_dribbles);
}

/* Cut here and there in what the server says: never a hang, never the end of the stream. */
static int main_of_truncation(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("good.pem");
	bool whole = false;
	unsigned cut_data = 0;

	(void)arg;
	for (size_t limit = 1; !whole; limit += 7) {
		struct wire w = {.chunk = 4096, .limit = limit};
		struct lsc_future *tasks[2];
		struct lsc_stream *s[2];
		const char *line;
		int r[2];

		open_wired_pair(&w, s, tasks);
		fixture_shake(s, client, server, "localhost", r);
		if (r[0] < 0) {
			/* Or its answer found the wire cut. */
			assert_true(r[0] == -ECONNABORTED || r[0] == -EPIPE);
		} else {
			lsc_stream_write(s[1], "pay 100\n", 8);
			lsc_stream_close(s[1]);
			ssize_t n = lsc_stream_read_line(s[0], &line);
			if (n == 8) {
				n = lsc_stream_read_line(s[0], &line);
				cut_data += n == -ECONNABORTED;
				whole = n == 0;
			}
			if (!whole)
				assert_int_equal(n, -ECONNABORTED);
		}
		assert_in_range(limit, 1, 10000);
		lsc_stream_free(s[0]);
		lsc_stream_free(s[1]);
		close_wire(&w, tasks);
	}
	assert_true(cut_data > 0); /* all of the data, and yet not the end */
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void a_connection_that_was_cut_is_no_end_of_stream(void **state)
{
	(void)state;
	run(main_of_truncation);
}

static int main_of_garbage(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("good.pem");
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

	for (int round = 0; round < 200; round++) {
		struct lsc_tls_context *context = round % 2 ? client : server;
		char data[512];
		struct lsc_stream *stream;
		size_t size = sizeof(http) - 1;
		int pair[2];

		memcpy(data, http, size);
		if (round >= 2) {
			size = 5 + (size_t)rand_r(arg) % (sizeof(data) - 5);
			for (size_t i = 0; i < size; i++)
				data[i] = (char)rand_r(arg);
		}
		if (round % 4 >= 2) { /* the head of a record at least */
			memcpy(data, "\x16\x03\x01", 3);
			data[3] = (char)((size - 5) >> 8);
			data[4] = (char)(size - 5);
		}
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(send(pair[1], data, size, 0), size);
		assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
		assert_int_equal(lsc_stream_open(pair[0], &stream), 0);
		int r = lsc_tls_start(stream, context, "localhost");
		if (r != -EPROTO && r != -ECONNABORTED)
			fail_msg("round %d: %d (%s)", round, r, lsc_tls_error());
		if (round == 0)
			assert_string_equal(lsc_tls_error(), "handshake: http request");
		lsc_stream_free(stream);
		close(pair[1]);
	}
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void garbage_is_an_error(void **state)
{
	unsigned seed = (unsigned)lsc_now_ns();

	(void)state;
	print_message("seed %u\n", seed);
	assert_int_equal(lsc_run(main_of_garbage, &seed), 0);
}

/* Breaks off the handshake after every number of bytes. */
static int main_of_cancelling(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("good.pem");
	int before = descriptors_open();
	bool done = false;

	(void)arg;
	for (size_t step = 0; !done; step++) {
		struct wire w = {.chunk = 16, .limit = SIZE_MAX};
		struct lsc_future *tasks[2], *f[2];
		struct lsc_stream *s[2];

		open_wired_pair(&w, s, tasks);
		struct fixture_side sides[2] = {{s[0], client, "localhost"}, {s[1], server, NULL}};
		for (int i = 0; i < 2; i++)
			f[i] = lsc_spawn(fixture_start, &sides[i], NULL);
		for (size_t i = 0; i < step; i++)
			lsc_yield();
		done = lsc_is_done(f[0]) && lsc_is_done(f[1]);
		int which = (int)step % 2;
		bool late = lsc_is_done(f[which]);
		lsc_cancel(f[which]);
		int r = lsc_await(f[which]);
		if (!late) {
			assert_int_equal(r, -ECANCELED);
			lsc_stream_abort(s[which]); /* of a task that has not run */
		}
		lsc_await(f[!which]);
		for (int i = 0; i < 2; i++) {
			lsc_unref(f[i]);
			lsc_stream_abort(s[i]);
			lsc_stream_free(s[i]);
		}
		close_wire(&w, tasks);
		assert_in_range(step, 0, 10000);
	}
	assert_int_equal(descriptors_open(), before);
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void a_handshake_can_be_cancelled_at_any_time(void **state)
{
	(void)state;
	run(main_of_cancelling);
}

/* ---- time ---- */

static int main_of_timeouts(void *arg)
{
	struct lsc_tls_options o = {.size = sizeof(o),
				    .verify = LSC_TLS_VERIFY_NONE,
				    .handshake_timeout_ns = 30 * LSC_NS_PER_MS,
				    .shutdown_timeout_ns = 30 * LSC_NS_PER_MS};
	struct lsc_tls_context *client, *server = fixture_server("good.pem");
	static char much[1u << 20];
	struct lsc_stream *s[2];
	int r[2];

	(void)arg;
	assert_int_equal(lsc_tls_context_new(LSC_TLS_CLIENT, &o, &client), 0);
	/* A peer that says nothing. */
	fixture_pair(s);
	uint64_t began = lsc_time();
	assert_int_equal(lsc_tls_start(s[0], client, NULL), -ETIMEDOUT);
	assert_true(lsc_time() - began >= 30 * LSC_NS_PER_MS);
	assert_string_equal(lsc_tls_error(), "handshake: not finished in time");
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	/* One that does not answer the end; and with much that it does not read. */
	for (int full = 0; full < 2; full++) {
		fixture_pair(s);
		fixture_shake(s, client, server, NULL, r);
		assert_int_equal(r[0], 0);
		if (full)
			assert_int_equal(lsc_stream_write(s[0], much, sizeof(much)), 0);
		began = lsc_time();
		lsc_stream_close(s[0]);
		assert_int_equal(lsc_stream_wait_closed(s[0]), -ETIMEDOUT);
		assert_true(lsc_time() - began >= 30 * LSC_NS_PER_MS);
		lsc_stream_free(s[0]);
		lsc_stream_free(s[1]);
	}
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void a_silent_peer_is_given_up(void **state)
{
	(void)state;
	run(main_of_timeouts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_may_come_one_by_one),
		cmocka_unit_test(a_connection_that_was_cut_is_no_end_of_stream),
		cmocka_unit_test(garbage_is_an_error),
		cmocka_unit_test(a_handshake_can_be_cancelled_at_any_time),
		cmocka_unit_test(a_silent_peer_is_given_up),
	};
	return cmocka_run_group_tests_name("tls_wire", tests, fixture_make, fixture_remove);
}
