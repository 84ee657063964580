/* SPDX-License-Identifier: MIT */
#include "operations.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "task.h"

char operations_data[OPERATIONS_DATA];

static int in_read(void *arg)
{
	char byte;

	return (int)lsc_read(*(int *)arg, &byte, 1);
}

int operation_receive(void *arg)
{
	char byte;

	return (int)lsc_recv(*(int *)arg, &byte, 1, 0);
}

static int in_recvfrom(void *arg)
{
	char byte;

	return (int)lsc_recvfrom(*(int *)arg, &byte, 1, 0, NULL, NULL);
}

static int in_recvmsg(void *arg)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	return (int)lsc_recvmsg(*(int *)arg, &message, 0);
}

static int in_wait(void *arg)
{
	int r = lsc_wait_fd(*(int *)arg, POLLIN);

	return r < 0 ? r : (r & POLLIN) ? in_read(arg) : -EPROTO;
}

int operation_send(void *arg)
{
	return lsc_send_all(*(int *)arg, operations_data, sizeof(operations_data));
}

static int in_write(void *arg)
{
	for (;;) {
		ssize_t n = lsc_write(*(int *)arg, operations_data, sizeof(operations_data));

		if (n < 0)
			return (int)n;
	}
}

static int in_sendmsg(void *arg)
{
	struct iovec part = {operations_data, sizeof(operations_data)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	for (;;) {
		ssize_t n = lsc_sendmsg(*(int *)arg, &message, 0);

		if (n < 0)
			return (int)n;
	}
}

static int in_sendfile(void *arg)
{
	char path[] = "/tmp/loopscope-test-reset-XXXXXX";
	int file = mkostemp(path, O_CLOEXEC);
	off_t at = 0;

	assert_true(file >= 0);
	unlink(path);
	assert_int_equal(ftruncate(file, OPERATIONS_DATA), 0);
	ssize_t n = lsc_sendfile(*(int *)arg, file, &at, OPERATIONS_DATA);
	close(file);
	return (int)n;
}

const lsc_task_fn operations[] = {
	in_read,	operation_receive, in_recvfrom, in_recvmsg,  in_wait,
	operation_send, in_write,	   in_sendmsg,	in_sendfile,
};
const size_t operations_count = sizeof(operations) / sizeof(operations[0]);

/* ---- streams ---- */

static int stream_in_read(struct lsc_stream *s)
{
	char byte;

	return (int)lsc_stream_read(s, &byte, 1);
}

static int stream_in_line(struct lsc_stream *s)
{
	const char *line;

	return (int)lsc_stream_read_line(s, &line);
}

static int stream_in_until(struct lsc_stream *s)
{
	const char *data;

	return (int)lsc_stream_read_until(s, "end", 3, &data);
}

static int stream_in_exactly(struct lsc_stream *s)
{
	char data[100];

	return (int)lsc_stream_read_exactly(s, data, sizeof(data));
}

static int stream_in_all(struct lsc_stream *s)
{
	char *data;

	return (int)lsc_stream_read_all(s, 1000, &data);
}

static int stream_in_drain(struct lsc_stream *s)
{
	int r = lsc_stream_write(s, operations_data, sizeof(operations_data));

	return r < 0 ? r : lsc_stream_drain(s);
}

static int stream_in_close(struct lsc_stream *s)
{
	int r = lsc_stream_write(s, operations_data, sizeof(operations_data));

	lsc_stream_close(s);
	return r < 0 ? r : lsc_stream_wait_closed(s);
}

static int (*const stream_operations[])(struct lsc_stream *) = {
	stream_in_read, stream_in_line,	 stream_in_until, stream_in_exactly,
	stream_in_all,	stream_in_drain, stream_in_close,
};
const size_t stream_operations_count = sizeof(stream_operations) / sizeof(stream_operations[0]);

int operation_on_stream(void *arg)
{
	const struct stream_operation *use = arg;

	return stream_operations[use->i](use->stream);
}

void operation_waits(const struct lsc_future *task)
{
	while (task_of(task)->state != LSC_TASK_SUSPENDED)
		assert_int_equal(lsc_yield(), 0);
}
