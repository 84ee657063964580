/* SPDX-License-Identifier: MIT */
/* A filter written with the public header alone: each byte goes over the wire as another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"

#define KEY 0x20

struct disguise {
	int result;	    /* of start() */
	int lingering;	    /* linger() waits for the peer's end */
	unsigned *released; /* counts free() */
};

static int start(struct lsc_stream *stream, void *data)
{
	struct disguise *d = data;
	char hello[5];

	/* While it goes on, nobody else reads. */
	assert_int_equal(lsc_stream_read(stream, hello, 1), -EBUSY);
	for (size_t got = 0; got < sizeof(hello);) {
		ssize_t n = lsc_filter_receive(stream, hello + got, sizeof(hello) - got);

		if (n <= 0)
			return n < 0 ? (int)n : -ECONNABORTED;
		got += (size_t)n;
	}
	assert_memory_equal(hello, "hello", 5);
	return d->result;
}

static ssize_t read_disguised(struct lsc_stream *stream, void *data, void *buffer, size_t size)
{
	ssize_t n = lsc_filter_receive(stream, buffer, size);

	(void)data;
	for (ssize_t i = 0; i < n; i++)
		((char *)buffer)[i] ^= KEY;
	return n;
}

static int write_disguised(struct lsc_stream *stream, void *data, const void *bytes, size_t size)
{
	char out[64];

	(void)data;
	assert_true(size <= sizeof(out));
	for (size_t i = 0; i < size; i++)
		out[i] = ((const char *)bytes)[i] ^ KEY;
	return lsc_filter_send(stream, out, size);
}

static int finish(struct lsc_stream *stream, void *data)
{
	(void)data;
	return lsc_filter_send(stream, "bye", 3);
}

static int linger(struct lsc_stream *stream, void *data)
{
	struct disguise *d = data;
	char byte;

	return d->lingering ? (int)lsc_filter_receive(stream, &byte, 1) : 0;
}

static void release(void *data)
{
	++*((struct disguise *)data)->released;
}

static const struct lsc_filter filter = {start,	 read_disguised, write_disguised,
					 finish, linger,	 release};

static struct lsc_stream *open_pair(int *ret_peer)
{
	struct lsc_stream *s;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(lsc_stream_open(pair[0], &s), 0);
	*ret_peer = pair[1];
	return s;
}

static int wait_closed(void *arg)
{
	return lsc_stream_wait_closed(arg);
}

static int main_of_filter(void *arg)
{
	struct disguise d = {.lingering = 1, .released = arg};
	const char *line;
	char data[16];
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	assert_null(lsc_filter_data(s, &filter));
	/* A line in clear, and behind it, read ahead, the filter's first bytes. */
	assert_int_equal(send(peer, "go\nhello", 8, 0), 8);
	assert_int_equal(lsc_stream_read_line(s, &line), 3);
	assert_int_equal(lsc_filter_set(s, &filter, &d), 0);
	assert_ptr_equal(lsc_filter_data(s, &filter), &d);
	assert_int_equal(send(peer, "ABC*", 4, 0), 4);
	assert_int_equal(lsc_stream_read_line(s, &line), 4);
	assert_memory_equal(line, "abc\n", 4);
	assert_int_equal(lsc_stream_write(s, "xyz", 3), 0);
	assert_int_equal(recv(peer, data, sizeof(data), 0), 3);
	assert_memory_equal(data, "XYZ", 3);
	/* Another one: refused, and released. */
	struct disguise second = {.released = arg};
	assert_int_equal(lsc_filter_set(s, &filter, &second), -EALREADY);
	assert_int_equal(*(unsigned *)arg, 1);
	/* Closing waits for the peer. */
	struct lsc_future *f = lsc_spawn(wait_closed, s, NULL);
	lsc_stream_close(s);
	assert_int_equal(recv(peer, data, sizeof(data), 0), 3);
	assert_memory_equal(data, "bye", 3);
	assert_int_equal(recv(peer, data, sizeof(data), 0), 0);
	for (int i = 0; i < 5; i++)
		lsc_yield();
	assert_int_equal(lsc_is_done(f), 0);
	close(peer);
	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
	assert_int_equal(*(unsigned *)arg, 1);
	lsc_stream_free(s);
	assert_int_equal(*(unsigned *)arg, 2);
	return 0;
}

static void a_filter_stands_between_the_bytes(void **state)
{
	unsigned released = 0;

	(void)state;
	assert_int_equal(lsc_run(main_of_filter, &released), 0);
}

static int read_one(void *arg)
{
	return (int)lsc_stream_read(arg, &(char){0}, 1);
}

static int main_of_failure(void *arg)
{
	struct disguise d = {.result = -EPROTO, .released = arg};
	int peer;
	struct lsc_stream *s = open_pair(&peer);

	/* It does not agree: the stream is of no use. */
	assert_int_equal(send(peer, "hello", 5, 0), 5);
	assert_int_equal(lsc_filter_set(s, &filter, &d), -EPROTO);
	assert_int_equal(lsc_stream_read(s, &(char){0}, 1), -EPROTO);
	assert_int_equal(lsc_stream_write(s, "x", 1), -EPROTO);
	assert_int_equal(lsc_filter_set(s, &filter, &d), -EALREADY);
	lsc_stream_free(s);
	close(peer);
	assert_int_equal(*(unsigned *)arg, 2);
	/* While somebody reads, and when it is closed. */
	s = open_pair(&peer);
	struct lsc_future *f = lsc_spawn(read_one, s, NULL);
	lsc_yield();
	assert_int_equal(lsc_filter_set(s, &filter, &d), -EBUSY);
	lsc_stream_abort(s);
	assert_int_equal(lsc_await(f), -EBADF);
	lsc_unref(f);
	assert_int_equal(lsc_filter_set(s, &filter, &d), -EBADF);
	assert_int_equal(lsc_filter_send(s, "x", 1), -EBADF);
	assert_int_equal(lsc_filter_receive(s, &(char){0}, 1), -EBADF);
	lsc_stream_free(s);
	close(peer);
	return 0;
}

static void a_filter_that_fails_ends_the_stream(void **state)
{
	struct disguise d = {.released = &(unsigned){0}};
	unsigned released = 0;

	(void)state;
	assert_int_equal(lsc_run(main_of_failure, &released), 0);
	assert_int_equal(released, 4);
	assert_int_equal(lsc_filter_set(NULL, &filter, &d), -EPERM);
	assert_int_equal(*d.released, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filter_stands_between_the_bytes),
		cmocka_unit_test(a_filter_that_fails_ends_the_stream),
	};
	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
