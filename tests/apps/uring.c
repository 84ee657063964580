/* SPDX-License-Identifier: MIT */
/* io_uring: polls that are armed again after each completion. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdint.h>

#include "app.h"

static struct io_uring ring;

static void check(int r, const char *what)
{
	if (r < 0) {
		errno = -r;
		app_die(what);
	}
}

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	check(io_uring_queue_init(256, &ring, 0), "io_uring_queue_init");
}

static void arm(int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe)
		app_die("io_uring_get_sqe");
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, (uint64_t)fd);
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	arm(fd);
}

void app_unwatch(int fd)
{
	app_slots[fd].fn = NULL; /* its poll has fired: nothing is armed */
}

void app_every(unsigned int ms, app_fn *fn)
{
	app_every_timerfd(ms, fn);
}

void app_run(void)
{
	while (!app_is_over()) {
		int r = io_uring_submit_and_wait(&ring, 1);
		if (r != -EINTR)
			check(r, "io_uring_submit_and_wait");
		struct io_uring_cqe *cqe;
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			int fd = (int)cqe->user_data;
			io_uring_cqe_seen(&ring, cqe);
			app_slots[fd].fn(app_slots[fd].arg);
			if (app_slots[fd].fn)
				arm(fd);
		}
	}
}
