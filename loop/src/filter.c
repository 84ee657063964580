/* SPDX-License-Identifier: MIT */
/* Putting a filter on a stream, what is below it, and the wait for the peer at the end. */
#include "loopscope/filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "future.h"
#include "loop.h"
#include "stream.h"
#include "task.h"

static int may_be_set(const struct lsc_stream *s)
{
	if (s->filter)
		return -EALREADY;
	if (s->fd < 0 || s->closing || s->finished || s->eof || s->error < 0)
		return s->error ? s->error : -EBADF;
	return 0;
}

static int start(struct lsc_stream *s, const struct lsc_filter *filter, void *data)
{
	s->unread = s->in;
	s->in = (struct buffer){0};
	s->filter = filter;
	s->filter_data = data;
	int r = filter->start(s, data);
	if (r < 0) {
		if (s->error == 0 && r != -ECANCELED)
			s->error = r;
		lsc_stream_abort(s);
	}
	return r;
}

int lsc_filter_set(struct lsc_stream *stream, const struct lsc_filter *filter, void *data)
{
	int r = stream_begin_reading(stream);

	if (r < 0) {
		filter->free(data);
		return r;
	}
	r = may_be_set(stream);
	if (r < 0)
		filter->free(data);
	else
		r = start(stream, filter, data);
	return (int)stream_end_reading(stream, r);
}

void *lsc_filter_data(const struct lsc_stream *stream, const struct lsc_filter *filter)
{
	return stream->filter == filter ? stream->filter_data : NULL;
}

ssize_t lsc_filter_receive(struct lsc_stream *stream, void *buffer, size_t size)
{
	size_t used = buffer_used(&stream->unread);

	if (used == 0)
		return stream_receive(stream, buffer, size);
	if (size > used)
		size = used;
	memcpy(buffer, stream->unread.data + stream->unread.begin, size);
	buffer_consume(&stream->unread, size);
	if (size == used)
		buffer_done(&stream->unread);
	return (ssize_t)size;
}

int lsc_filter_send(struct lsc_stream *stream, const void *bytes, size_t size)
{
	return stream_send(stream, bytes, size);
}

/* ---- the wait for the peer ---- */

static int linger(void *arg)
{
	struct lsc_stream *s = arg;
	int r = s->filter->linger(s, s->filter_data);

	if (r == -ETIMEDOUT && s->error == 0)
		s->error = r;
	return r;
}

static void linger_end(struct future_waiter *waiter)
{
	struct lsc_stream *s = container_of(waiter, struct lsc_stream, linger_ended);

	s->lingering = false;
	if (buffer_used(&s->out) == 0 || s->error < 0)
		lsc_stream_abort(s);
	stream_end_reading(s, 0);
}

static const struct future_waiter_ops linger_waiter = {.wake = linger_end};

void filter_linger(struct lsc_stream *s)
{
	char name[32];

	if (!s->filter || !s->filter->linger || s->error < 0 || s->eof || s->fd < 0 ||
	    s->loop->closing || s->reading)
		return;
	snprintf(name, sizeof(name), "closing %d", s->fd);
	struct lsc_future *task = lsc_spawn(linger, s, name);
	if (!task)
		return; /* closed without waiting */
	stream_hold(s);
	s->reading = s->lingering = true;
	s->linger_ended.ops = &linger_waiter;
	future_wait(task, &s->linger_ended);
	task->taken = true; /* nobody is meant to await it */
	lsc_unref(task);
}
