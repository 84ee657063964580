/* SPDX-License-Identifier: MIT */
/* poll(). */
#include <errno.h>
#include <poll.h>

#include "app.h"

static struct pollfd polled[1024];
static nfds_t npolled;

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	polled[npolled++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

void app_unwatch(int fd)
{
	for (nfds_t i = 0; i < npolled; i++)
		if (polled[i].fd == fd)
			polled[i] = polled[--npolled];
}

void app_every(unsigned int ms, app_fn *fn)
{
	app_every_timerfd(ms, fn);
}

void app_run(void)
{
	while (!app_is_over()) {
		if (poll(polled, npolled, -1) < 0 && errno != EINTR)
			app_die("poll");
		for (nfds_t i = npolled; i-- > 0;)
			if (i < npolled && polled[i].revents)
				app_slots[polled[i].fd].fn(app_slots[polled[i].fd].arg);
	}
}
