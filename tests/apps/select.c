/* SPDX-License-Identifier: MIT */
/* select(). */
#include <errno.h>
#include <stddef.h>
#include <sys/select.h>

#include "app.h"

static fd_set watched;
static int highest;

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	FD_SET(fd, &watched);
	highest = fd > highest ? fd : highest;
}

void app_unwatch(int fd)
{
	FD_CLR(fd, &watched);
}

void app_every(unsigned int ms, app_fn *fn)
{
	app_every_timerfd(ms, fn);
}

void app_run(void)
{
	while (!app_is_over()) {
		fd_set ready = watched;
		if (select(highest + 1, &ready, NULL, NULL, NULL) < 0 && errno != EINTR)
			app_die("select");
		for (int fd = 0; fd <= highest; fd++)
			if (FD_ISSET(fd, &ready))
				app_slots[fd].fn(app_slots[fd].arg);
	}
}
