/* SPDX-License-Identifier: MIT */
/*
 * Operations on descriptors, for tasks. Each tries first and suspends only while the descriptor is
 * not ready; other tasks run meanwhile. They mean what the system calls of the same name mean;
 * results are theirs, errors are -errno, and besides
 *
 *   -EPERM      outside of tasks
 *   -ECANCELED  the task was cancelled while it waited; nothing was transferred then
 *   -EBADF      no descriptor, or lsc_close() closed it under the waiting task
 *   -ENOMEM
 *
 * Several tasks may use one descriptor at once, in either direction. Close a descriptor that was
 * given to these functions with lsc_close(): the loop remembers what it knows of it. Sockets may be
 * blocking or not (lsc_connect(), lsc_accept() and lsc_sendfile() make theirs non-blocking); of
 * other blocking descriptors, such as a terminal shared with the shell, the flag is left alone, and
 * the operation waits for readiness ahead of each try.
 *
 * An operation that need not wait lets others run now and then only, ahead of its try: when the
 * tick has lasted for 50 us already.
 */
#ifndef LOOPSCOPE_IO_H
#define LOOPSCOPE_IO_H

#include <sys/socket.h>
#include <sys/types.h>

#include "loopscope/api.h"

LSC_BEGIN

/* read(2) and write(2): up to size bytes; 0 is the end of file. On a regular file a thread does it
 * (see thread.h), and a cancelled task waits for that. Errors are those named above. */
LSC_API ssize_t lsc_read(int fd, void *buffer, size_t size);
LSC_API ssize_t lsc_write(int fd, const void *data, size_t size);

/* recv(2) and send(2). A peer that is gone is -EPIPE, never SIGPIPE. */
LSC_API ssize_t lsc_recv(int fd, void *buffer, size_t size, int flags);
LSC_API ssize_t lsc_send(int fd, const void *data, size_t size, int flags);

/* Sends all of it: 0 or -errno; how much was sent before an error is not known. -EPIPE
 * when the peer is gone, and the errors named above. */
LSC_API int lsc_send_all(int fd, const void *data, size_t size);

/* recvfrom(2) and sendto(2). Errors are those named above. */
LSC_API ssize_t lsc_recvfrom(int fd, void *buffer, size_t size, int flags,
			     struct sockaddr *ret_peer, socklen_t *ret_peer_size);
LSC_API ssize_t lsc_sendto(int fd, const void *data, size_t size, int flags,
			   const struct sockaddr *peer, socklen_t peer_size);

/* recvmsg(2) and sendmsg(2). Errors are those named above. */
LSC_API ssize_t lsc_recvmsg(int fd, struct msghdr *message, int flags);
LSC_API ssize_t lsc_sendmsg(int fd, const struct msghdr *message, int flags);

/* accept4(2): gives the new connection's descriptor, non-blocking and close-on-exec. Connections
 * that went away before are passed over. -EMFILE, -ENFILE: the connection stays in the backlog;
 * wait for a while before the next call. */
LSC_API int lsc_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_size);

/* connect(2): 0 when connected, or what the attempt ended with (-ECONNREFUSED, -ETIMEDOUT, ...). A
 * cancelled attempt goes on in the kernel: close the socket. */
LSC_API int lsc_connect(int fd, const struct sockaddr *address, socklen_t size);

/* sendfile(2), again and again: sends count bytes of the file from *offset on, fewer only at its
 * end. Returns how many; *offset is advanced by what was sent, also on an error. offset NULL: from
 * where the file stands. The file's own reading may block the loop where it is not in the page
 * cache. Yields after each MiB. What sendfile(2) refuses to read or to write (pipes, sockets, an
 * O_APPEND file) is read and written instead; of a pipe, what was read and could not be written is
 * lost. -EPIPE when the peer is gone, -ESPIPE for an offset in a pipe, and the errors named above.
 */
LSC_API ssize_t lsc_sendfile(int fd, int file, off_t *offset, size_t count);

/* Closes fd and makes the waits of other tasks for it end with -EBADF. In a thread without a loop
 * it is close(2). 0 or -errno. Does not suspend. */
LSC_API int lsc_close(int fd);

LSC_END

#endif
