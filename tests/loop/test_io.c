/* SPDX-License-Identifier: MIT */
/* Operations on descriptors: they try, wait, and say what went wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"
#include "on_valgrind.h"
#include "pair.h"

/* Runs fn as a loop's main task. */
static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* ---- both directions ---- */

#define MUCH (4u << 20)

static int send_much(void *arg)
{
	char *data = malloc(MUCH);

	assert_non_null(data);
	for (size_t i = 0; i < MUCH; i++)
		data[i] = (char)(i * 7 + i / 4096);
	int r = lsc_send_all(*(int *)arg, data, MUCH);
	free(data);
	return r;
}

static int receive_much(void *arg)
{
	char data[10000];

	for (size_t got = 0; got < MUCH;) {
		ssize_t n = lsc_recv(*(int *)arg, data, sizeof(data), 0);

		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		for (ssize_t i = 0; i < n; i++, got++)
			if (data[i] != (char)(got * 7 + got / 4096))
				return -EILSEQ;
	}
	return 0;
}

static int both_directions(int pair[2])
{
	struct lsc_future *f[4] = {
		lsc_spawn(send_much, &pair[0], "send 0"),
		lsc_spawn(receive_much, &pair[0], "receive 0"),
		lsc_spawn(send_much, &pair[1], "send 1"),
		lsc_spawn(receive_much, &pair[1], "receive 1"),
	};
	struct lsc_future *all = lsc_gather(f, 4, 0);
	int r = lsc_await(all);

	lsc_unref(all);
	for (int i = 0; i < 4; i++)
		lsc_unref(f[i]);
	pair_close(pair);
	return r;
}

static int main_of_tcp(void *arg)
{
	int pair[2];

	(void)arg;
	pair_open_tcp(pair);
	return both_directions(pair);
}

static int main_of_unix(void *arg)
{
	int pair[2];

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0); /* blocking ones */
	return both_directions(pair);
}

static void two_tasks_use_one_socket_in_both_directions(void **state)
{
	(void)state;
	run(main_of_tcp);
	run(main_of_unix);
}

/* ---- short reads and the peer's end ---- */

static int read_to_the_end(void *arg)
{
	char data[4096];
	ssize_t n, all = 0;

	while ((n = lsc_recv(*(int *)arg, data, sizeof(data), 0)) > 0)
		all += n;
	return n < 0 ? (int)n : (int)all;
}

static int main_of_end(void *arg)
{
	int pair[2];

	(void)arg;
	for (int round = 0; round < 50; round++) {
		pair_open_tcp(pair);
		struct lsc_future *reader = lsc_spawn(read_to_the_end, &pair[0], NULL);
		if (round % 2)
			lsc_yield();
		assert_int_equal(send(pair[1], "abc", 3, 0), 3);
		if (round % 5 == 0)
			lsc_yield();
		assert_int_equal(send(pair[1], "de", 2, 0), 2);
		if (round % 3)
			lsc_yield();
		assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
		assert_int_equal(lsc_await(reader), 5);
		lsc_unref(reader);
		pair_close(pair);
	}
	/* Nobody reads any more: an error, and no signal. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(lsc_close(pair[1]), 0);
	assert_int_equal(lsc_send(pair[0], "a", 1, 0), -EPIPE);
	assert_int_equal(lsc_close(pair[0]), 0);
	return 0;
}

static void the_end_behind_a_short_read_is_met(void **state)
{
	(void)state;
	run(main_of_end);
}

static int main_of_urgent(void *arg)
{
	int pair[2];

	(void)arg;
	pair_open_tcp(pair);
	struct lsc_future *reader = lsc_spawn(read_to_the_end, &pair[0], NULL);
	lsc_yield();
	/* A read stops at the urgent byte, though there is more behind it. */
	assert_int_equal(send(pair[1], "abc", 3, 0), 3);
	assert_int_equal(send(pair[1], "!", 1, MSG_OOB), 1);
	assert_int_equal(send(pair[1], "de", 2, 0), 2);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
	assert_int_equal(lsc_await(reader), 5);
	lsc_unref(reader);
	pair_close(pair);
	return 0;
}

static void urgent_data_does_not_hide_what_follows(void **state)
{
	(void)state;
	run(main_of_urgent);
}

/* ---- closed under the waiting task ---- */

static int receive_one(void *arg)
{
	char byte;

	return (int)lsc_recv(*(int *)arg, &byte, 1, 0);
}

static int receive_some(void *arg)
{
	char data[16];

	return (int)lsc_recv(*(int *)arg, data, sizeof(data), 0);
}

/* A stream of TCP that a short read has emptied needs no try until more comes. */
static int main_of_short_reads(void *arg)
{
	int pair[2];

	(void)arg;
	pair_open_tcp(pair);
	for (int i = 0; i < 3; i++) {
		struct lsc_future *f = lsc_spawn(receive_some, &pair[0], NULL);

		for (int n = 0; n < 3; n++)
			lsc_yield();
		assert_int_equal(lsc_is_done(f), 0);
		assert_int_equal(send(pair[1], "ab", 2, 0), 2);
		assert_int_equal(lsc_await(f), 2);
		lsc_unref(f);
		const struct fd_entry *entry = fd_entry_find(&lsc_loop_current()->fds, pair[0]);
		assert_true(entry->empty);
		assert_false(entry->ended);
	}
	pair_close(pair);
	return 0;
}

static void a_short_read_empties_a_stream(void **state)
{
	(void)state;
	run(main_of_short_reads);
}

static int main_of_closing(void *arg)
{
	int pair[2];

	(void)arg;
	pair_open_tcp(pair);
	struct lsc_future *a = lsc_spawn(receive_one, &pair[0], NULL);
	struct lsc_future *b = lsc_spawn(pair_wait_readable, &pair[0], NULL);
	for (int i = 0; i < 3; i++)
		lsc_yield();
	assert_int_equal(lsc_is_done(a) || lsc_is_done(b), 0);
	assert_int_equal(lsc_close(pair[0]), 0);
	assert_int_equal(lsc_await(a), -EBADF);
	assert_int_equal(lsc_await(b), -EBADF);
	assert_int_equal(lsc_close(pair[0]), -EBADF);
	lsc_unref(a);
	lsc_unref(b);
	lsc_close(pair[1]);
	return 0;
}

static void closing_ends_the_waits_with_an_error(void **state)
{
	(void)state;
	run(main_of_closing);
	assert_int_equal(lsc_close(-1), -EBADF);
}

/* close(2) instead of lsc_close(): the loop finds out by itself. */
static int main_of_plain_close(void *arg)
{
	int pair[2], other[2];
	char byte;

	(void)arg;
	pair_open_tcp(pair);
	/* The first wait watches the descriptor, the second relies on that. */
	assert_int_equal(send(pair[1], "a", 1, 0), 1);
	assert_int_equal(lsc_wait_fd(pair[0], POLLIN), POLLIN);
	assert_int_equal(lsc_recv(pair[0], &byte, 1, 0), 1);
	struct lsc_future *f = lsc_spawn(receive_one, &pair[0], NULL);
	for (int i = 0; i < 3; i++)
		lsc_yield();
	close(pair[0]);
	assert_int_equal(lsc_await(f), -EBADF);
	lsc_unref(f);
	/* And a number that another socket has got is the other socket. */
	pair_open_tcp(other);
	assert_int_equal(other[0], pair[0]);
	assert_int_equal(send(other[1], "a", 1, 0), 1);
	assert_int_equal(lsc_recv(other[0], (char[16]){0}, 16, 0), 1);
	close(other[0]);
	close(other[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
	f = lsc_spawn(receive_one, &other[0], NULL);
	for (int i = 0; i < 3; i++)
		lsc_yield();
	assert_int_equal(send(other[1], "b", 1, 0), 1);
	assert_int_equal(lsc_await(f), 1);
	lsc_unref(f);
	pair_close(other);
	lsc_close(pair[1]);
	return 0;
}

static void a_plain_close_is_noticed(void **state)
{
	(void)state;
	run(main_of_plain_close);
}

/* ---- cancelling ---- */

struct receiver {
	int fd;
	ssize_t got;
	char data[8];
};

static int receive_into(void *arg)
{
	struct receiver *r = arg;

	r->got = lsc_recv(r->fd, r->data, sizeof(r->data), 0);
	return (int)r->got;
}

/* The data comes and the request, in this order. Either the task has got it, and is asked the next
 * time it suspends, or it is still there. */
static int main_of_cancel(void *arg)
{
	char data[8];
	int pair[2];

	(void)arg;
	pair_open_tcp(pair);
	for (int round = 0; round < 20; round++) {
		struct receiver r = {.fd = pair[0]};
		struct lsc_future *f = lsc_spawn(receive_into, &r, NULL);
		/* Not begun, begun, under way in the kernel. */
		if (round % 3 > 0)
			lsc_yield();
		if (round % 3 > 1)
			lsc_sleep(1000000);
		assert_int_equal(send(pair[1], "xyz", 3, 0), 3);
		lsc_cancel(f);
		assert_int_equal(lsc_await(f), -ECANCELED);
		lsc_unref(f);
		if (r.got <= 0) {
			assert_true(r.got == 0 || r.got == -ECANCELED);
			r.got = lsc_recv(pair[0], data, sizeof(data), 0);
			memcpy(r.data, data, sizeof(data));
		}
		assert_int_equal(r.got, 3);
		assert_memory_equal(r.data, "xyz", 3);
	}
	pair_close(pair);
	return 0;
}

static void a_cancelled_read_loses_nothing(void **state)
{
	(void)state;
	run(main_of_cancel);
}

/* ---- accept, connect ---- */

static int accept_one(void *arg)
{
	struct sockaddr_in peer = {0};
	socklen_t size = sizeof(peer);
	int fd = lsc_accept(*(int *)arg, (struct sockaddr *)&peer, &size);

	if (fd >= 0)
		assert_int_equal(peer.sin_family, AF_INET);
	return fd;
}

static int main_of_accept(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rlimit before, few;

	(void)arg;
	assert_int_equal(bind(listener, (struct sockaddr *)&a, size), 0);
	getsockname(listener, (struct sockaddr *)&a, &size);
	/* Nobody listens yet. */
	assert_int_equal(lsc_connect(client, (struct sockaddr *)&a, size), -ECONNREFUSED);
	assert_int_equal(lsc_accept(listener, NULL, NULL), -EINVAL);
	lsc_close(client); /* a socket is good for one attempt */
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(listen(listener, 8), 0);
	struct lsc_future *f = lsc_spawn(accept_one, &listener, NULL);
	lsc_yield();
	assert_int_equal(lsc_connect(client, (struct sockaddr *)&a, size), 0);
	int server = lsc_await(f);
	lsc_unref(f);
	assert_true(server >= 0);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
	/* Out of descriptors: the connection waits in the backlog. */
	int second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(lsc_connect(second, (struct sockaddr *)&a, size), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = (rlim_t)second + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(lsc_accept(listener, NULL, NULL), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	int late = lsc_accept(listener, NULL, NULL);
	assert_true(late >= 0);
	for (size_t i = 0; i < 5; i++)
		lsc_close((int[]){client, server, second, late, listener}[i]);
	return 0;
}

static void accept_and_connect_say_how_it_went(void **state)
{
	(void)state;
	skip_on_valgrind(TAKES_AND_REFUSES);
	run(main_of_accept);
}

static int main_of_unix_socket(void *arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)arg;
	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/loopscope-test-io-%d", getpid());
	assert_int_equal(lsc_connect(client, (struct sockaddr *)&a, sizeof(a)), -ENOENT);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(lsc_connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
	int server = lsc_accept(listener, NULL, NULL);
	assert_true(server >= 0);
	unlink(a.sun_path);
	for (size_t i = 0; i < 3; i++)
		lsc_close((int[]){client, server, listener}[i]);
	return 0;
}

static void unix_sockets_connect(void **state)
{
	(void)state;
	run(main_of_unix_socket);
}

/* ---- misuse ---- */

static int main_of_misuse(void *arg)
{
	struct msghdr message = {0};
	off_t offset = 0;
	char byte;

	(void)arg;
	assert_int_equal(lsc_read(-1, &byte, 1), -EBADF);
	assert_int_equal(lsc_read(INT_MAX, &byte, 1), -EBADF);
	assert_int_equal(lsc_write(-1, &byte, 1), -EBADF);
	assert_int_equal(lsc_recv(-1, &byte, 1, 0), -EBADF);
	assert_int_equal(lsc_send(-1, &byte, 1, 0), -EBADF);
	assert_int_equal(lsc_send_all(-1, &byte, 1), -EBADF);
	assert_int_equal(lsc_recvfrom(-1, &byte, 1, 0, NULL, NULL), -EBADF);
	assert_int_equal(lsc_sendto(-1, &byte, 1, 0, NULL, 0), -EBADF);
	assert_int_equal(lsc_recvmsg(-1, &message, 0), -EBADF);
	assert_int_equal(lsc_sendmsg(-1, &message, 0), -EBADF);
	assert_int_equal(lsc_accept(-1, NULL, NULL), -EBADF);
	assert_int_equal(lsc_connect(-1, NULL, 0), -EBADF);
	assert_int_equal(lsc_sendfile(-1, 0, &offset, 1), -EBADF);
	return 0;
}

static void bad_descriptors_and_places_are_refused(void **state)
{
	struct msghdr message = {0};
	off_t offset = 0;
	char byte;

	(void)state;
	run(main_of_misuse);
	assert_int_equal(lsc_read(0, &byte, 1), -EPERM);
	assert_int_equal(lsc_write(0, &byte, 1), -EPERM);
	assert_int_equal(lsc_recv(0, &byte, 1, 0), -EPERM);
	assert_int_equal(lsc_send(0, &byte, 1, 0), -EPERM);
	assert_int_equal(lsc_send_all(0, &byte, 1), -EPERM);
	assert_int_equal(lsc_recvfrom(0, &byte, 1, 0, NULL, NULL), -EPERM);
	assert_int_equal(lsc_sendto(0, &byte, 1, 0, NULL, 0), -EPERM);
	assert_int_equal(lsc_recvmsg(0, &message, 0), -EPERM);
	assert_int_equal(lsc_sendmsg(0, &message, 0), -EPERM);
	assert_int_equal(lsc_accept(0, NULL, NULL), -EPERM);
	assert_int_equal(lsc_connect(0, NULL, 0), -EPERM);
	assert_int_equal(lsc_sendfile(0, 0, &offset, 1), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_tasks_use_one_socket_in_both_directions),
		cmocka_unit_test(the_end_behind_a_short_read_is_met),
		cmocka_unit_test(a_short_read_empties_a_stream),
		cmocka_unit_test(urgent_data_does_not_hide_what_follows),
		cmocka_unit_test(closing_ends_the_waits_with_an_error),
		cmocka_unit_test(a_plain_close_is_noticed),
		cmocka_unit_test(a_cancelled_read_loses_nothing),
		cmocka_unit_test(accept_and_connect_say_how_it_went),
		cmocka_unit_test(unix_sockets_connect),
		cmocka_unit_test(bad_descriptors_and_places_are_refused),
	};
	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
