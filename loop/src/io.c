/* SPDX-License-Identifier: MIT */
/* The operations of io.h: try, and park on EAGAIN. */
#include "loopscope/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "fd.h"
#include "file.h"
#include "hot.h"
#include "loop.h"
#include "loopscope/file.h"
#include "quiet.h"
#include "task.h"

#define SENDFILE_CHUNK (1u << 20)
#define COPY_CHUNK     (64u * 1024)

/* So many operations between two looks at the clock: a few us of work. */
#define TRIES 16u

/* One operation under way. */
struct op {
	struct lsc_loop *loop;
	struct fd_entry *entry;
	int fd;
	uint32_t events;
};

/* What is always ready would keep its task from ever suspending, and all others from running: every
 * so often the task has its turn taken when the tick has lasted for long enough. 0 or -errno. */
static __attribute__((noinline)) int let_others(struct op *op)
{
	uint32_t generation = op->entry->generation;
	int r = lsc_now_ns() < op->loop->burst_end_ns ? 0 : lsc_yield();

	return r == 0 && op->entry->generation != generation ? -EBADF : r; /* closed meanwhile */
}

static inline int begin(struct op *op, int fd, uint32_t events)
{
	struct lsc_loop *loop = loop_thread;

	if (!task_current())
		return -EPERM;
	op->loop = loop;
	op->entry = fd_entry_find(&loop->fds, fd);
	op->fd = fd;
	op->events = events;
	int r = op->entry ? 0 : fd_entry_get(loop, fd, &op->entry);
	return r == 0 && ++loop->tries % TRIES == 0 ? let_others(op) : r;
}

/* What became of a try: n and errno. 0: it is to be repeated, the descriptor is ready now;
 * otherwise what the operation returns, which is in *n. */
static int settle(struct op *op, ssize_t *n)
{
	if (*n >= 0)
		return 1;
	if (errno == EINTR)
		return 0;
	if (errno != EAGAIN && errno != EWOULDBLOCK) {
		*n = -errno;
		return 1;
	}
	*n = fd_park(op->loop, op->entry, op->events);
	return *n < 0;
}

/* Nothing is there to be read: a try would be wasted. */
static bool is_empty(const struct op *op)
{
	return op->entry->empty && !op->entry->ended && (op->entry->watch.events & POLLIN);
}

/* Parks while it is. 0 or -errno. */
static int skip_empty(struct op *op)
{
	int r = is_empty(op) ? fd_park(op->loop, op->entry, POLLIN) : 0;

	return r < 0 ? r : 0;
}

/* ---- sockets ---- */

LSC_HOT ssize_t lsc_recv(int fd, void *buffer, size_t size, int flags)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLIN);

	if (n == 0)
		n = skip_empty(&op);
	if (n < 0)
		return n;
	do {
		n = recv(fd, buffer, size, flags | MSG_DONTWAIT);
	} while (!settle(&op, &n));
	if (n > 0 && flags == 0)
		fd_was_read(op.entry, fd, (size_t)n, size);
	return n;
}

LSC_HOT ssize_t lsc_send(int fd, const void *data, size_t size, int flags)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLOUT);

	if (n < 0)
		return n;
	do {
		n = send(fd, data, size, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (!settle(&op, &n));
	return n;
}

int lsc_send_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = lsc_send(fd, at, size, 0);

		if (n < 0)
			return (int)n;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

ssize_t lsc_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *ret_peer,
		     socklen_t *ret_peer_size)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLIN);

	if (n < 0)
		return n;
	do {
		n = recvfrom(fd, buffer, size, flags | MSG_DONTWAIT, ret_peer, ret_peer_size);
	} while (!settle(&op, &n));
	return n;
}

ssize_t lsc_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *peer,
		   socklen_t peer_size)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLOUT);

	if (n < 0)
		return n;
	do {
		n = sendto(fd, data, size, flags | MSG_DONTWAIT | MSG_NOSIGNAL, peer, peer_size);
	} while (!settle(&op, &n));
	return n;
}

ssize_t lsc_recvmsg(int fd, struct msghdr *message, int flags)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLIN);

	if (n < 0)
		return n;
	do {
		n = recvmsg(fd, message, flags | MSG_DONTWAIT);
	} while (!settle(&op, &n));
	return n;
}

ssize_t lsc_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLOUT);

	if (n < 0)
		return n;
	do {
		n = sendmsg(fd, message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (!settle(&op, &n));
	return n;
}

/* For what has no flag of its own for it. */
static int make_nonblocking(struct op *op)
{
	int r = fd_learn_kind(op->entry, op->fd);

	if (r < 0 || op->entry->kind != FD_BLOCKING)
		return r;
	int flags = fcntl(op->fd, F_GETFL);
	if (flags < 0 || fcntl(op->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	op->entry->kind = FD_NONBLOCKING;
	return 0;
}

int lsc_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_size)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLIN);

	if (n == 0)
		n = make_nonblocking(&op);
	if (n < 0)
		return (int)n;
	do {
		do
			n = accept4(fd, ret_peer, ret_peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		while (n < 0 && errno == ECONNABORTED);
	} while (!settle(&op, &n));
	if (n >= 0)
		fd_is_new(op.loop, (int)n);
	return (int)n;
}

int lsc_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	struct op op;
	int error = 0, r = begin(&op, fd, POLLOUT);
	socklen_t length = sizeof(error);

	if (r == 0)
		r = make_nonblocking(&op);
	if (r < 0)
		return r;
	if (connect(fd, address, size) == 0)
		return 0;
	/* An interrupted attempt goes on, too. A full backlog of a Unix socket is EAGAIN, and
	 * nothing would tell when it is not full any more. */
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	r = fd_park_level(op.loop, op.entry, POLLOUT);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
}

/* ---- any descriptor ---- */

/* Files go elsewhere; what is blocking and not ours to change is waited for first. 0: try; else
 * *ret is what the operation returns. */
static int prepare(struct op *op, ssize_t *ret, enum backend_code code, void *buffer, size_t size)
{
	struct backend_op file_op = {
		.code = code, .fd = op->fd, .buffer = buffer, .size = size, .offset = -1};
	int r = fd_learn_kind(op->entry, op->fd);

	if (r == 0 && op->entry->kind == FD_FILE) {
		*ret = file_do(op->loop, op->entry, &file_op);
		return 1;
	}
	if (r == 0 && op->entry->kind == FD_BLOCKING)
		r = fd_park_level(op->loop, op->entry, op->events);
	*ret = r;
	return r < 0;
}

LSC_HOT ssize_t lsc_read(int fd, void *buffer, size_t size)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLIN);

	if (n == 0)
		n = skip_empty(&op);
	if (n < 0)
		return n;
	do {
		if (op.entry->kind != FD_NONBLOCKING &&
		    prepare(&op, &n, BACKEND_READ, buffer, size))
			return n;
		n = read(fd, buffer, size);
	} while (!settle(&op, &n));
	if (n > 0)
		fd_was_read(op.entry, fd, (size_t)n, size);
	return n;
}

LSC_HOT ssize_t lsc_write(int fd, const void *data, size_t size)
{
	struct op op;
	ssize_t n = begin(&op, fd, POLLOUT);

	if (n < 0)
		return n;
	do {
		if (op.entry->kind != FD_NONBLOCKING &&
		    prepare(&op, &n, BACKEND_WRITE, (void *)(uintptr_t)data, size))
			return n;
		/* So much fits where a pipe says that it is writable. */
		if (op.entry->kind == FD_BLOCKING && size > PIPE_BUF)
			size = PIPE_BUF;
		n = quiet_write(fd, data, size);
	} while (!settle(&op, &n));
	return n;
}

static int write_all(int fd, const char *data, size_t size, off_t *offset, size_t *done)
{
	while (size > 0) {
		ssize_t n = lsc_write(fd, data, size);

		if (n < 0)
			return (int)n;
		data += n;
		size -= (size_t)n;
		*done += (size_t)n;
		if (offset)
			*offset += n;
	}
	return 0;
}

/* sendfile(2) for what it refuses. */
static ssize_t copy(int fd, int file, off_t *offset, size_t count)
{
	char *data = malloc(COPY_CHUNK);
	size_t done = 0;
	ssize_t n = data ? 1 : -ENOMEM;

	while (n > 0 && done < count) {
		size_t left = count - done < COPY_CHUNK ? count - done : COPY_CHUNK;

		n = offset ? lsc_pread(file, data, left, *offset) : lsc_read(file, data, left);
		if (n > 0) {
			int r = write_all(fd, data, (size_t)n, offset, &done);
			n = r < 0 ? r : n;
		}
	}
	free(data);
	return n < 0 ? n : (ssize_t)done;
}

ssize_t lsc_sendfile(int fd, int file, off_t *offset, size_t count)
{
	size_t done = 0, since_yield = 0;
	struct op op;
	ssize_t n = begin(&op, fd, POLLOUT);

	if (n == 0)
		n = make_nonblocking(&op);
	if (n < 0)
		return n;
	while (done < count) {
		size_t left = count - done;

		do {
			n = quiet_sendfile(fd, file, offset,
					   left < SENDFILE_CHUNK ? left : SENDFILE_CHUNK);
		} while (!settle(&op, &n));
		if ((n == -EINVAL || n == -ENOSYS) && done == 0)
			return copy(fd, file, offset, count);
		if (n <= 0)
			break;
		done += (size_t)n;
		since_yield += (size_t)n;
		if (since_yield >= SENDFILE_CHUNK && done < count) {
			since_yield = 0;
			n = lsc_yield();
			if (n < 0)
				break;
		}
	}
	return n < 0 ? n : (ssize_t)done;
}
