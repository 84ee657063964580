/* SPDX-License-Identifier: MIT */
/* A stream's reading half. It reads when somebody wants data, never ahead, so the kernel's buffer
 * is the back-pressure. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hot.h"
#include "loop.h"
#include "task.h"
#include "loopscope/io.h"

#define CHUNK		4096
#define SHORT_SEPARATOR 8

LSC_HOT ssize_t stream_receive(struct lsc_stream *s, void *buffer, size_t size)
{
	return s->is_socket ? lsc_recv(s->fd, buffer, size, 0) : lsc_read(s->fd, buffer, size);
}

static inline ssize_t receive(struct lsc_stream *s, void *buffer, size_t size)
{
	if (s->eof)
		return 0;
	if (s->fd < 0)
		return s->error ? s->error : -EBADF;
	ssize_t n = s->filter ? s->filter->read(s, s->filter_data, buffer, size)
			      : stream_receive(s, buffer, size);
	if (n == 0)
		s->eof = true;
	else if (n < 0 && n != -ECANCELED && n != -ENOMEM && s->error == 0 && s->fd >= 0)
		s->error = (int)n;
	return n;
}

/* Appends what comes to the buffer. What was received, 0 at the end, or -errno. */
static LSC_HOT ssize_t fill(struct lsc_stream *s)
{
	ssize_t n = buffer_reserve(&s->in, CHUNK);

	if (n < 0)
		return n;
	n = receive(s, s->in.data + s->in.end, s->in.room - s->in.end);
	if (n > 0)
		s->in.end += (size_t)n;
	return n;
}

static void take(struct lsc_stream *s, void *buffer, size_t size)
{
	memcpy(buffer, s->in.data + s->in.begin, size);
	buffer_consume(&s->in, size);
}

LSC_HOT ssize_t lsc_stream_read(struct lsc_stream *stream, void *buffer, size_t size)
{
	ssize_t n = stream_begin_reading(stream);

	if (n < 0)
		return n;
	size_t used = buffer_used(&stream->in);
	if (used > 0 || size == 0) {
		n = (ssize_t)(used < size ? used : size);
		if (n > 0)
			take(stream, buffer, (size_t)n);
	} else {
		n = receive(stream, buffer, size);
	}
	return stream_end_reading(stream, n);
}

LSC_HOT ssize_t lsc_stream_read_exactly(struct lsc_stream *stream, void *buffer, size_t size)
{
	ssize_t n = stream_begin_reading(stream);

	if (n < 0)
		return n;
	while (n >= 0 && buffer_used(&stream->in) < size) {
		n = buffer_reserve(&stream->in, size - buffer_used(&stream->in));
		if (n == 0)
			n = fill(stream);
		if (n == 0)
			n = -ENODATA;
	}
	if (n >= 0) {
		if (size > 0)
			take(stream, buffer, size);
		n = (ssize_t)size;
	}
	return stream_end_reading(stream, n);
}

/* memmem(3), which goes byte by byte where the needle is short: a line's end is found by its last
 * byte. */
static const char *find_in(const char *data, size_t size, const char *separator, size_t n)
{
	if (n > SHORT_SEPARATOR)
		return memmem(data, size, separator, n);
	const char *at = data + n - 1, *end = data + size;
	while (at < end && (at = memchr(at, separator[n - 1], (size_t)(end - at)))) {
		if (memcmp(at - (n - 1), separator, n - 1) == 0)
			return at - (n - 1);
		at++;
	}
	return NULL;
}

/* The length up to and with the separator; what it returns says why there is none. */
static LSC_HOT ssize_t find(struct lsc_stream *s, const void *separator, size_t separator_size)
{
	size_t seen = 0; /* bytes in which no separator begins */

	for (;;) {
		const char *from = s->in.data + s->in.begin;
		size_t used = buffer_used(&s->in);
		const char *at = used - seen < separator_size ? NULL
							      : find_in(from + seen, used - seen,
									separator, separator_size);

		if (at) {
			size_t length = (size_t)(at - from) + separator_size;

			return length > s->line_limit ? -EMSGSIZE : (ssize_t)length;
		}
		if (used >= s->line_limit)
			return -EMSGSIZE;
		if (used >= separator_size)
			seen = used - separator_size + 1;
		ssize_t n = fill(s);
		if (n <= 0)
			return n < 0 ? n : -ENODATA;
	}
}

static const char *consume(struct lsc_stream *s, size_t size)
{
	const char *data = s->in.data + s->in.begin;

	/* Only the indices move: the bytes stay until the next read. */
	buffer_consume(&s->in, size);
	return data;
}

LSC_HOT ssize_t lsc_stream_read_until(struct lsc_stream *stream, const void *separator,
				      size_t separator_size, const char **ret_data)
{
	if (separator_size == 0)
		return -EINVAL;
	ssize_t n = stream_begin_reading(stream);
	if (n < 0)
		return n;
	n = find(stream, separator, separator_size);
	if (n > 0)
		*ret_data = consume(stream, (size_t)n);
	return stream_end_reading(stream, n);
}

LSC_HOT ssize_t lsc_stream_read_line(struct lsc_stream *stream, const char **ret_line)
{
	ssize_t n = stream_begin_reading(stream);

	if (n < 0)
		return n;
	n = find(stream, "\n", 1);
	if (n == -ENODATA)
		n = (ssize_t)buffer_used(&stream->in);
	if (n == -EMSGSIZE) {
		const char *from = stream->in.data + stream->in.begin;
		const char *newline = memchr(from, '\n', buffer_used(&stream->in));

		consume(stream, newline ? (size_t)(newline - from) + 1 : buffer_used(&stream->in));
	}
	if (n > 0)
		*ret_line = consume(stream, (size_t)n);
	return stream_end_reading(stream, n);
}

ssize_t lsc_stream_read_all(struct lsc_stream *stream, size_t max, char **ret_data)
{
	ssize_t n = stream_begin_reading(stream);

	if (n < 0)
		return n;
	do
		n = buffer_used(&stream->in) > max ? -EMSGSIZE : fill(stream);
	while (n > 0);
	size_t used = buffer_used(&stream->in);
	char *data = n == 0 ? malloc(used + 1) : NULL;
	if (data) {
		if (used > 0)
			take(stream, data, used);
		data[used] = '\0';
		*ret_data = data;
		n = (ssize_t)used;
	} else if (n == 0) {
		n = -ENOMEM;
	}
	return stream_end_reading(stream, n);
}

int lsc_stream_at_eof(const struct lsc_stream *stream)
{
	return stream->eof && buffer_used(&stream->in) == 0;
}
