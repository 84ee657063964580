/* SPDX-License-Identifier: MIT */
/* Servers and connections, over TCP, Unix sockets and UDP; names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "echo.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "on_valgrind.h"
#include "task.h"

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* ---- TCP ---- */

static int wait_closed(void *arg)
{
	return lsc_server_wait_closed(arg);
}

static int main_of_tcp(void *arg)
{
	struct lsc_stream *clients[3];
	struct lsc_server *server;
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	const char *line;
	int served = 0;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, echo_lines, &served, NULL, &server), 0);
	uint16_t port = lsc_server_port(server);
	assert_true(port > 0);
	assert_int_equal(lsc_server_address(server, 0, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(lsc_server_address(server, 1, (struct sockaddr *)&address, &size),
			 -ENOENT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(lsc_open_connection("127.0.0.1", port, &clients[i]), 0);
	for (int i = 2; i >= 0; i--)
		ask(clients[i], "hello\n");
	assert_int_equal(lsc_server_connections(server), 3);
	assert_int_equal(lsc_stream_write(clients[0], "name\n", 5), 0);
	ssize_t n = lsc_stream_read_line(clients[0], &line);
	assert_true(n > 17);
	assert_memory_equal(line, "client 127.0.0.1:", 17);
	/* Closed: nobody gets in, who is in stays. */
	struct lsc_future *f = lsc_spawn(wait_closed, server, NULL);
	lsc_server_close(server);
	lsc_server_close(server);
	assert_int_equal(lsc_open_connection("127.0.0.1", port, &clients[0] + 0), -ECONNREFUSED);
	ask(clients[1], "still here\n");
	assert_int_equal(lsc_is_done(f), 0);
	assert_int_equal(lsc_server_address(server, 0, (struct sockaddr *)&address, &size), -EBADF);
	assert_int_equal(lsc_server_port(server), 0);
	for (int i = 0; i < 3; i++)
		lsc_stream_free(clients[i]);
	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
	assert_int_equal(lsc_server_wait_closed(server), 0);
	assert_int_equal(served, 3);
	lsc_server_free(server);
	return 0;
}

static void a_server_serves_until_its_last_connection(void **state)
{
	(void)state;
	run(main_of_tcp);
}

static int main_of_abandoned(void *arg)
{
	static int served;
	struct lsc_stream *client;
	struct lsc_server *server;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, echo_lines, &served, NULL, &server), 0);
	assert_int_equal(lsc_open_connection("127.0.0.1", lsc_server_port(server), &client), 0);
	ask(client, "x\n");
	lsc_stream_free(client);
	/* One that the server has not seen yet. */
	assert_int_equal(lsc_open_connection("127.0.0.1", lsc_server_port(server), &client), 0);
	lsc_server_free(server);
	lsc_stream_free(client);
	return 0;
}

static void the_loop_may_end_before_the_connections(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		run(main_of_abandoned);
}

/* Connects with the last descriptor that the process may have: none is left to accept with. */
static int connect_with_the_last(struct lsc_server *server, struct rlimit *ret_before)
{
	struct rlimit few;
	struct sockaddr_in a;
	socklen_t size = sizeof(a);

	assert_int_equal(lsc_server_address(server, 0, (struct sockaddr *)&a, &size), 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_before), 0);
	few = *ret_before;
	few.rlim_cur = (rlim_t)fd + 1; /* the lowest that was free */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(lsc_connect(fd, (struct sockaddr *)&a, size), 0);
	return fd;
}

/* Nobody gets in while the process has no descriptors; then everybody does. */
static int main_of_emfile(void *arg)
{
	struct lsc_server *server;
	struct lsc_stream *client;
	struct rlimit before;
	int served = 0;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, echo_lines, &served, NULL, &server), 0);
	int fd = connect_with_the_last(server, &before);
	assert_int_equal(lsc_stream_open(fd, &client), 0);
	uint64_t begin_ns = lsc_now_ns();
	/* The tries are a second apart, not one after the other. */
	assert_int_equal(lsc_sleep(200 * LSC_NS_PER_MS), 0);
	assert_int_equal(lsc_server_connections(server), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	ask(client, "late\n");
	assert_true(lsc_now_ns() - begin_ns >= 900 * LSC_NS_PER_MS);
	lsc_stream_free(client);
	lsc_server_free(server);
	return 0;
}

/* Closed meanwhile, the accepting task does not wait for the end of its pause. */
static int main_of_closed_pause(void *arg)
{
	struct lsc_future *tasks[3];
	struct lsc_server *server;
	struct rlimit before;
	int served = 0;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, echo_lines, &served, NULL, &server), 0);
	assert_int_equal(lsc_all_tasks(tasks, 3), 2);
	struct task *accepting = task_of(tasks[1]);
	int fd = connect_with_the_last(server, &before);
	while (accepting->state != LSC_TASK_SUSPENDED || accepting->wait_kind != LSC_WAIT_TIMER)
		assert_int_equal(lsc_yield(), 0);
	lsc_server_close(server);
	for (int i = 0; i < 3; i++)
		assert_int_equal(lsc_yield(), 0);
	assert_int_equal(lsc_all_tasks(tasks, 3), 1);
	assert_int_equal(lsc_server_wait_closed(server), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	lsc_server_free(server);
	/* Who was in the backlog is told. */
	char byte;
	assert_int_equal(lsc_recv(fd, &byte, 1, 0), -ECONNRESET);
	return lsc_close(fd);
}

static void accepting_pauses_without_descriptors(void **state)
{
	(void)state;
	skip_on_valgrind(TAKES_AND_REFUSES);
	run(main_of_emfile);
	run(main_of_closed_pause);
}

/* ---- closed and freed by those it serves ---- */

static int close_own_server(struct lsc_stream *stream, void *arg)
{
	struct lsc_server **server = arg;
	const char *line;

	/* Everything goes but this connection, which is the last to hold the server. */
	*server = lsc_server_free(*server);
	ssize_t n = lsc_stream_read_line(stream, &line);
	return n < 0 ? (int)n : lsc_stream_write(stream, line, (size_t)n);
}

static int main_of_own_end(void *arg)
{
	struct lsc_server *server;
	struct lsc_stream *client, *late;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, close_own_server, &server, NULL, &server),
			 0);
	uint16_t port = lsc_server_port(server);
	assert_int_equal(lsc_open_connection("127.0.0.1", port, &client), 0);
	while (server)
		assert_int_equal(lsc_yield(), 0);
	assert_int_equal(lsc_open_connection("127.0.0.1", port, &late), -ECONNREFUSED);
	ask(client, "still there\n");
	lsc_stream_free(client);
	return 0;
}

static void a_server_may_be_freed_by_its_own_handler(void **state)
{
	(void)state;
	run(main_of_own_end);
}

/* ---- Unix ---- */

static int main_of_unix(void *arg)
{
	struct lsc_server *server, *second;
	struct lsc_stream *client;
	char path[108];
	struct stat st;
	int served = 0;

	(void)arg;
	for (int abstract = 0; abstract < 2; abstract++) {
		snprintf(path, sizeof(path), "%sloopscope-test-server-%d", abstract ? "@" : "/tmp/",
			 getpid());
		assert_int_equal(lsc_start_unix_server(path, echo_lines, &served, NULL, &server),
				 0);
		assert_int_equal(lsc_open_unix_connection(path, &client), 0);
		ask(client, "hello\n");
		lsc_stream_free(client);
		lsc_server_close(server);
		assert_int_equal(lsc_open_unix_connection(path, &client),
				 abstract ? -ECONNREFUSED : -ENOENT);
		lsc_server_free(server);
	}
	/* What an earlier server left behind is in nobody's way. */
	snprintf(path, sizeof(path), "/tmp/loopscope-test-server-%d", getpid());
	assert_int_equal(lsc_start_unix_server(path, echo_lines, &served, NULL, &server), 0);
	assert_int_equal(lsc_start_unix_server(path, echo_lines, &served, NULL, &second), 0);
	assert_int_equal(stat(path, &st), 0);
	lsc_server_free(second);
	lsc_server_free(server);
	assert_int_equal(stat(path, &st), -1);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(lsc_open_unix_connection("", &client), -EINVAL);
	char longer[200];
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(lsc_open_unix_connection(longer, &client), -ENAMETOOLONG);
	assert_int_equal(lsc_start_unix_server(longer, echo_lines, NULL, NULL, &server),
			 -ENAMETOOLONG);
	assert_int_equal(lsc_start_unix_server("/nonexistent/x", echo_lines, NULL, NULL, &server),
			 -ENOENT);
	return 0;
}

static void unix_sockets_are_served(void **state)
{
	(void)state;
	run(main_of_unix);
}

/* ---- sockets of somebody else ---- */

static int main_of_given(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), served = 0;
	struct lsc_server *server;
	struct lsc_stream *client;

	(void)arg;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(lsc_start_server_on(fd, echo_lines, &served, &server), 0);
	assert_int_equal(lsc_open_connection("127.0.0.1", lsc_server_port(server), &client), 0);
	ask(client, "hello\n");
	lsc_stream_free(client);
	lsc_server_free(server);
	assert_int_equal(lsc_start_server_on(-1, echo_lines, NULL, &server), -EBADF);
	return 0;
}

static void a_listening_socket_can_be_handed_over(void **state)
{
	(void)state;
	run(main_of_given);
}

/* ---- UDP ---- */

static int main_of_udp(void *arg)
{
	struct sockaddr_in a;
	socklen_t size = sizeof(a);
	char data[16];
	int server = lsc_open_udp("127.0.0.1", 0, NULL, 0);

	(void)arg;
	assert_true(server >= 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&a, &size), 0);
	int client = lsc_open_udp(NULL, 0, "127.0.0.1", ntohs(a.sin_port));
	assert_true(client >= 0);
	assert_int_equal(lsc_send(client, "ping", 4, 0), 4);
	assert_int_equal(lsc_recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&a, &size),
			 4);
	assert_int_equal(lsc_sendto(server, "pong!", 5, 0, (struct sockaddr *)&a, size), 5);
	assert_int_equal(lsc_recv(client, data, sizeof(data), 0), 5);
	getsockname(server, (struct sockaddr *)&a, &size);
	assert_int_equal(lsc_open_udp("127.0.0.1", ntohs(a.sin_port), NULL, 0), -EADDRINUSE);
	assert_int_equal(lsc_open_udp("::1", 0, "127.0.0.1", 9), -EAFNOSUPPORT);
	lsc_close(client);
	lsc_close(server);
	return 0;
}

static void udp_endpoints_talk(void **state)
{
	(void)state;
	run(main_of_udp);
}

/* ---- names ---- */

static int main_of_names(void *arg)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	char host[NI_MAXHOST], service[NI_MAXSERV];

	(void)arg;
	assert_int_equal(lsc_getaddrinfo("localhost", NULL, &hints, &found), 0);
	const struct sockaddr_in *a = (const struct sockaddr_in *)found->ai_addr;
	assert_int_equal(ntohl(a->sin_addr.s_addr) >> 24, 127);
	assert_int_equal(lsc_getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof(host),
					 service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV),
			 0);
	assert_memory_equal(host, "127.", 4);
	assert_string_equal(service, "0");
	assert_int_equal(lsc_getnameinfo(found->ai_addr, found->ai_addrlen, host, 3, NULL, 0,
					 NI_NUMERICHOST),
			 -ENOBUFS);
	assert_int_equal(lsc_getnameinfo(found->ai_addr, 1, host, sizeof(host), NULL, 0, 0),
			 -EINVAL);
	freeaddrinfo(found);
	assert_int_equal(lsc_getaddrinfo("127.0.0.1", "80", &hints, &found), 0);
	freeaddrinfo(found);
	hints.ai_flags = AI_NUMERICHOST;
	assert_int_equal(lsc_getaddrinfo("no.such.host.invalid", "80", &hints, &found), -ENOENT);
	hints.ai_socktype = 77;
	assert_int_equal(lsc_getaddrinfo("127.0.0.1", "80", &hints, &found), -EINVAL);
	return 0;
}

static int resolve(void *arg)
{
	struct addrinfo *found;
	int r = lsc_getaddrinfo(arg, "80", NULL, &found);

	if (r == 0)
		freeaddrinfo(found);
	return r;
}

static int main_of_cancelled_name(void *arg)
{
	struct lsc_future *f = lsc_spawn(resolve, "localhost", NULL);

	(void)arg;
	lsc_yield();
	lsc_cancel(f);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	return 0;
}

static void names_are_resolved_beside_the_loop(void **state)
{
	(void)state;
	run(main_of_names);
	run(main_of_cancelled_name);
}

/* ---- misuse ---- */

static int main_of_misuse(void *arg)
{
	struct lsc_server_options options = {.size = 1};
	struct lsc_server *server;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, echo_lines, NULL, &options, &server),
			 -EINVAL);
	assert_int_equal(lsc_start_server("192.0.2.1", 0, echo_lines, NULL, NULL, &server),
			 -EADDRNOTAVAIL);
	assert_null(lsc_server_free(NULL));
	return 0;
}

static void servers_and_connections_need_a_task(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct addrinfo *found;
	struct lsc_server *server;
	struct lsc_stream *stream;
	char host[8];

	(void)state;
	run(main_of_misuse);
	assert_int_equal(lsc_start_server(NULL, 0, echo_lines, NULL, NULL, &server), -EPERM);
	assert_int_equal(lsc_start_unix_server("@x", echo_lines, NULL, NULL, &server), -EPERM);
	assert_int_equal(lsc_start_server_on(0, echo_lines, NULL, &server), -EPERM);
	assert_int_equal(lsc_server_serve_forever(NULL), -EPERM);
	assert_int_equal(lsc_open_connection("127.0.0.1", 1, &stream), -EPERM);
	assert_int_equal(lsc_open_unix_connection("@x", &stream), -EPERM);
	assert_int_equal(lsc_open_udp(NULL, 0, NULL, 0), -EPERM);
	assert_int_equal(lsc_getaddrinfo("127.0.0.1", NULL, NULL, &found), -EPERM);
	assert_int_equal(
		lsc_getnameinfo((struct sockaddr *)&a, sizeof(a), host, sizeof(host), NULL, 0, 0),
		-EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_serves_until_its_last_connection),
		cmocka_unit_test(the_loop_may_end_before_the_connections),
		cmocka_unit_test(accepting_pauses_without_descriptors),
		cmocka_unit_test(a_server_may_be_freed_by_its_own_handler),
		cmocka_unit_test(unix_sockets_are_served),
		cmocka_unit_test(a_listening_socket_can_be_handed_over),
		cmocka_unit_test(udp_endpoints_talk),
		cmocka_unit_test(names_are_resolved_beside_the_loop),
		cmocka_unit_test(servers_and_connections_need_a_task),
	};
	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
