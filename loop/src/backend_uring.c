/* SPDX-License-Identifier: MIT */
/*
 * Waiting with io_uring: requests are written into a ring, begin with the next wait, and come back
 * with their results, all of that in the one system call of the wait. A descriptor is watched by
 * one request that stays and comes back with each edge: to receive by requests would cost one a
 * message. Each request has a slot, so that one that was let go cannot come back to where it was.
 */
#include "backend.h"

#ifdef LSC_HAVE_URING

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hot.h"
#include "loop.h"
#include "uring.h"

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 4096u
#define NO_SLOT	   UINT32_MAX

/* What found no room is tried again after so long, if nothing ends the wait before. */
#define RETRY_NS (10 * LSC_NS_PER_MS)

/* What comes back to nobody: the answers to cancellations and to a change of the alarm. */
#define IGNORED (UINT64_MAX - 1)
#define ALARM	(UINT64_MAX - 2)

struct slot {
	struct backend_op *op;	     /* of an operation */
	struct backend_watch *watch; /* of a watch; neither: free, or let go */
	uint32_t next;		     /* of the free ones */
	bool ask_later;		     /* to be cancelled when there is room for that */
};

struct uring_backend {
	struct uring ring;
	struct slot *slots;
	uint32_t count;
	uint32_t free; /* the first, or NO_SLOT */
	uint32_t ask_later;
	/* The loop's own descriptor, where its watch has ended: to be watched again when there is
	 * room for that. */
	struct backend_watch *watch_later;
	struct __kernel_timespec alarm;
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
	loop->backend_data = b;
	return 0;
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

/* A request to fill in, with a slot that comes back with it; NULL: there is no room. */
static struct io_uring_sqe *begin(struct uring_backend *b, uint32_t *ret_slot)
{
	if (b->free == NO_SLOT && grow(b) < 0)
		return NULL;
	struct io_uring_sqe *sqe = uring_sqe(&b->ring);
	if (!sqe)
		return NULL;
	*ret_slot = b->free;
	b->free = b->slots[*ret_slot].next;
	sqe->user_data = *ret_slot;
	return sqe;
}

/* Asks for the end of what has this slot; later where there is no room. */
static void ask(struct uring_backend *b, uint32_t i)
{
	struct io_uring_sqe *sqe = uring_sqe(&b->ring);

	b->ask_later += !sqe - b->slots[i].ask_later;
	b->slots[i].ask_later = !sqe;
	if (!sqe)
		return;
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = i;
	sqe->user_data = IGNORED;
}

static void ask_again(struct uring_backend *b)
{
	for (uint32_t i = 0; i < b->count && b->ask_later > 0; i++) {
		if (!b->slots[i].ask_later)
			continue;
		ask(b, i);
		if (b->slots[i].ask_later)
			return;
	}
}

/* ---- operations ---- */

static void fill(struct io_uring_sqe *sqe, const struct backend_op *op)
{
	static const uint8_t codes[] = {
		[BACKEND_READ] = IORING_OP_READ,       [BACKEND_WRITE] = IORING_OP_WRITE,
		[BACKEND_OPEN] = IORING_OP_OPENAT,     [BACKEND_FSYNC] = IORING_OP_FSYNC,
		[BACKEND_FDATASYNC] = IORING_OP_FSYNC, [BACKEND_STATX] = IORING_OP_STATX,
	};

	sqe->opcode = codes[op->code];
	sqe->fd = op->fd;
	sqe->addr = (uintptr_t)(op->path ? op->path : op->buffer);
	sqe->len = op->size > INT32_MAX ? INT32_MAX : (uint32_t)op->size;
	switch (op->code) {
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
	struct io_uring_sqe *sqe = begin(b, &op->slot);

	if (!sqe)
		return -ENOMEM;
	b->slots[op->slot].op = op;
	fill(sqe, op);
	return 0;
}

static void cancel(struct lsc_loop *loop, struct backend_op *op)
{
	ask(backend_of(loop), op->slot);
}

/* ---- watches ---- */

static void let_go(struct uring_backend *b, uint32_t i)
{
	b->slots[i].watch = NULL;
	ask(b, i);
}

static int watch(struct lsc_loop *loop, struct backend_watch *w, uint32_t events)
{
	struct uring_backend *b = backend_of(loop);
	uint32_t wanted = events | POLLRDHUP | POLLPRI | POLLRDBAND, i;
	struct io_uring_sqe *sqe = begin(b, &i);

	if (!sqe)
		return -ENOMEM;
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = w->fd;
	sqe->poll32_events = wanted;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	sqe->poll32_events = wanted << 16 | wanted >> 16;
#endif
	sqe->len = IORING_POLL_ADD_MULTI;
	b->slots[i].watch = w;
	if (w->events != 0)
		let_go(b, w->slot);
	w->slot = i;
	w->events = events;
	return 0;
}

static void unwatch(struct lsc_loop *loop, struct backend_watch *w)
{
	if (w->events != 0)
		let_go(backend_of(loop), w->slot);
	w->events = 0;
}

/* What is under way holds its file open. */
static void flush(struct lsc_loop *loop)
{
	uring_enter(&backend_of(loop)->ring, 0);
}

static void close_backend(struct lsc_loop *loop)
{
	struct uring_backend *b = backend_of(loop);

	if (!b)
		return;
	/* The kernel takes its time over a ring that is closed. A forked child's is its parent's.
	 */
	if (!loop->forked_from) {
		for (uint32_t i = 0; i < b->count; i++)
			if (b->slots[i].watch)
				let_go(b, i);
		flush(loop);
	}
	uring_close(&b->ring);
	free(b->slots);
	free(b);
	loop->backend_data = NULL;
}

/* ---- the alarm ---- */

static bool set_alarm(struct lsc_loop *loop, uint64_t due_ns)
{
	struct uring_backend *b = backend_of(loop);
	struct io_uring_sqe *sqe = uring_sqe(&b->ring);

	if (!sqe)
		return false;
	b->alarm = (struct __kernel_timespec){.tv_sec = (long long)(due_ns / LSC_NS_PER_S),
					      .tv_nsec = (long long)(due_ns % LSC_NS_PER_S)};
	if (loop->alarm_ns == LOOP_NO_ALARM) {
		sqe->opcode = IORING_OP_TIMEOUT;
		sqe->addr = (uintptr_t)&b->alarm;
		sqe->len = 1;
		sqe->timeout_flags = IORING_TIMEOUT_ABS;
		sqe->user_data = ALARM;
	} else {
		/* If it rings before, that completion ends the wait, and it is set again. */
		sqe->opcode = IORING_OP_TIMEOUT_REMOVE;
		sqe->addr = ALARM;
		sqe->addr2 = (uintptr_t)&b->alarm;
		sqe->timeout_flags = IORING_TIMEOUT_UPDATE | IORING_TIMEOUT_ABS;
		sqe->user_data = IGNORED;
	}
	sqe->fd = -1;
	return true;
}

/* ---- the wait ---- */

/* The kernel reports what the waker said where it was woken once, and a socket that has got data
 * says that it might be urgent, and of a band, too; it is neither then. */
static inline uint32_t events_of(int32_t result)
{
	uint32_t events = (uint32_t)result;

	return events & POLLRDBAND ? events & ~(uint32_t)(POLLRDBAND | POLLPRI) : events;
}

/* A watch has ended by itself: in vain, with its only event (of a file that is always ready), or,
 * with -ECANCELED, because there was no room for an event of it (before Linux 6.2). */
static __attribute__((noinline)) void has_ended(struct lsc_loop *loop, struct backend_watch *w,
						int result)
{
	struct uring_backend *b = backend_of(loop);
	uint64_t token = w->token;

	release(b, w->slot);
	w->events = 0;
	if (token == REMOTE_TOKEN && result != -EBADF)
		b->watch_later = w;
	if (result >= 0)
		loop_fd_ready(loop, token, events_of(result));
	loop_fd_unwatched(loop, token, result >= 0 || result == -ECANCELED ? 0 : result);
}

static LSC_HOT void come_back(struct lsc_loop *loop, const struct io_uring_cqe *cqe)
{
	struct uring_backend *b = backend_of(loop);

	if (cqe->user_data == IGNORED)
		return;
	if (cqe->user_data == ALARM) {
		loop->alarm_ns = LOOP_NO_ALARM;
		return;
	}
	struct backend_watch *w = b->slots[cqe->user_data].watch;
	bool stays = cqe->flags & IORING_CQE_F_MORE;
	if (w && stays)
		loop_fd_ready(loop, w->token, events_of(cqe->res));
	else if (w)
		has_ended(loop, w, cqe->res);
	if (w || stays)
		return;
	struct backend_op *op = b->slots[cqe->user_data].op;
	release(b, (uint32_t)cqe->user_data);
	if (op)
		op->done(op, cqe->res);
}

/* Whether it is news to somebody: not the answer to a request, or the end of what was let go. */
static inline bool is_event(const struct uring_backend *b, const struct io_uring_cqe *cqe)
{
	if (cqe->user_data == IGNORED || cqe->user_data == ALARM)
		return false;
	return b->slots[cqe->user_data].watch || b->slots[cqe->user_data].op;
}

static LSC_HOT void take_all(struct lsc_loop *loop, struct uring_backend *b)
{
	for (unsigned n = uring_completed(&b->ring); n > 0; n--) {
		struct io_uring_cqe cqe;

		uring_take(&b->ring, &cqe);
		come_back(loop, &cqe);
	}
}

static LSC_HOT int wait_events(struct lsc_loop *loop, uint64_t timeout_ns)
{
	struct uring_backend *b = backend_of(loop);
	int events = 0;

	if (b->watch_later && watch(loop, b->watch_later, POLLIN) == 0)
		b->watch_later = NULL;
	if (b->ask_later > 0)
		ask_again(b);
	if ((b->watch_later || b->ask_later > 0) && timeout_ns > RETRY_NS)
		timeout_ns = RETRY_NS;
	int r = uring_enter(&b->ring, timeout_ns);
	unsigned n = uring_completed(&b->ring);
	for (unsigned i = 0; i < n; i++)
		events += is_event(b, uring_peek(&b->ring, i));
	if (events == 0)
		take_all(loop, b);
	if (n > 0 || r == 0 || r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY)
		return events;
	return r;
}

static LSC_HOT void dispatch(struct lsc_loop *loop, int events)
{
	(void)events;
	take_all(loop, backend_of(loop));
}

const struct backend_ops backend_uring = {
	.name = "io_uring",
	.holds_files = true,
	.open = open_backend,
	.close = close_backend,
	.watch = watch,
	.unwatch = unwatch,
	.flush = flush,
	.submit = submit,
	.cancel = cancel,
	.alarm = set_alarm,
	.wait = wait_events,
	.dispatch = dispatch,
};

#endif
