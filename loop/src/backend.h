/* SPDX-License-Identifier: MIT */
/*
 * The seam between the loop and the kernel's way of waiting. Each reports that a descriptor is
 * ready (watch); a proactor can also do an operation itself and report its result (submit). POLL*
 * and EPOLL* have the same values.
 */
#ifndef LSC_LOOP_BACKEND_H
#define LSC_LOOP_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lsc_loop;

enum backend_code {
	BACKEND_READ,
	BACKEND_WRITE,
	BACKEND_OPEN, /* path, flags; size: the mode */
	BACKEND_FSYNC,
	BACKEND_FDATASYNC,
	BACKEND_STATX, /* path, flags; size: the mask; buffer: struct statx */
};

/* A descriptor that is watched; its owner's, and borrowed by the backend until unwatch(). */
struct backend_watch {
	int fd;
	uint32_t events; /* POLLIN, POLLOUT: the backend's to set; 0: it is not watched */
	uint32_t slot;	 /* the backend's */
	uint64_t token;	 /* by which it is reported */
};

/* One operation of a proactor. Borrowed, with its buffer and path, until done(). */
struct backend_op {
	enum backend_code code;
	int fd;
	uint32_t flags;
	void *buffer;
	size_t size;
	const char *path;
	int64_t offset; /* of READ and WRITE; negative: the file's position */
	uint32_t slot;	/* the backend's */
	/* It has ended: with its result, or -errno; -ECANCELED when it was cancelled in time. */
	void (*done)(struct backend_op *op, int result);
};

struct backend_ops {
	const char *name;
	bool holds_files; /* what is watched stays open, though it is closed */
	/* Makes loop->backend_data. 0 or -errno. */
	int (*open)(struct lsc_loop *loop);
	/* Releases it; nothing when it was never made. */
	void (*close)(struct lsc_loop *loop);
	/* Has each edge of the events of w->fd reported to loop_fd_ready() with w->token, in place
	 * of what it was watched for; those that hold now count as edges. Errors, hang-ups, the
	 * peer's end and urgent data are always reported. 0 or -errno; what the kernel finds wrong
	 * later is told to loop_fd_unwatched(), as is a watch that ended by itself. */
	int (*watch)(struct lsc_loop *loop, struct backend_watch *w, uint32_t events);
	/* Ends that; nothing where it is not watched. */
	void (*unwatch)(struct lsc_loop *loop, struct backend_watch *w);
	/* Has what was asked to end do so at once: its descriptor is about to be closed. NULL: it
	 * has. */
	void (*flush)(struct lsc_loop *loop);
	/* Begins an operation in the next wait. 0 or -errno. NULL: a reactor. */
	int (*submit)(struct lsc_loop *loop, struct backend_op *op);
	/* Asks it to end; done() comes in a later tick. */
	void (*cancel)(struct lsc_loop *loop, struct backend_op *op);
	/* Has waits end at due_ns (of CLOCK_MONOTONIC) without being told each time, in place of
	 * what was said before: a wait with a timeout makes the kernel set a timer of its own. When
	 * it rings, loop->alarm_ns becomes LOOP_NO_ALARM. False when it cannot be had: the wait
	 * needs its timeout. NULL: it never can. */
	bool (*alarm)(struct lsc_loop *loop, uint64_t due_ns);
	/* The primary wait, and nothing else: up to timeout_ns, UINT64_MAX for ever. The number of
	 * events, 0 also when a signal came, or -errno. */
	int (*wait)(struct lsc_loop *loop, uint64_t timeout_ns);
	/* Hands on the events of the last wait. */
	void (*dispatch)(struct lsc_loop *loop, int events);
};

/* The one that LSC_BACKEND names, or epoll. Opens it for the loop; where it is not to be had, says
 * so on stderr once a process and takes epoll. 0 or -errno. */
int backend_open(struct lsc_loop *loop);

extern const struct backend_ops backend_epoll;
#if __has_include(<linux/io_uring.h>)
#define LSC_HAVE_URING 1
extern const struct backend_ops backend_uring;
#endif

#endif
