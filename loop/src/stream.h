/* SPDX-License-Identifier: MIT */
/* A stream, for the files that make one work: stream.c (life, writing), stream_read.c, and filters.
 */
#ifndef LSC_LOOP_STREAM_H
#define LSC_LOOP_STREAM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fd.h"
#include "future.h"
#include "list.h"
#include "loop.h"
#include "loopscope/filter.h"
#include "loopscope/stream.h"
#include "resource.h"
#include "waitlist.h"

/* Bytes that wait: those in [begin, end) of data. */
struct buffer {
	char *data;
	size_t begin;
	size_t end;
	size_t room;
};

static inline size_t buffer_used(const struct buffer *b)
{
	return b->end - b->begin;
}

/* Makes room for size more bytes at the end. 0 or -ENOMEM. */
int buffer_reserve(struct buffer *b, size_t size);
int buffer_append(struct buffer *b, const void *data, size_t size);
void buffer_consume(struct buffer *b, size_t size);
void buffer_done(struct buffer *b);

struct lsc_stream {
	struct lsc_loop *loop;
	const struct lsc_filter *filter; /* NULL: none */
	void *filter_data;		 /* the filter's */
	int fd;				 /* -1: closed */
	bool is_socket;
	bool eof;
	bool reading;	/* a task reads */
	bool lingering; /* closed, and waiting for the peer's end */
	bool finished;	/* lsc_stream_write_eof() */
	bool closing;	/* lsc_stream_close() */
	bool orphan;	/* lsc_stream_free() */
	bool paused;	/* draining suspends */
	bool flushing;	/* flush is in the descriptor's waits */
	unsigned users; /* calls that will still touch it */
	int error;	/* what ended it, -errno */
	struct buffer in;
	struct buffer out;
	struct buffer unread; /* was in `in` when the filter came: below it */
	size_t line_limit;
	size_t high;
	size_t low;
	struct fd_wait flush;
	struct waitlist draining;
	struct waitlist closed;
	struct resource resource;
	struct future_waiter linger_ended;
};

/* Below the filter. */
ssize_t stream_receive(struct lsc_stream *stream, void *buffer, size_t size);
int stream_send(struct lsc_stream *stream, const void *data, size_t size);

/* Nobody has it any more, and it is closed. */
void stream_free(struct lsc_stream *stream);

static inline void stream_free_if_done(struct lsc_stream *stream)
{
	if (stream->orphan && stream->fd < 0 && stream->users == 0)
		stream_free(stream);
}

/* A call that may suspend holds the stream. */
static inline void stream_hold(struct lsc_stream *stream)
{
	stream->users++;
}

static inline void stream_release(struct lsc_stream *stream)
{
	stream->users--;
	stream_free_if_done(stream);
}

/* The running task reads from now, and holds the stream. 0, -EPERM, -EBUSY. */
static inline int stream_begin_reading(struct lsc_stream *stream)
{
	if (!task_current())
		return -EPERM;
	if (stream->reading)
		return -EBUSY;
	stream->reading = true;
	stream_hold(stream);
	return 0;
}

/* It reads no more; returns result. */
static inline ssize_t stream_end_reading(struct lsc_stream *stream, ssize_t result)
{
	stream->reading = false;
	stream_release(stream);
	return result;
}

/* The stream was closed: has a filter that wants so wait for the peer. */
void filter_linger(struct lsc_stream *stream);

#endif
