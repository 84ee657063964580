/* SPDX-License-Identifier: MIT */
/*
 * Who waits for which descriptor, and what is known of a descriptor between two waits. The backend
 * reports edges: a descriptor is watched once, and a task that met EAGAIN parks without a system
 * call.
 */
#ifndef LSC_LOOP_FD_H
#define LSC_LOOP_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "list.h"
#include "timer.h"

struct lsc_loop;

/* One wait, owned by who waits; a descriptor may have several. */
struct fd_wait {
	struct list link; /* in fd_entry.waits, in order of arrival */
	uint32_t events;  /* POLLIN, POLLOUT */
	/* The wait has ended, and was taken off: the events that hold, or -errno. From the loop,
	 * outside of tasks, or from lsc_close(). */
	void (*wake)(struct fd_wait *wait, int result);
	/* The rest is fd.c's. */
	struct lsc_loop *loop;
	struct fd_entry *entry;
};

enum fd_kind {
	FD_UNKNOWN = 0,
	FD_NONBLOCKING,
	FD_BLOCKING, /* no O_NONBLOCK, and not ours to set: waited for ahead of each attempt */
	FD_FILE,     /* a regular file or a directory: nothing waits for it, it just takes long */
};

struct fd_entry {
	struct list waits;
	struct list unsure;  /* in fd_table.unsure */
	struct list woken;   /* in fd_table.woken */
	uint32_t woken_turn; /* fd_table.turn then */
	struct backend_watch watch;
	uint32_t parked;     /* fd_table.round of the latest wait */
	uint32_t generation; /* of watches of this number: reports of earlier ones are stale */
	uint8_t kind;	     /* enum fd_kind */
	bool is_tcp;	     /* a short read has emptied it */
	bool protocol_known;
	bool empty; /* it was read empty, and no edge came since */
	bool ended; /* an error, the peer's end or urgent data: reading has to find out */
};

struct fd_table {
	struct fd_entry **entries; /* by descriptor; NULL where none was ever used */
	size_t room;
	uint32_t round;	      /* of rechecks */
	uint32_t turn;	      /* of the loop */
	struct timer recheck; /* set while entries are unsure */
	struct list unsure;   /* fd_entry.unsure: waited for, perhaps in vain */
	struct list woken; /* fd_entry.woken: waited for no more, perhaps, by a watch that holds the
			      file */
};

void fd_table_init(struct fd_table *table);
void fd_table_done(struct fd_table *table);

/* The entry of fd, or NULL. */
static inline struct fd_entry *fd_entry_find(const struct fd_table *table, int fd)
{
	return fd >= 0 && (size_t)fd < table->room ? table->entries[fd] : NULL;
}

/* The same, made where there is none. 0, -EBADF, -ENOMEM. */
int fd_entry_get(struct lsc_loop *loop, int fd, struct fd_entry **ret);

/* Learns the entry's kind, once. 0 or -errno. */
int fd_learn_kind(struct fd_entry *entry, int fd);

/* fd is a new descriptor: whatever is known of its number is of another one. */
void fd_is_new(struct lsc_loop *loop, int fd);

/* From the backend: events (POLL*) came for what `token` names. */
void fd_ready(struct lsc_loop *loop, uint64_t token, uint32_t events);

/* From the backend: what `token` names is not watched any more, because of error or, where that is
 * 0, of something that has passed. */
void fd_unwatched(struct lsc_loop *loop, uint64_t token, int error);

/* At the end of a tick: files that nobody waits for are not held open any more; where it is not
 * idle, those that nobody has waited for for some ticks. */
void fd_let_go(struct lsc_loop *loop, bool idle);

/* Begins a wait after EAGAIN: costs a system call only where fd is not watched yet. 0 or -errno. */
int fd_wait_begin(struct lsc_loop *loop, struct fd_entry *entry, struct fd_wait *wait);

/* Begins a wait for what may hold already. 0 or -errno (-EPERM: always ready). */
int fd_wait_level(struct lsc_loop *loop, struct fd_entry *entry, struct fd_wait *wait);

/* Ends a wait that has begun, or none; wake() is not called. */
void fd_wait_end(struct fd_wait *wait);

/* Suspends the running task until a proactor has done it, and returns its result. entry is that of
 * op->fd, or NULL where it has none: the wait counts as one for a thread then. What was
 * transferred when the task was asked to end counts: the request is met by the next suspension. */
int fd_transfer(struct lsc_loop *loop, struct fd_entry *entry, const struct backend_op *op);

/* Suspends the running task until events, after EAGAIN. The events that hold, or -errno. */
int fd_park(struct lsc_loop *loop, struct fd_entry *entry, uint32_t events);

/* The same for what may hold already. */
int fd_park_level(struct lsc_loop *loop, struct fd_entry *entry, uint32_t events);

/* Ends every wait for fd with -EBADF and forgets it; does not close it. */
void fd_forget(struct lsc_loop *loop, int fd);

/* Learns the entry's protocol, once. */
void fd_learn_protocol(struct fd_entry *entry, int fd);

/* A read of size bytes gave n: remembers whether that emptied a stream of TCP. */
static inline void fd_was_read(struct fd_entry *entry, int fd, size_t n, size_t size)
{
	entry->empty = false;
	if (n >= size || n == 0 || entry->ended)
		return;
	if (!entry->protocol_known)
		fd_learn_protocol(entry, fd);
	entry->empty = entry->is_tcp;
}

#endif
