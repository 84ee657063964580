/* SPDX-License-Identifier: MIT */
/* Servers as programs have them: until a signal comes, and told by the application's own lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "echo.h"
#include "loopscope/loopscope.h"
#include "reader.h"

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* ---- where its tasks are spawned ---- */

static struct lsc_site here[3] = {{.function = "tcp", .file = "app.c", .line = 1},
				  {.function = "unix", .file = "app.c", .line = 2},
				  {.function = "on", .file = "app.c", .line = 3}};

/* That its connection's task, and the one that accepts, are spawned there. */
static void serve_one(struct lsc_server *server, struct lsc_stream *client, struct lsc_site *site)
{
	char name[64] = "";
	const char *line;
	struct reader r;
	size_t spawned = 0;

	assert_int_equal(lsc_stream_write(client, "name\n", 5), 0);
	ssize_t n = lsc_stream_read_line(client, &line);
	assert_in_range(n, 2, sizeof(name) - 1);
	memcpy(name, line, (size_t)n - 1);
	reader_open(&r);
	size_t at = reader_next(&r, 0, LSC_REC_TASK_NEW, reader_task(&r, name));
	assert_int_equal((uint32_t)r.records[at].arg64, site->id);
	for (at = 0; (at = reader_next(&r, at, LSC_REC_TASK_NEW, 0)) < r.count; at++)
		spawned += (uint32_t)r.records[at].arg64 == site->id;
	assert_int_equal(spawned, 2);
	reader_close(&r);
	lsc_stream_free(client);
	lsc_server_free(server);
}

static int main_of_sites(void *arg)
{
	struct lsc_server *server;
	struct lsc_stream *client;
	int served = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char path[64];

	(void)arg;
	/* the same test may run elsewhere, with the other backend */
	snprintf(path, sizeof(path), "@loopscope-test-sites-%d", getpid());
	assert_int_equal(
		lsc_start_server_at(&here[0], "127.0.0.1", 0, echo_lines, &served, NULL, &server),
		0);
	assert_int_equal(lsc_open_connection("127.0.0.1", lsc_server_port(server), &client), 0);
	serve_one(server, client, &here[0]);
	assert_int_equal(
		lsc_start_unix_server_at(&here[1], path, echo_lines, &served, NULL, &server), 0);
	assert_int_equal(lsc_open_unix_connection(path, &client), 0);
	serve_one(server, client, &here[1]);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(lsc_start_server_on_at(&here[2], fd, echo_lines, &served, &server), 0);
	assert_int_equal(lsc_open_connection("127.0.0.1", lsc_server_port(server), &client), 0);
	serve_one(server, client, &here[2]);
	return 0;
}

static void connections_are_spawned_where_their_server_was_started(void **state)
{
	(void)state;
	run(main_of_sites);
}

/* ---- until a signal comes ---- */

static int serve_forever(void *arg)
{
	return lsc_server_serve_forever(arg);
}

static void assert_signals_are_as_before(void)
{
	struct sigaction now;

	assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
	assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
}

static void by_sigterm(struct lsc_future *task, struct lsc_server *server)
{
	(void)task;
	(void)server;
	assert_int_equal(kill(getpid(), SIGTERM), 0);
}

static void by_sigint(struct lsc_future *task, struct lsc_server *server)
{
	(void)task;
	(void)server;
	assert_int_equal(kill(getpid(), SIGINT), 0);
}

static void by_closing(struct lsc_future *task, struct lsc_server *server)
{
	(void)task;
	lsc_server_close(server);
}

static void by_cancelling(struct lsc_future *task, struct lsc_server *server)
{
	(void)server;
	lsc_cancel(task);
}

static void ignore(int signo, void *arg)
{
	(void)signo;
	(void)arg;
}

static int main_of_forever(void *arg)
{
	static const struct {
		void (*end)(struct lsc_future *task, struct lsc_server *server);
		int result;
	} ways[] = {{by_sigterm, 0}, {by_sigint, 0}, {by_closing, 0}, {by_cancelling, -ECANCELED}};
	struct lsc_stream *client;
	struct lsc_server *server;
	int served = 0;

	(void)arg;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		assert_int_equal(
			lsc_start_server("127.0.0.1", 0, echo_lines, &served, NULL, &server), 0);
		uint16_t port = lsc_server_port(server);
		/* While a signal is somebody else's it goes on serving. */
		assert_int_equal(lsc_signal_add(SIGTERM, ignore, NULL), 0);
		assert_int_equal(lsc_server_serve_forever(server), -EBUSY);
		assert_int_equal(lsc_signal_remove(SIGTERM), 0);
		assert_signals_are_as_before();
		struct lsc_future *task = lsc_spawn(serve_forever, server, "forever");
		assert_int_equal(lsc_open_connection("127.0.0.1", port, &client), 0);
		ask(client, "hello\n");
		ways[i].end(task, server);
		assert_int_equal(lsc_await(task), ways[i].result);
		lsc_unref(task);
		assert_signals_are_as_before();
		ask(client, "still here\n");
		assert_int_equal(lsc_server_port(server), 0);
		assert_int_equal(lsc_server_serve_forever(server), 0); /* it is closed */
		lsc_stream_free(client);
		lsc_server_free(server);
	}
	return 0;
}

static void a_server_serves_until_a_signal_comes(void **state)
{
	(void)state;
	run(main_of_forever);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_spawned_where_their_server_was_started),
		cmocka_unit_test(a_server_serves_until_a_signal_comes),
	};
	return cmocka_run_group_tests_name("serving", tests, NULL, NULL);
}
