/* SPDX-License-Identifier: MIT */
/* The life of a stream with TLS: every way to begin and to end, much of it, and many. */
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

/* ---- the end ---- */

static int main_of_half_closed(void *arg)
{
	struct lsc_stream *s[2];
	char data[16];

	(void)arg;
	fixture_tls_pair(s);
	assert_int_equal(lsc_stream_write(s[0], "bye", 3), 0);
	assert_int_equal(lsc_stream_write_eof(s[0]), 0);
	assert_int_equal(lsc_stream_write(s[0], "x", 1), -EPIPE);
	assert_int_equal(lsc_stream_read(s[1], data, sizeof(data)), 3);
	assert_int_equal(lsc_stream_read(s[1], data, sizeof(data)), 0);
	assert_int_equal(lsc_stream_at_eof(s[1]), 1);
	/* The other direction is open. */
	assert_int_equal(lsc_stream_write(s[1], "ok", 2), 0);
	assert_int_equal(lsc_stream_read(s[0], data, sizeof(data)), 2);
	fixture_close(s);
	return 0;
}

static void one_direction_can_end_alone(void **state)
{
	(void)state;
	run(main_of_half_closed);
}

static int read_one(void *arg)
{
	return (int)lsc_stream_read(arg, &(char){0}, 1);
}

static int main_of_closing(void *arg)
{
	struct lsc_stream *s[2];

	(void)arg;
	/* Closed under a reader. */
	fixture_tls_pair(s);
	struct lsc_future *f = lsc_spawn(read_one, s[0], NULL);
	lsc_yield();
	assert_int_equal(lsc_stream_read(s[0], &(char){0}, 1), -EBUSY);
	lsc_stream_close(s[0]);
	assert_int_equal(lsc_await(f), -EBADF);
	lsc_unref(f);
	assert_int_equal(lsc_stream_read(s[1], &(char){0}, 1), 0);
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	/* A cancelled reader loses nothing. */
	fixture_tls_pair(s);
	f = lsc_spawn(read_one, s[0], NULL);
	lsc_yield();
	lsc_cancel(f);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	assert_int_equal(lsc_stream_write(s[1], "hello\n", 6), 0);
	const char *line;
	assert_int_equal(lsc_stream_read_line(s[0], &line), 6);
	/* Aborted: the peer does not take that for an end. */
	lsc_stream_abort(s[0]);
	assert_int_equal(lsc_stream_read(s[1], &(char){0}, 1), -ECONNABORTED);
	assert_int_equal(lsc_stream_write(s[1], "x", 1), -ECONNABORTED);
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	/* Aborted while it waits for the peer's end, and freed in that state. */
	fixture_tls_pair(s);
	lsc_stream_close(s[0]);
	lsc_yield();
	lsc_stream_abort(s[0]);
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	lsc_yield();
	/* The loop ends meanwhile. */
	fixture_tls_pair(s);
	lsc_stream_free(s[0]);
	f = lsc_spawn(read_one, s[1], NULL);
	lsc_unref(f);
	lsc_stream_free(s[1]);
	return 0;
}

static void streams_are_closed_in_every_state(void **state)
{
	int before = descriptors_open();

	(void)state;
	run(main_of_closing);
	assert_int_equal(descriptors_open(), before);
}

/* ---- TLS on a connection that was used without ---- */

static int serve_upgrade(void *arg)
{
	struct lsc_tls_context *server = fixture_server("good.pem");
	struct lsc_stream *s = arg;
	const char *line;

	assert_int_equal(lsc_stream_read_line(s, &line), 9);
	assert_int_equal(lsc_stream_write(s, "go ahead\n", 9), 0);
	int r = lsc_tls_start(s, server, NULL);
	lsc_tls_context_unref(server);
	return r < 0 ? r : fixture_echo(s, NULL);
}

static int main_of_upgrade(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem");
	struct lsc_stream *s[2];
	const char *line;

	(void)arg;
	fixture_pair(s);
	struct lsc_future *f = lsc_spawn(serve_upgrade, s[1], NULL);
	assert_int_equal(lsc_stream_write(s[0], "STARTTLS\n", 9), 0);
	assert_int_equal(lsc_stream_read_line(s[0], &line), 9);
	assert_int_equal(lsc_tls_start(s[0], client, "localhost"), 0);
	fixture_ask(s[0], "in secret\n");
	lsc_stream_close(s[0]);
	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	/* The client does not wait for the answer: what was read ahead is TLS. */
	fixture_pair(s);
	f = lsc_spawn(serve_upgrade, s[1], NULL);
	assert_int_equal(lsc_stream_write(s[0], "STARTTLS\n", 9), 0);
	struct fixture_side side = {s[0], client, "localhost"};
	struct lsc_future *shaking = lsc_spawn(fixture_start, &side, NULL);
	assert_int_equal(lsc_await(shaking), -EPROTO); /* "go ahead" is none */
	lsc_unref(shaking);
	assert_true(lsc_await(f) < 0);
	lsc_unref(f);
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	/* Text that somebody slipped in behind the command is not taken for the peer's. */
	fixture_pair(s);
	f = lsc_spawn(serve_upgrade, s[1], NULL);
	assert_int_equal(lsc_stream_write(s[0], "STARTTLS\nRCPT TO: mallory\n", 26), 0);
	assert_int_equal(lsc_await(f), -EPROTO);
	lsc_unref(f);
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	lsc_tls_context_unref(client);
	return 0;
}

static void a_connection_can_be_upgraded(void **state)
{
	(void)state;
	run(main_of_upgrade);
}

/* ---- much, and many ---- */

#define MUCH (6u << 20)

struct flood {
	struct lsc_stream *stream;
	unsigned char key;
};

static unsigned char pattern(size_t at, unsigned char key)
{
	return (unsigned char)(at * 31 + at / 251 + key);
}

static int pour(void *arg)
{
	static unsigned char data[2][100000];
	struct flood *f = arg;

	for (size_t done = 0; done < MUCH;) {
		size_t n = done % 100000 + 1; /* pieces of all sizes */

		if (n > MUCH - done)
			n = MUCH - done;
		for (size_t i = 0; i < n; i++)
			data[f->key][i] = pattern(done + i, f->key);
		assert_int_equal(lsc_stream_write(f->stream, data[f->key], n), 0);
		int r = lsc_stream_drain(f->stream);
		if (r < 0)
			return r;
		done += n;
		/* Back-pressure: never more than the mark and one piece, with its records' heads.
		 */
		assert_true(lsc_stream_buffered(f->stream) <= 65536 + 101000);
	}
	return lsc_stream_write_eof(f->stream);
}

static int drink(void *arg)
{
	struct flood *f = arg;
	unsigned char data[5000];
	size_t got = 0;
	ssize_t n;

	while ((n = lsc_stream_read(f->stream, data, sizeof(data))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (data[i] != pattern(got + (size_t)i, !f->key))
				fail_msg("byte %zu is wrong", got + (size_t)i);
		got += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(got, MUCH);
	return 0;
}

static int main_of_floods(void *arg)
{
	struct lsc_stream *s[2];
	struct lsc_future *tasks[4];

	(void)arg;
	fixture_tls_pair(s);
	struct flood f[2] = {{s[0], 0}, {s[1], 1}};
	for (int i = 0; i < 2; i++) {
		tasks[i] = lsc_spawn(pour, &f[i], NULL);
		tasks[2 + i] = lsc_spawn(drink, &f[i], NULL);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(lsc_await(tasks[i]), 0);
		lsc_unref(tasks[i]);
	}
	fixture_close(s);
	return 0;
}

static void megabytes_go_both_ways_at_once(void **state)
{
	(void)state;
	run(main_of_floods);
}

#define MANY 1000

static int main_of_many(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("good.pem");
	struct lsc_server *listening;
	int before = descriptors_open();

	(void)arg;
	assert_int_equal(
		lsc_tls_start_server(server, "127.0.0.1", 0, fixture_echo, NULL, NULL, &listening),
		0);
	lsc_tls_context_unref(server); /* the server has its own */
	for (int i = 0; i < MANY; i++) {
		struct lsc_stream *s;

		assert_int_equal(lsc_tls_open_connection(client, "localhost",
							 lsc_server_port(listening), NULL, &s),
				 0);
		fixture_ask(s, "hello\n");
		lsc_stream_close(s);
		assert_int_equal(lsc_stream_wait_closed(s), 0);
		lsc_stream_free(s);
	}
	lsc_server_close(listening);
	assert_int_equal(lsc_server_wait_closed(listening), 0);
	lsc_server_free(listening);
	lsc_tls_context_unref(client);
	for (int i = 0; descriptors_open() > before + 1 && i < 1000; i++)
		lsc_yield();
	return 0;
}

static void a_thousand_connections_leave_nothing(void **state)
{
	int before = descriptors_open();

	(void)state;
	run(main_of_many);
	assert_int_equal(descriptors_open(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_direction_can_end_alone),
		cmocka_unit_test(streams_are_closed_in_every_state),
		cmocka_unit_test(a_connection_can_be_upgraded),
		cmocka_unit_test(megabytes_go_both_ways_at_once),
		cmocka_unit_test(a_thousand_connections_leave_nothing),
	};
	return cmocka_run_group_tests_name("tls_life", tests, fixture_make, fixture_remove);
}
