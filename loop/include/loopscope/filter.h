/* SPDX-License-Identifier: MIT */
/*
 * Filters of streams: what stands between the application's bytes and the descriptor's. TLS is one
 * (tls.h); with this header others can be written. All of a stream's calls go through its filter,
 * and mean what they did before.
 */
#ifndef LOOPSCOPE_FILTER_H
#define LOOPSCOPE_FILTER_H

#include <sys/types.h>

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_stream;

/* Every function is called with the stream and the filter's data, both borrowed. */
struct lsc_filter {
	/* Makes the two ends agree; may suspend. No other task reads meanwhile, but others may
	 * write. 0 or -errno. */
	int (*start)(struct lsc_stream *stream, void *data);
	/* As lsc_stream_read(), with lsc_filter_receive(); may suspend. One task at a time. */
	ssize_t (*read)(struct lsc_stream *stream, void *data, void *buffer, size_t size);
	/* As lsc_stream_write(), with lsc_filter_send(); must not suspend. */
	int (*write)(struct lsc_stream *stream, void *data, const void *bytes, size_t size);
	/* The application writes no more: sends what tells the peer. Must not suspend. */
	int (*finish)(struct lsc_stream *stream, void *data);
	/* The application has closed the stream: waits, in a task of its own, until the peer has
	 * ended its side too. 0, or -ETIMEDOUT to give up on what is not sent. NULL: the stream is
	 * closed when everything is sent. */
	int (*linger)(struct lsc_stream *stream, void *data);
	/* The stream is gone. */
	void (*free)(void *data);
};

/* Puts a filter (borrowed; it must outlive the stream) and its data (taken, whatever is returned)
 * on a stream, and calls start(). What the stream had buffered for reading is what
 * lsc_filter_receive() gives first. When start() fails the stream is aborted, and its later calls
 * say the same error. 0; -EPERM outside of tasks; -EBUSY while a task reads the stream; -EALREADY
 * when it has a filter; -EBADF when it is closed, or one direction has ended; what start() says. */
LSC_API int lsc_filter_set(struct lsc_stream *stream, const struct lsc_filter *filter, void *data);

/* The data of the stream's filter, if this is its filter; otherwise NULL. */
LSC_API void *lsc_filter_data(const struct lsc_stream *stream, const struct lsc_filter *filter);

/* ---- below the filter, for its functions ---- */

/* lsc_stream_read() of the descriptor's own bytes; not buffered. Errors are those of
 * lsc_stream_read(). */
LSC_API ssize_t lsc_filter_receive(struct lsc_stream *stream, void *buffer, size_t size);

/* lsc_stream_write() of the descriptor's own bytes. Errors are those of lsc_stream_write(). */
LSC_API int lsc_filter_send(struct lsc_stream *stream, const void *bytes, size_t size);

LSC_END

#endif
