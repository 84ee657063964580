/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"
#include "tls_fixture.h"

static char directory[64];

int fixture_make(void **state)
{
	char command[sizeof(MAKE_CERTIFICATES) + sizeof(directory) + 8];

	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/loopscope-test-tls-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(command, sizeof(command), "%s %s", MAKE_CERTIFICATES, directory);
	return system(command);
}

int fixture_remove(void **state)
{
	char command[sizeof(directory) + 8];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

const char *fixture_path(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

struct lsc_tls_context *fixture_client(const char *ca)
{
	struct lsc_tls_options o = {.size = sizeof(o)};
	struct lsc_tls_context *c = NULL;

	if (ca)
		o.ca_file = fixture_path(ca);
	else
		o.verify = LSC_TLS_VERIFY_NONE;
	if (lsc_tls_context_new(LSC_TLS_CLIENT, &o, &c) < 0)
		fail_msg("%s", lsc_tls_error());
	return c;
}

struct lsc_tls_context *fixture_server(const char *certificate)
{
	struct lsc_tls_options o = {.size = sizeof(o)};
	struct lsc_tls_context *c = NULL;

	o.certificate_file = fixture_path(certificate);
	if (lsc_tls_context_new(LSC_TLS_SERVER, &o, &c) < 0)
		fail_msg("%s", lsc_tls_error());
	return c;
}

int fixture_echo(struct lsc_stream *stream, void *arg)
{
	const char *line;
	ssize_t n;

	(void)arg;
	while ((n = lsc_stream_read_line(stream, &line)) > 0) {
		int r = lsc_stream_write(stream, line, (size_t)n);

		if (r == 0)
			r = lsc_stream_drain(stream);
		if (r < 0)
			return r;
	}
	return (int)n;
}

void fixture_ask(struct lsc_stream *stream, const char *text)
{
	const char *line;

	assert_int_equal(lsc_stream_write(stream, text, strlen(text)), 0);
	ssize_t n = lsc_stream_read_line(stream, &line);
	if (n < 0)
		fail_msg("%zd: %s", n, lsc_tls_error());
	assert_int_equal(n, strlen(text));
	assert_memory_equal(line, text, strlen(text));
}

/* ---- both ends at once ---- */

int fixture_start(void *arg)
{
	struct fixture_side *s = arg;

	return lsc_tls_start(s->stream, s->context, s->name);
}

/* Both ends of a socket, without TLS so far. */
void fixture_pair(struct lsc_stream *ret[2])
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(lsc_stream_open(pair[i], &ret[i]), 0);
}

/* Starts TLS at both ends, [0] as a client of name. What each says is in ret. */
void fixture_shake(struct lsc_stream *streams[2], struct lsc_tls_context *client,
		   struct lsc_tls_context *server, const char *name, int ret[2])
{
	struct fixture_side sides[2] = {{streams[0], client, name}, {streams[1], server, NULL}};
	struct lsc_future *tasks[2];

	for (int i = 0; i < 2; i++)
		tasks[i] = lsc_spawn(fixture_start, &sides[i],
				     i == 0 ? "shaking-client" : "shaking-server");
	for (int i = 0; i < 2; i++) {
		ret[i] = lsc_await(tasks[i]);
		lsc_unref(tasks[i]);
	}
}

/* A pair that has shaken hands. */
void fixture_tls_pair(struct lsc_stream *ret[2])
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("good.pem");
	int results[2];

	fixture_pair(ret);
	fixture_shake(ret, client, server, "localhost", results);
	assert_int_equal(results[0], 0);
	assert_int_equal(results[1], 0);
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
}

static int close_stream(void *arg)
{
	lsc_stream_close(arg);
	return lsc_stream_wait_closed(arg);
}

/* Closes both in an orderly way. */
void fixture_close(struct lsc_stream *streams[2])
{
	struct lsc_future *f[2];

	for (int i = 0; i < 2; i++)
		f[i] = lsc_spawn(close_stream, streams[i], NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lsc_await(f[i]), 0);
		lsc_unref(f[i]);
		lsc_stream_free(streams[i]);
	}
}
