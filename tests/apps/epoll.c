/* SPDX-License-Identifier: MIT */
/* Bare epoll. `epoll spin` asks with a timeout of zero, for ever. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "app.h"

static int set;
static int timeout_ms = -1;

void app_init(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "spin"))
		timeout_ms = 0;
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		app_die("epoll_create1");
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	app_slots[fd] = (struct app_slot){fn, arg};
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) < 0)
		app_die("epoll_ctl");
}

void app_unwatch(int fd)
{
	app_slots[fd].fn = NULL;
	if (epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) < 0)
		app_die("epoll_ctl");
}

void app_every(unsigned int ms, app_fn *fn)
{
	app_every_timerfd(ms, fn);
}

void app_run(void)
{
	struct epoll_event ev[64];

	while (!app_is_over()) {
		int n = epoll_wait(set, ev, 64, timeout_ms);
		if (n < 0 && errno != EINTR)
			app_die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct app_slot *s = &app_slots[ev[i].data.fd];
			if (s->fn)
				s->fn(s->arg);
		}
	}
}
