/* SPDX-License-Identifier: MIT */
/* Operations on descriptors of each kind: datagrams, messages, pipes, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"
#include "pair.h"

/* Runs fn as a loop's main task. */
static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* ---- datagrams and messages ---- */

static int main_of_datagrams(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in peer;
	socklen_t size = sizeof(a), peer_size = sizeof(peer);
	int one = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int two = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char data[64];

	(void)arg;
	assert_int_equal(bind(one, (struct sockaddr *)&a, size), 0);
	getsockname(one, (struct sockaddr *)&a, &size);
	/* Three in a row: a short read of a datagram does not mean that it was the last. */
	struct lsc_future *f = lsc_spawn(pair_wait_readable, &one, NULL);
	lsc_yield();
	for (int i = 0; i < 3; i++)
		assert_int_equal(lsc_sendto(two, "abc", 3, 0, (struct sockaddr *)&a, size), 3);
	assert_int_equal(lsc_await(f), POLLIN);
	lsc_unref(f);
	assert_int_equal(lsc_recv(one, data, sizeof(data), 0), 3);
	assert_int_equal(lsc_recv(one, data, sizeof(data), 0), 3);
	assert_int_equal(
		lsc_recvfrom(one, data, sizeof(data), 0, (struct sockaddr *)&peer, &peer_size), 3);
	struct iovec parts[2] = {{"de", 2}, {"fgh", 3}};
	struct msghdr message = {
		.msg_name = &peer, .msg_namelen = peer_size, .msg_iov = parts, .msg_iovlen = 2};
	assert_int_equal(lsc_sendmsg(one, &message, 0), 5);
	struct iovec all = {data, sizeof(data)};
	message = (struct msghdr){.msg_iov = &all, .msg_iovlen = 1};
	assert_int_equal(lsc_recvmsg(two, &message, 0), 5);
	assert_memory_equal(data, "defgh", 5);
	lsc_close(one);
	lsc_close(two);
	return 0;
}

static void datagrams_and_messages_pass(void **state)
{
	(void)state;
	run(main_of_datagrams);
}

/* ---- pipes, files ---- */

static int write_much(void *arg)
{
	static char data[1 << 20];
	size_t done = 0;

	while (done < sizeof(data)) {
		ssize_t n = lsc_write(*(int *)arg, data, sizeof(data) - done);

		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return lsc_close(*(int *)arg);
}

static int main_of_pipes(void *arg)
{
	int ends[2];
	char data[5000];

	(void)arg;
	for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		assert_int_equal(pipe2(ends, flags | O_CLOEXEC), 0);
		struct lsc_future *f = lsc_spawn(write_much, &ends[1], NULL);
		size_t got = 0;
		ssize_t n;
		while ((n = lsc_read(ends[0], data, sizeof(data))) > 0)
			got += (size_t)n;
		assert_int_equal(n, 0);
		assert_int_equal(got, 1 << 20);
		assert_int_equal(lsc_await(f), 0);
		lsc_unref(f);
		/* The flag of what may be shared with others is left alone. */
		assert_int_equal(fcntl(ends[0], F_GETFL) & O_NONBLOCK, flags);
		lsc_close(ends[0]);
	}
	/* No reader: an error, and no signal. */
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	lsc_close(ends[0]);
	assert_int_equal(lsc_write(ends[1], "a", 1), -EPIPE);
	lsc_close(ends[1]);
	return 0;
}

static void pipes_pass_data_blocking_or_not(void **state)
{
	(void)state;
	run(main_of_pipes);
}

static int main_of_files(void *arg)
{
	char path[] = "/tmp/loopscope-test-io-XXXXXX", data[16] = {0};
	int fd = mkstemp(path), pair[2];
	off_t offset = 6;

	(void)arg;
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(lsc_write(fd, "hello world", 11), 11);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(lsc_read(fd, data, 5), 5);
	assert_string_equal(data, "hello");
	assert_int_equal(lsc_read(fd, data, sizeof(data)), 6);
	assert_int_equal(lsc_read(fd, data, sizeof(data)), 0);
	pair_open_tcp(pair);
	assert_int_equal(lsc_sendfile(pair[0], fd, &offset, 100), 5);
	assert_int_equal(offset, 11);
	assert_int_equal(lsc_recv(pair[1], data, sizeof(data), 0), 5);
	assert_memory_equal(data, "world", 5);
	offset = 0;
	lsc_close(pair[1]);
	/* The peer is gone: the first one may still be taken. */
	ssize_t n = lsc_sendfile(pair[0], fd, &offset, 11);
	if (n == 11)
		n = lsc_wait_fd(pair[0], POLLIN), n = lsc_sendfile(pair[0], fd, &(off_t){0}, 11);
	assert_true(n == -EPIPE || n == -ECONNRESET);
	assert_int_equal(lsc_recv(fd, data, 1, 0), -ENOTSOCK);
	lsc_close(pair[0]);
	lsc_close(fd);
	return 0;
}

static void files_are_read_written_and_sent(void **state)
{
	(void)state;
	run(main_of_files);
}

/* A pipe is more than one chunk of the copy, and of the pipe. */
#define PIPED 200000

static int write_pipe(void *arg)
{
	int fd = *(int *)arg;
	char data[1000];

	for (size_t sent = 0; sent < PIPED; sent += sizeof(data)) {
		memset(data, (int)(sent / sizeof(data)), sizeof(data));
		for (size_t at = 0; at < sizeof(data);) {
			ssize_t n = lsc_write(fd, data + at, sizeof(data) - at);

			if (n < 0)
				return (int)n;
			at += (size_t)n;
		}
	}
	return lsc_close(fd);
}

static int read_pair(void *arg)
{
	int fd = *(int *)arg;
	static char data[PIPED];

	for (size_t got = 0; got < PIPED;) {
		ssize_t n = lsc_recv(fd, data + got, PIPED - got, 0);

		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		got += (size_t)n;
	}
	for (size_t i = 0; i < PIPED; i++)
		assert_int_equal(data[i], (char)(i / 1000));
	return 0;
}

static int main_of_refused(void *arg)
{
	char path[] = "/tmp/loopscope-test-io-XXXXXX", data[16] = {0};
	int ends[2], pair[2], file = mkstemp(path);
	off_t offset = 2;

	(void)arg;
	assert_true(file >= 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	pair_open_tcp(pair);
	assert_int_equal(lsc_sendfile(pair[0], ends[0], &offset, 5), -ESPIPE);
	struct lsc_future *writer = lsc_spawn(write_pipe, &ends[1], NULL);
	struct lsc_future *reader = lsc_spawn(read_pair, &pair[1], NULL);
	/* To the end of the pipe, however much was asked for. */
	assert_int_equal(lsc_sendfile(pair[0], ends[0], NULL, 2 * PIPED), PIPED);
	assert_int_equal(lsc_await(writer), 0);
	assert_int_equal(lsc_await(reader), 0);
	lsc_unref(writer);
	lsc_unref(reader);
	lsc_close(ends[0]);
	lsc_close(pair[0]);
	lsc_close(pair[1]);

	assert_int_equal(lsc_write(file, "hello world", 11), 11);
	int appended = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	unlink(path);
	assert_true(appended >= 0);
	assert_int_equal(lsc_sendfile(appended, file, &offset, 3), 3);
	assert_int_equal(offset, 5);
	assert_int_equal(pread(file, data, sizeof(data), 0), 14);
	assert_string_equal(data, "hello worldllo");
	lsc_close(appended);
	lsc_close(file);
	return 0;
}

static void what_sendfile_refuses_is_copied(void **state)
{
	(void)state;
	run(main_of_refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_and_messages_pass),
		cmocka_unit_test(pipes_pass_data_blocking_or_not),
		cmocka_unit_test(files_are_read_written_and_sent),
		cmocka_unit_test(what_sendfile_refuses_is_copied),
	};

	return cmocka_run_group_tests_name("io_kinds", tests, NULL, NULL);
}
