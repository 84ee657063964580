/* SPDX-License-Identifier: MIT */
/* sd-event. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "app.h"

static sd_event *loop;
static sd_event_source *sources[1024];

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
	check(sd_event_default(&loop), "sd_event_default");
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct app_slot *slot = arg;

	(void)s;
	(void)fd;
	(void)revents;
	slot->fn(slot->arg);
	return 0;
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	check(sd_event_add_io(loop, &sources[fd], fd, EPOLLIN, on_io, &app_slots[fd]),
	      "sd_event_add_io");
}

void app_unwatch(int fd)
{
	sources[fd] = sd_event_source_disable_unref(sources[fd]);
}

struct timer {
	uint64_t us;
	app_fn *fn;
};

static int on_time(sd_event_source *s, uint64_t due, void *arg)
{
	struct timer *t = arg;

	(void)due;
	t->fn(NULL);
	check(sd_event_source_set_time_relative(s, t->us), "sd_event_source_set_time_relative");
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

void app_every(unsigned int ms, app_fn *fn)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (!t)
		app_die("timer");
	t->us = ms * 1000ull;
	t->fn = fn;
	check(sd_event_add_time_relative(loop, NULL, CLOCK_MONOTONIC, t->us, 1, on_time, t),
	      "sd_event_add_time_relative");
}

void app_run(void)
{
	while (!app_is_over())
		check(sd_event_run(loop, UINT64_MAX), "sd_event_run");
}
