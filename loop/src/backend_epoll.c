/* SPDX-License-Identifier: MIT */
/* Waiting with epoll, edge-triggered: a descriptor costs one epoll_ctl(), not one a wait. */
#include "backend.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "loop.h"
#include "own_fd.h"

#define EVENTS_MAX 256

struct epoll_backend {
	int fd;
	struct epoll_event events[EVENTS_MAX];
};

static int open_backend(struct lsc_loop *loop)
{
	struct epoll_backend *b = malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->fd = own_fd(epoll_create1(EPOLL_CLOEXEC));
	if (b->fd < 0) {
		int r = b->fd;

		free(b);
		return r;
	}
	loop->backend_data = b;
	return 0;
}

static void close_backend(struct lsc_loop *loop)
{
	struct epoll_backend *b = loop->backend_data;

	if (!b)
		return;
	close(b->fd);
	free(b);
	loop->backend_data = NULL;
}

static int watch(struct lsc_loop *loop, int fd, uint32_t events, uint64_t token)
{
	struct epoll_backend *b = loop->backend_data;
	struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLPRI | EPOLLET,
				    .data.u64 = token};

	if (epoll_ctl(b->fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	if (errno == ENOENT && epoll_ctl(b->fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return -errno;
}

static void unwatch(struct lsc_loop *loop, int fd)
{
	struct epoll_backend *b = loop->backend_data;

	/* It may be closed already; then the kernel has forgotten it by itself. */
	epoll_ctl(b->fd, EPOLL_CTL_DEL, fd, NULL);
}

static int wait_events(struct lsc_loop *loop, uint64_t timeout_ns)
{
	struct epoll_backend *b = loop->backend_data;
	uint64_t ms = timeout_ns / LSC_NS_PER_MS + (timeout_ns % LSC_NS_PER_MS != 0);
	int timeout = timeout_ns == UINT64_MAX ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;

	int n = epoll_wait(b->fd, b->events, EVENTS_MAX, timeout);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n;
}

static void dispatch(struct lsc_loop *loop, int events)
{
	struct epoll_backend *b = loop->backend_data;

	for (int i = 0; i < events; i++)
		loop_fd_ready(loop, b->events[i].data.u64, b->events[i].events);
}

const struct backend_ops backend_epoll = {
	.name = "epoll",
	.open = open_backend,
	.close = close_backend,
	.watch = watch,
	.unwatch = unwatch,
	.wait = wait_events,
	.dispatch = dispatch,
};
