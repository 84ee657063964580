/* SPDX-License-Identifier: MIT */
/*
 * Buffered streams over a descriptor - a socket, a pipe, a terminal - in the meanings of asyncio's
 * StreamReader and StreamWriter, as one object.
 *
 * Reading suspends until there is data. One task at a time may read a stream (-EBUSY for a second
 * one), while others write. What a cancelled read had received stays buffered: nothing is lost.
 * Writing never suspends: what the descriptor does not take at once is buffered and sent by the
 * loop; lsc_stream_drain() suspends while more than the high-water mark is buffered.
 *
 * Errors, besides those named: -EPERM outside of tasks (of what suspends), -ECANCELED, -ENOMEM,
 * -EBADF when the stream was closed, in debug mode -EPERM from another thread than the loop's (what
 * gives nothing back does nothing then), and what the descriptor said (-ECONNRESET, -EPIPE, ...),
 * which later calls say again.
 */
#ifndef LOOPSCOPE_STREAM_H
#define LOOPSCOPE_STREAM_H

#include <sys/types.h>

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_stream;

/* Makes a stream of fd, which it takes (on success), sets non-blocking and closes at its end. A TCP
 * connection gets TCP_NODELAY; a terminal is opened anew under the same number, so that whoever
 * shares it (standard output, the shell) does not find it non-blocking. Gives *ret. -EPERM when
 * this thread has no loop; -EINVAL for a regular file. */
LSC_API int lsc_stream_open(int fd, struct lsc_stream **ret);

/* Its descriptor, borrowed; -EBADF when it is closed. */
LSC_API int lsc_stream_fd(const struct lsc_stream *stream);

/* How many bytes a line may have (65,536), and what is buffered for writing when draining begins
 * and ends to suspend (65,536, 16,384). 0 keeps a value. -EINVAL when low would be above high. */
LSC_API int lsc_stream_set_limits(struct lsc_stream *stream, size_t line, size_t high, size_t low);

/* ---- reading ---- */

/* Up to size bytes: what there is, at least one. 0: end of the stream. -EBUSY while another task
 * reads, and the errors named above. */
LSC_API ssize_t lsc_stream_read(struct lsc_stream *stream, void *buffer, size_t size);

/* Exactly size bytes, and returns size. -ENODATA when the stream ends before; what came stays
 * readable. */
LSC_API ssize_t lsc_stream_read_exactly(struct lsc_stream *stream, void *buffer, size_t size);

/* Up to and with the separator, of separator_size bytes. Returns the length of what *ret_data
 * points to: the stream's own, until the next read of it. -ENODATA when the stream ends before
 * (what came stays), -EMSGSIZE when the separator is not within the limit of a line (everything
 * stays), -EINVAL for an empty separator. */
LSC_API ssize_t lsc_stream_read_until(struct lsc_stream *stream, const void *separator,
				      size_t separator_size, const char **ret_data);

/* A line with its '\n', which only the last one may lack; 0 at the end of the stream. The text is
 * the stream's own, until the next read; it is not NUL-terminated. -EMSGSIZE for a line beyond the
 * limit, which is dropped, as far as it had come. */
LSC_API ssize_t lsc_stream_read_line(struct lsc_stream *stream, const char **ret_line);

/* Everything up to the end. Gives *ret_data, to be released with free(): the returned number of
 * bytes, and a NUL behind them. -EMSGSIZE when it is more than max bytes; they stay. */
LSC_API ssize_t lsc_stream_read_all(struct lsc_stream *stream, size_t max, char **ret_data);

/* 1 when the end was met and nothing is buffered. Never fails. */
LSC_API int lsc_stream_at_eof(const struct lsc_stream *stream);

/* ---- writing ---- */

/* Sends, or buffers, all of data (borrowed). 0; -EPIPE when the writing direction or the peer has
 * ended, and the errors named above. Does not suspend. */
LSC_API int lsc_stream_write(struct lsc_stream *stream, const void *data, size_t size);

/* How many bytes are buffered for writing: 0 once it is closed. Never fails. */
LSC_API size_t lsc_stream_buffered(const struct lsc_stream *stream);

/* Suspends while the buffer is above the high-water mark, until it has fallen to the low one. 0,
 * or one of the errors named above. */
LSC_API int lsc_stream_drain(struct lsc_stream *stream);

/* Ends the writing direction when what is buffered has been sent: the peer reads the end of the
 * stream. 0 or -errno; -EPROTOTYPE when the descriptor has no such half (a terminal). Does not
 * suspend. Later writes are -EPIPE. */
LSC_API int lsc_stream_write_eof(struct lsc_stream *stream);

/* ---- the end ---- */

/* Closes the stream when what is buffered has been sent. Does not suspend and never fails: what
 * goes wrong with the rest is said by lsc_stream_wait_closed(). */
LSC_API void lsc_stream_close(struct lsc_stream *stream);

/* Closes it at once; what is buffered is dropped. Never fails. */
LSC_API void lsc_stream_abort(struct lsc_stream *stream);

/* Suspends until a stream that was closed is closed indeed. 0, or what had gone wrong with it;
 * -EPERM, -ECANCELED. */
LSC_API int lsc_stream_wait_closed(struct lsc_stream *stream);

/* Takes the stream (NULL is allowed): closes it if need be; it goes on sending what is buffered for
 * as long as the loop runs. Streams must be freed before the loop is closed. Returns NULL. */
LSC_API struct lsc_stream *lsc_stream_free(struct lsc_stream *stream);

LSC_END

#endif
