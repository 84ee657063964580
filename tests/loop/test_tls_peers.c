/* SPDX-License-Identifier: MIT */
/* TLS with somebody else at the other end: openssl s_client and s_server, and Python's ssl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"
#include "tls_fixture.h"

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* ---- others as children ---- */

static struct lsc_process *start(char *const argv[])
{
	static const struct lsc_process_options pipes = {
		.size = sizeof(pipes),
		.stdio = {LSC_STDIO_PIPE, LSC_STDIO_PIPE, LSC_STDIO_STDOUT},
	};
	struct lsc_process *p = NULL;

	assert_int_equal(lsc_process_start(argv, &pipes, &p), 0);
	return p;
}

static void type(struct lsc_process *p, const char *text)
{
	assert_int_equal(lsc_stream_write(lsc_process_stream(p, 0), text, strlen(text)), 0);
}

/* Reads what it prints up to a line in which text is found; that line, NUL-terminated. */
static const char *expect(struct lsc_process *p, const char *text)
{
	static char line[1024];
	const char *at;
	ssize_t n;

	while ((n = lsc_stream_read_line(lsc_process_stream(p, 1), &at)) > 0) {
		snprintf(line, sizeof(line), "%.*s", (int)n, at);
		if (strstr(line, text))
			return line;
	}
	fail_msg("'%s' did not come; the last line was: %s", text, line);
	return NULL;
}

static int status_of(struct lsc_process *p)
{
	int status;

	assert_int_equal(lsc_process_wait(p, &status), 0);
	lsc_process_free(p);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- our server ---- */

static int last_result;

static int serve(struct lsc_stream *stream, void *arg)
{
	return last_result = fixture_echo(stream, arg);
}

struct listening {
	struct lsc_server *server;
	char port[8];
	char address[32];
};

static struct listening listen_with_tls(void)
{
	static const char *const names[] = {"echo", NULL};
	struct lsc_tls_options o = {.size = sizeof(o), .alpn = names};
	struct lsc_tls_context *context;
	struct listening l;

	o.certificate_file = fixture_path("good.pem");
	assert_int_equal(lsc_tls_context_new(LSC_TLS_SERVER, &o, &context), 0);
	assert_int_equal(
		lsc_tls_start_server(context, "127.0.0.1", 0, serve, NULL, NULL, &l.server), 0);
	lsc_tls_context_unref(context);
	snprintf(l.port, sizeof(l.port), "%u", lsc_server_port(l.server));
	snprintf(l.address, sizeof(l.address), "127.0.0.1:%s", l.port);
	return l;
}

/* Until the last connection has ended. */
static void stop(struct listening *l)
{
	lsc_server_close(l->server);
	assert_int_equal(lsc_server_wait_closed(l->server), 0);
	lsc_server_free(l->server);
}

/* ---- openssl s_client ---- */

static struct lsc_process *start_s_client(const struct listening *l, char *more)
{
	char *argv[] = {OPENSSL,
			"s_client",
			"-connect",
			(char *)l->address,
			"-servername",
			"localhost",
			"-CAfile",
			(char *)fixture_path("ca.pem"),
			"-verify_return_error",
			"-verify_hostname",
			"localhost",
			more,
			NULL};

	return start(argv);
}

static int main_of_s_client(void *arg)
{
	struct listening l = listen_with_tls();
	struct lsc_process *p = start_s_client(&l, "-tls1_3");

	(void)arg;
	expect(p, "Verify return code: 0 (ok)");
	type(p, "hello\n");
	expect(p, "hello");
	/* New keys, asked for from both sides. */
	for (int i = 0; i < 3; i++) {
		type(p, "K\n");
		expect(p, "KEYUPDATE");
		type(p, "with new keys\n");
		expect(p, "with new keys");
	}
	type(p, "Q\n");
	assert_int_equal(status_of(p), 0);
	stop(&l);
	assert_int_equal(last_result, 0);
	return 0;
}

static void s_client_talks_and_changes_keys(void **state)
{
	(void)state;
	run(main_of_s_client);
}

static int main_of_renegotiation(void *arg)
{
	struct listening l = listen_with_tls();
	struct lsc_process *p = start_s_client(&l, "-tls1_2");

	(void)arg;
	expect(p, "Verify return code: 0 (ok)");
	type(p, "hello\n");
	expect(p, "hello");
	type(p, "R\n");
	expect(p, "RENEGOTIATING");
	expect(p, "no renegotiation");
	assert_int_not_equal(status_of(p), 0);
	/* The server goes on. */
	p = start_s_client(&l, "-tls1_2");
	type(p, "still here\n");
	expect(p, "still here");
	type(p, "Q\n");
	assert_int_equal(status_of(p), 0);
	stop(&l);
	return 0;
}

static void renegotiation_is_refused(void **state)
{
	(void)state;
	run(main_of_renegotiation);
}

static int main_of_old_versions(void *arg)
{
	struct listening l = listen_with_tls();
	struct lsc_process *p = start_s_client(&l, "-tls1_1");

	(void)arg;
	expect(p, "error");
	assert_int_not_equal(status_of(p), 0);
	stop(&l);
	return 0;
}

static void old_versions_are_refused(void **state)
{
	(void)state;
	run(main_of_old_versions);
}

/* ---- openssl s_server ---- */

static int main_of_s_server(void *arg)
{
	char *argv[] = {OPENSSL,   "s_server",
			"-accept", "127.0.0.1:0",
			"-cert",   (char *)fixture_path("good.pem"),
			"-key",	   (char *)fixture_path("good.key"),
			"-rev",	   "-naccept",
			"1",	   "-alpn",
			"echo",	   NULL};
	static const char *const names[] = {"echo", NULL};
	struct lsc_tls_options o = {.size = sizeof(o), .alpn = names};
	struct lsc_tls_context *context;
	struct lsc_stream *stream;
	const char *line;

	(void)arg;
	o.ca_file = fixture_path("ca.pem");
	assert_int_equal(lsc_tls_context_new(LSC_TLS_CLIENT, &o, &context), 0);
	struct lsc_process *p = start(argv);
	uint16_t port = (uint16_t)atoi(strrchr(expect(p, "ACCEPT "), ':') + 1);
	assert_int_equal(lsc_tls_open_connection(context, "127.0.0.1", port, "localhost", &stream),
			 0);
	assert_string_equal(lsc_tls_alpn(stream), "echo");
	assert_int_equal(lsc_stream_write(stream, "olleh\n", 6), 0);
	assert_int_equal(lsc_stream_read_line(stream, &line), 6);
	assert_memory_equal(line, "hello\n", 6);
	lsc_stream_close(stream);
	assert_int_equal(lsc_stream_wait_closed(stream), 0);
	lsc_stream_free(stream);
	assert_int_equal(status_of(p), 0);
	lsc_tls_context_unref(context);
	return 0;
}

static void s_server_is_talked_to(void **state)
{
	(void)state;
	run(main_of_s_server);
}

/* ---- Python ---- */

static int main_of_python_clients(void *arg)
{
	static char *const kinds[] = {"client", "asyncio", "cut"};

	(void)arg;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct listening l = listen_with_tls();
		char *argv[] = {PYTHON, TLS_PEER, kinds[i], l.port, (char *)fixture_path("ca.pem"),
				NULL};
		struct lsc_process *p = start(argv);

		expect(p, "good");
		assert_int_equal(status_of(p), 0);
		stop(&l);
		assert_int_equal(last_result, strcmp(kinds[i], "cut") == 0 ? -ECONNABORTED : 0);
	}
	return 0;
}

static void python_clients_talk(void **state)
{
	(void)state;
	run(main_of_python_clients);
}

#define MUCH (4u << 20)

static int pour(void *arg)
{
	static char data[65536];
	struct lsc_stream *stream = arg;

	memset(data, 'x', sizeof(data));
	for (size_t done = 0; done < MUCH; done += sizeof(data)) {
		int r = lsc_stream_write(stream, data, sizeof(data));

		if (r == 0)
			r = lsc_stream_drain(stream);
		if (r < 0)
			return r;
	}
	return 0;
}

static void swallow(struct lsc_stream *stream)
{
	char data[10000];

	for (size_t got = 0; got < MUCH;) {
		ssize_t n = lsc_stream_read(stream, data, sizeof(data));

		if (n <= 0)
			fail_msg("%zd after %zu bytes: %s", n, got, lsc_tls_error());
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(data[i], 'x');
		got += (size_t)n;
	}
}

static int main_of_python_servers(void *arg)
{
	struct lsc_tls_context *context = fixture_client("ca.pem");
	struct lsc_stream *stream;

	(void)arg;
	for (int cutting = 0; cutting < 2; cutting++) {
		char *argv[] = {PYTHON, TLS_PEER, cutting ? "cutting" : "server",
				(char *)fixture_path("good.pem"), NULL};
		struct lsc_process *p = start(argv);
		uint16_t port = (uint16_t)atoi(expect(p, ""));

		assert_int_equal(
			lsc_tls_open_connection(context, "127.0.0.1", port, "localhost", &stream),
			0);
		fixture_ask(stream, "hello\n");
		if (cutting) {
			assert_int_equal(lsc_stream_read(stream, &(char){0}, 1), -ECONNABORTED);
		} else {
			struct lsc_future *pouring = lsc_spawn(pour, stream, NULL);
			swallow(stream);
			assert_int_equal(lsc_await(pouring), 0);
			lsc_unref(pouring);
			lsc_stream_close(stream);
			assert_int_equal(lsc_stream_wait_closed(stream), 0);
		}
		lsc_stream_free(stream);
		expect(p, "good");
		assert_int_equal(status_of(p), 0);
	}
	lsc_tls_context_unref(context);
	return 0;
}

static void python_servers_are_talked_to(void **state)
{
	(void)state;
	run(main_of_python_servers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s_client_talks_and_changes_keys),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(s_server_is_talked_to),
		cmocka_unit_test(python_clients_talk),
		cmocka_unit_test(python_servers_are_talked_to),
	};
	return cmocka_run_group_tests_name("tls_peers", tests, fixture_make, fixture_remove);
}
