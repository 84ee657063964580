/* SPDX-License-Identifier: MIT */
/* An echo server written by hand on io_uring: the wait of all connections begins their receives. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <unistd.h>

#include "by_hand.h"

#define ENTRIES 256

struct connection {
	int fd;
	char data[4096];
};

static struct io_uring_sqe *next_entry(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		die("io_uring_get_sqe");
	return sqe;
}

static void receive(struct io_uring *ring, struct connection *c)
{
	struct io_uring_sqe *sqe = next_entry(ring);

	io_uring_prep_recv(sqe, c->fd, c->data, sizeof(c->data), 0);
	io_uring_sqe_set_data(sqe, c);
	sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
}

static void watch(struct io_uring *ring, int listener)
{
	struct io_uring_sqe *sqe = next_entry(ring);

	io_uring_prep_poll_add(sqe, listener, POLLIN);
	io_uring_sqe_set_data(sqe, NULL);
}

static void echo(struct io_uring *ring, struct connection *c, int n)
{
	if (n <= 0) {
		close(c->fd);
		free(c);
		return;
	}
	if (send(c->fd, c->data, (size_t)n, MSG_NOSIGNAL) != n)
		die("send");
	receive(ring, c);
}

int main(void)
{
	int listener = listen_anywhere();
	struct io_uring ring;

	int r = io_uring_queue_init(ENTRIES, &ring,
				    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (r < 0) {
		errno = -r;
		die("io_uring");
	}
	watch(&ring, listener);
	for (;;) {
		struct io_uring_cqe *cqe;

		io_uring_submit_and_wait(&ring, 1);
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			struct connection *c = io_uring_cqe_get_data(cqe);
			int n = cqe->res;

			io_uring_cqe_seen(&ring, cqe);
			if (c) {
				echo(&ring, c, n);
				continue;
			}
			c = malloc(sizeof(*c));
			if (!c)
				die("malloc");
			c->fd = accept_one(listener);
			receive(&ring, c);
			watch(&ring, listener);
		}
	}
}
