/* SPDX-License-Identifier: MIT */
/*
 * A stream's life and its writing half. Sending goes on without a task: the stream waits for its
 * descriptor by itself. It is freed when its owner has let go of it, it is closed, and no call is
 * under way.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "debug.h"
#include "hot.h"
#include "loop.h"
#include "loopscope/io.h"
#include "quiet.h"
#include "task.h"

#define LINE_LIMIT 65536
#define HIGH_WATER 65536
#define LOW_WATER  16384

/* One that is closed may have outlived its loop. */
#define stream_is_foreign(s) ((s)->fd >= 0 && debug_is_foreign((s)->loop))

static void flush_on(struct fd_wait *wait, int result);
static void close_with_loop(struct resource *resource);

/* The terminal's open file, and with it the flag, is shared with other descriptors and processes.
 */
static int reopen_terminal(struct lsc_loop *loop, int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int other = open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (other < 0)
		return -errno;
	int kept = fcntl(fd, F_GETFD), r = 0;
	fd_forget(loop, fd);
	if (kept < 0 || dup3(other, fd, kept & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		r = -errno;
	close(other);
	return r;
}

static int make_nonblocking(struct lsc_loop *loop, int fd, int flags)
{
	if (flags & O_NONBLOCK || (isatty(fd) && reopen_terminal(loop, fd, flags) == 0))
		return 0;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int lsc_stream_open(int fd, struct lsc_stream **ret)
{
	struct lsc_loop *loop = lsc_loop_current();
	struct stat st;
	int one = 1;

	if (!loop)
		return -EPERM;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return -EINVAL;
	struct lsc_stream *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	int r = make_nonblocking(loop, fd, flags);
	if (r < 0) {
		free(s);
		return r;
	}
	s->loop = loop;
	s->fd = fd;
	s->is_socket = S_ISSOCK(st.st_mode);
	s->line_limit = LINE_LIMIT;
	s->high = HIGH_WATER;
	s->low = LOW_WATER;
	s->flush = (struct fd_wait){.events = POLLOUT, .wake = flush_on};
	list_init(&s->flush.link);
	waitlist_init(&s->draining);
	waitlist_init(&s->closed);
	s->resource.close = close_with_loop;
	list_append(&loop->resources, &s->resource.link);
	/* As asyncio does; what is no TCP connection refuses, and needs it not. */
	if (s->is_socket)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*ret = s;
	return 0;
}

int lsc_stream_fd(const struct lsc_stream *stream)
{
	return stream->fd < 0 ? -EBADF : stream->fd;
}

int lsc_stream_set_limits(struct lsc_stream *stream, size_t line, size_t high, size_t low)
{
	high = high ? high : stream->high;
	low = low ? low : stream->low;
	if (low > high)
		return -EINVAL;
	stream->line_limit = line ? line : stream->line_limit;
	stream->high = high;
	stream->low = low;
	return 0;
}

static int wait_in(struct waitlist *list, struct lsc_stream *s, struct task *task)
{
	int woken;

	stream_hold(s);
	int r = waitlist_wait(list, task, LSC_WAIT_FD, (uint32_t)s->fd | (uint64_t)POLLOUT << 32,
			      &woken);
	stream_release(s);
	return r;
}

/* ---- the end ---- */

void stream_free(struct lsc_stream *s)
{
	if (s->filter)
		s->filter->free(s->filter_data);
	buffer_done(&s->in);
	buffer_done(&s->unread);
	buffer_done(&s->out);
	free(s);
}

static void close_now(struct lsc_stream *s)
{
	int fd = s->fd;

	if (fd < 0)
		return;
	s->users++;
	s->fd = -1;
	s->paused = false;
	fd_wait_end(&s->flush);
	list_remove(&s->resource.link);
	buffer_done(&s->out);
	lsc_close(fd); /* a task that reads gets -EBADF */
	waitlist_wake_all(&s->draining, s->error);
	waitlist_wake_all(&s->closed, s->error);
	s->users--;
}

static void close_with_loop(struct resource *resource)
{
	struct lsc_stream *s = container_of(resource, struct lsc_stream, resource);

	close_now(s);
	stream_free_if_done(s);
}

/* Draining does not suspend any more. */
static void resume(struct lsc_stream *s)
{
	s->paused = false;
	waitlist_wake_all(&s->draining, s->error);
}

static void fail(struct lsc_stream *s, int error)
{
	if (s->error == 0)
		s->error = error;
	buffer_done(&s->out);
	if (s->closing)
		close_now(s);
	else
		resume(s);
}

/* Everything was sent. */
static void flushed(struct lsc_stream *s)
{
	if (s->is_socket && (s->lingering || (s->finished && !s->closing)))
		shutdown(s->fd, SHUT_WR);
	if (s->lingering)
		resume(s);
	else if (s->closing || (s->finished && !s->is_socket))
		close_now(s);
	else
		resume(s);
}

/* Has the filter tell the peer. One that has ended its side already need not hear it. */
static void finish(struct lsc_stream *s)
{
	bool is_heard = s->eof && buffer_used(&s->out) == 0;

	if (s->filter->finish(s, s->filter_data) < 0 && is_heard)
		s->error = 0;
}

void lsc_stream_close(struct lsc_stream *stream)
{
	if (stream->closing || stream_is_foreign(stream))
		return;
	if (stream->fd >= 0 && stream->loop->forked_from) {
		lsc_stream_abort(stream); /* what is to be sent, the parent sends */
		return;
	}
	if (stream->filter && stream->fd >= 0 && !stream->finished && stream->error == 0)
		finish(stream);
	stream->closing = true;
	filter_linger(stream);
	if (buffer_used(&stream->out) == 0)
		flushed(stream);
}

void lsc_stream_abort(struct lsc_stream *stream)
{
	if (stream_is_foreign(stream))
		return;
	stream->closing = true;
	close_now(stream);
}

int lsc_stream_wait_closed(struct lsc_stream *stream)
{
	struct task *task = task_current();

	if (!task)
		return -EPERM;
	return stream->fd < 0 ? stream->error : wait_in(&stream->closed, stream, task);
}

struct lsc_stream *lsc_stream_free(struct lsc_stream *stream)
{
	if (!stream || stream_is_foreign(stream))
		return NULL;
	stream_hold(stream);
	lsc_stream_close(stream);
	stream->orphan = true;
	stream_release(stream);
	return NULL;
}

/* ---- writing ---- */

/* Sends of data what the descriptor takes now: 0 when it takes none, or -errno. */
static inline ssize_t send_now(struct lsc_stream *s, const char *data, size_t size)
{
	ssize_t n;

	do
		n = s->is_socket ? send(s->fd, data, size, MSG_NOSIGNAL)
				 : quiet_write(s->fd, data, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

static void wait_to_flush(struct lsc_stream *s)
{
	struct fd_entry *entry;
	int r = fd_entry_get(s->loop, s->fd, &entry);

	if (r == 0)
		r = fd_wait_begin(s->loop, entry, &s->flush);
	if (r < 0)
		fail(s, r);
}

static void flush_on(struct fd_wait *wait, int result)
{
	struct lsc_stream *s = container_of(wait, struct lsc_stream, flush);

	stream_hold(s);
	ssize_t n =
		result < 0 ? result : send_now(s, s->out.data + s->out.begin, buffer_used(&s->out));
	if (n < 0) {
		fail(s, (int)n);
	} else {
		buffer_consume(&s->out, (size_t)n);
		if (buffer_used(&s->out) == 0) {
			flushed(s);
		} else {
			if (buffer_used(&s->out) <= s->low)
				resume(s);
			wait_to_flush(s);
		}
	}
	stream_release(s);
}

LSC_HOT int stream_send(struct lsc_stream *s, const void *data, size_t size)
{
	const char *rest = data;

	if (s->error < 0)
		return s->error;
	if (buffer_used(&s->out) == 0) {
		ssize_t n = send_now(s, rest, size);

		if (n < 0) {
			fail(s, (int)n);
			return (int)n;
		}
		rest += n;
		size -= (size_t)n;
	}
	if (size == 0)
		return 0;
	bool idle = buffer_used(&s->out) == 0;
	int r = buffer_append(&s->out, rest, size);
	if (r < 0) {
		/* A part of it may be sent, so the stream has no meaning any more. */
		fail(s, r);
		return r;
	}
	if (buffer_used(&s->out) > s->high)
		s->paused = true;
	if (idle)
		wait_to_flush(s);
	return s->error;
}

LSC_HOT int lsc_stream_write(struct lsc_stream *stream, const void *data, size_t size)
{
	if (stream_is_foreign(stream))
		return -EPERM;
	if (stream->fd < 0 || stream->closing)
		return stream->error ? stream->error : -EBADF;
	if (stream->finished)
		return -EPIPE;
	if (size == 0 || stream->error < 0)
		return stream->error;
	return stream->filter ? stream->filter->write(stream, stream->filter_data, data, size)
			      : stream_send(stream, data, size);
}

size_t lsc_stream_buffered(const struct lsc_stream *stream)
{
	return buffer_used(&stream->out);
}

LSC_HOT int lsc_stream_drain(struct lsc_stream *stream)
{
	struct task *task = task_current();

	if (!task)
		return -EPERM;
	if (stream->error < 0)
		return stream->error;
	if (stream->fd < 0)
		return -EBADF;
	return stream->paused ? wait_in(&stream->draining, stream, task) : 0;
}

int lsc_stream_write_eof(struct lsc_stream *stream)
{
	struct stat st;

	if (stream->fd < 0 || stream->closing)
		return stream->error ? stream->error : -EBADF;
	if (stream->finished || stream->error < 0)
		return stream->error;
	if (!stream->is_socket && (fstat(stream->fd, &st) < 0 || !S_ISFIFO(st.st_mode)))
		return -EPROTOTYPE;
	int r = stream->filter ? stream->filter->finish(stream, stream->filter_data) : 0;
	stream->finished = true;
	if (r == 0 && buffer_used(&stream->out) == 0)
		flushed(stream);
	return r;
}
