/* SPDX-License-Identifier: MIT */
/*
 * Waiting with io_uring: operations are written into a ring, begin with the next wait, and come
 * back with their results, all of that in the one system call of the wait. Each operation has a
 * slot, so that one that was forgotten cannot come back to where it was.
 */
#include "backend.h"

#ifdef LSC_HAVE_URING

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "uring.h"

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 4096u
#define NO_SLOT	   UINT32_MAX

/* What comes back to nobody: the answers to cancellations. */
#define IGNORED (UINT64_MAX - 1)

struct slot {
	struct backend_op *op; /* NULL: free, or forgotten */
	uint32_t next;	       /* of the free ones */
	bool ask_later;	       /* to be cancelled when there is room for that */
};

struct uring_backend {
	struct uring ring;
	struct slot *slots;
	uint32_t count;
	uint32_t free; /* the first, or NO_SLOT */
	uint32_t ask_later;
	int watched; /* the loop's eventfd */
};

static struct uring_backend *backend_of(struct lsc_loop *loop)
{
	return loop->backend_data;
}

static int open_backend(struct lsc_loop *loop)
{
	struct uring_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	int r = uring_open(&b->ring, SQ_ENTRIES, CQ_ENTRIES);
	if (r < 0) {
		free(b);
		return r;
	}
	b->free = NO_SLOT;
	b->watched = -1;
	loop->backend_data = b;
	return 0;
}

static void close_backend(struct lsc_loop *loop)
{
	struct uring_backend *b = backend_of(loop);

	if (!b)
		return;
	uring_close(&b->ring);
	free(b->slots);
	free(b);
	loop->backend_data = NULL;
}

/* ---- slots ---- */

static int grow(struct uring_backend *b)
{
	uint32_t count = b->count ? 2 * b->count : 64;
	struct slot *slots = realloc(b->slots, count * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = b->count; i < count; i++)
		slots[i] = (struct slot){.next = i + 1 < count ? i + 1 : NO_SLOT};
	b->slots = slots;
	b->free = b->count;
	b->count = count;
	return 0;
}

static void release(struct uring_backend *b, uint32_t i)
{
	if (b->slots[i].ask_later)
		b->ask_later--;
	b->slots[i] = (struct slot){.next = b->free};
	b->free = i;
}

/* ---- operations ---- */

static void fill(struct io_uring_sqe *sqe, const struct backend_op *op)
{
	static const uint8_t codes[] = {
		[BACKEND_POLL] = IORING_OP_POLL_ADD,   [BACKEND_RECV] = IORING_OP_RECV,
		[BACKEND_READ] = IORING_OP_READ,       [BACKEND_WRITE] = IORING_OP_WRITE,
		[BACKEND_OPEN] = IORING_OP_OPENAT,     [BACKEND_FSYNC] = IORING_OP_FSYNC,
		[BACKEND_FDATASYNC] = IORING_OP_FSYNC, [BACKEND_STATX] = IORING_OP_STATX,
	};

	sqe->opcode = codes[op->code];
	sqe->fd = op->fd;
	sqe->user_data = op->slot;
	sqe->addr = (uintptr_t)(op->path ? op->path : op->buffer);
	sqe->len = op->size > INT32_MAX ? INT32_MAX : (uint32_t)op->size;
	switch (op->code) {
	case BACKEND_POLL:
		sqe->poll32_events = op->flags;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		sqe->poll32_events = op->flags << 16 | op->flags >> 16;
#endif
		break;
	case BACKEND_RECV:
		sqe->msg_flags = op->flags;
		break;
	case BACKEND_READ:
	case BACKEND_WRITE:
		sqe->off = op->offset < 0 ? UINT64_MAX : (uint64_t)op->offset;
		break;
	case BACKEND_OPEN:
		sqe->open_flags = op->flags;
		break;
	case BACKEND_FDATASYNC:
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
		break;
	case BACKEND_STATX:
		sqe->off = (uintptr_t)op->buffer;
		sqe->statx_flags = op->flags;
		break;
	case BACKEND_FSYNC:
		break;
	}
}

static int submit(struct lsc_loop *loop, struct backend_op *op)
{
	struct uring_backend *b = backend_of(loop);
	int r = b->free == NO_SLOT ? grow(b) : 0;

	if (r < 0)
		return r;
	struct io_uring_sqe *sqe = uring_sqe(&b->ring);
	if (!sqe)
		return -EAGAIN;
	op->slot = b->free;
	b->free = b->slots[op->slot].next;
	b->slots[op->slot].op = op;
	fill(sqe, op);
	return 0;
}

static bool ask(struct uring_backend *b, uint32_t slot)
{
	struct io_uring_sqe *sqe = uring_sqe(&b->ring);

	if (!sqe)
		return false;
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = slot;
	sqe->user_data = IGNORED;
	return true;
}

static void cancel(struct lsc_loop *loop, struct backend_op *op)
{
	struct uring_backend *b = backend_of(loop);

	if (!ask(b, op->slot)) {
		b->ask_later += !b->slots[op->slot].ask_later;
		b->slots[op->slot].ask_later = true;
	}
}

static void forget(struct lsc_loop *loop, struct backend_op *op)
{
	backend_of(loop)->slots[op->slot].op = NULL;
	cancel(loop, op);
}

static void ask_again(struct uring_backend *b)
{
	for (uint32_t i = 0; i < b->count && b->ask_later > 0; i++) {
		if (!b->slots[i].ask_later)
			continue;
		if (!ask(b, i))
			return;
		b->slots[i].ask_later = false;
		b->ask_later--;
	}
}

/* ---- the loop's eventfd ---- */

static int watch(struct lsc_loop *loop, int fd, uint32_t events, uint64_t token)
{
	struct uring_backend *b = backend_of(loop);
	struct io_uring_sqe *sqe = uring_sqe(&b->ring);

	if (!sqe)
		return -EAGAIN;
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = fd;
	sqe->poll32_events = events;
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->user_data = token;
	b->watched = fd;
	return 0;
}

static void unwatch(struct lsc_loop *loop, int fd)
{
	(void)fd;
	/* What is under way holds the file open. */
	uring_enter(&backend_of(loop)->ring, 0);
}

/* ---- the wait ---- */

static int wait_events(struct lsc_loop *loop, uint64_t timeout_ns)
{
	struct uring_backend *b = backend_of(loop);

	if (b->ask_later > 0)
		ask_again(b);
	int r = uring_enter(&b->ring, timeout_ns);
	unsigned n = uring_completed(&b->ring);
	if (n > 0 || r == 0 || r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY)
		return (int)n;
	return r;
}

static void come_back(struct lsc_loop *loop, const struct io_uring_cqe *cqe)
{
	struct uring_backend *b = backend_of(loop);

	if (cqe->user_data == IGNORED)
		return;
	if (cqe->user_data == REMOTE_TOKEN) {
		if (!(cqe->flags & IORING_CQE_F_MORE))
			watch(loop, b->watched, POLLIN, REMOTE_TOKEN);
		loop_fd_ready(loop, REMOTE_TOKEN, POLLIN);
		return;
	}
	struct backend_op *op = b->slots[cqe->user_data].op;
	release(b, (uint32_t)cqe->user_data);
	if (op)
		op->done(op, cqe->res);
}

static void dispatch(struct lsc_loop *loop, int events)
{
	struct uring_backend *b = backend_of(loop);

	for (int i = 0; i < events; i++) {
		struct io_uring_cqe cqe;

		uring_take(&b->ring, &cqe);
		come_back(loop, &cqe);
	}
}

const struct backend_ops backend_uring = {
	.name = "io_uring",
	.open = open_backend,
	.close = close_backend,
	.watch = watch,
	.unwatch = unwatch,
	.submit = submit,
	.cancel = cancel,
	.forget = forget,
	.wait = wait_events,
	.dispatch = dispatch,
};

#endif
