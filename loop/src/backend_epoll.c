/* SPDX-License-Identifier: MIT */
/* Waiting with epoll, edge-triggered: a descriptor costs one epoll_ctl(), not one a wait. */
#include "backend.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "hot.h"
#include "loop.h"
#include "own_fd.h"

#define EVENTS_MAX 256

/* No descriptor's, and not REMOTE_TOKEN. */
#define TIMER_TOKEN (UINT64_MAX - 1)

struct epoll_backend {
	int fd;
	int timer;     /* a timerfd; -1: not made */
	bool no_timer; /* it cannot be had */
	struct epoll_event events[EVENTS_MAX];
};

static int open_backend(struct lsc_loop *loop)
{
	struct epoll_backend *b = malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->timer = -1;
	b->no_timer = false;
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
	if (b->timer >= 0)
		close(b->timer);
	close(b->fd);
	free(b);
	loop->backend_data = NULL;
}

static int watch(struct lsc_loop *loop, struct backend_watch *w, uint32_t events)
{
	struct epoll_backend *b = loop->backend_data;
	struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLPRI | EPOLLET,
				    .data.u64 = w->token};

	if (epoll_ctl(b->fd, EPOLL_CTL_MOD, w->fd, &event) < 0 &&
	    (errno != ENOENT || epoll_ctl(b->fd, EPOLL_CTL_ADD, w->fd, &event) < 0))
		return -errno;
	w->events = events;
	return 0;
}

static void unwatch(struct lsc_loop *loop, struct backend_watch *w)
{
	struct epoll_backend *b = loop->backend_data;

	/* It may be closed already; then the kernel has forgotten it by itself. */
	if (w->events != 0)
		epoll_ctl(b->fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->events = 0;
}

/* ---- the alarm ---- */

static bool make_timer(struct epoll_backend *b)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = TIMER_TOKEN};

	if (b->timer >= 0 || b->no_timer)
		return b->timer >= 0;
	b->timer = own_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	if (b->timer >= 0 && epoll_ctl(b->fd, EPOLL_CTL_ADD, b->timer, &event) < 0) {
		close(b->timer);
		b->timer = -1;
	}
	b->no_timer = b->timer < 0;
	return b->timer >= 0;
}

static bool set_alarm(struct lsc_loop *loop, uint64_t due_ns)
{
	struct epoll_backend *b = loop->backend_data;
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(due_ns / LSC_NS_PER_S),
					       .tv_nsec = (long)(due_ns % LSC_NS_PER_S)}};

	return make_timer(b) && timerfd_settime(b->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0;
}

/* Takes the alarm out of the events: it is none. It needs no read, for it reports edges. */
static int without_alarm(struct lsc_loop *loop, struct epoll_backend *b, int n)
{
	for (int i = 0; i < n; i++)
		if (b->events[i].data.u64 == TIMER_TOKEN) {
			loop->alarm_ns = LOOP_NO_ALARM;
			b->events[i] = b->events[n - 1];
			return n - 1;
		}
	return n;
}

/* In whole ms, never less. */
static int timeout_of(uint64_t ns)
{
	uint64_t ms = ns / LSC_NS_PER_MS + (ns % LSC_NS_PER_MS != 0);

	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static LSC_HOT int wait_events(struct lsc_loop *loop, uint64_t timeout_ns)
{
	struct epoll_backend *b = loop->backend_data;
	int timeout = timeout_ns == UINT64_MAX ? -1 : timeout_of(timeout_ns);

	int n = epoll_wait(b->fd, b->events, EVENTS_MAX, timeout);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return b->timer < 0 ? n : without_alarm(loop, b, n);
}

static LSC_HOT void dispatch(struct lsc_loop *loop, int events)
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
	.alarm = set_alarm,
	.wait = wait_events,
	.dispatch = dispatch,
};
