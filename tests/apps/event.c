/* SPDX-License-Identifier: MIT */
/* libevent. */
#include <event2/event.h>

#include "app.h"

static struct event_base *base;
static struct event *events[1024];

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	base = event_base_new();
	if (!base)
		app_die("event_base_new");
}

static void watch(int fd, event_callback_fn cb)
{
	events[fd] = event_new(base, fd, EV_READ | EV_PERSIST, cb, &app_slots[fd]);
	if (!events[fd] || event_add(events[fd], NULL))
		app_die("event_add");
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct app_slot *s = arg;

	(void)fd;
	(void)what;
	s->fn(s->arg);
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	watch(fd, on_event);
}

void app_unwatch(int fd)
{
	event_free(events[fd]);
}

APP_BURST_ALL(evutil_socket_t fd __attribute__((unused)), short what __attribute__((unused)),
	      void *arg __attribute__((unused)))

void app_watch_burst(int index, int fd)
{
	static const event_callback_fn cbs[APP_BURST_MAX] = APP_BURST_TABLE;

	watch(fd, cbs[index]);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	((app_fn *)arg)(NULL);
}

void app_every(unsigned int ms, app_fn *fn)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	struct event *e = event_new(base, -1, EV_PERSIST, on_timer, (void *)fn);

	if (!e || event_add(e, &tv))
		app_die("event_add");
}

void app_run(void)
{
	while (!app_is_over())
		event_base_loop(base, EVLOOP_ONCE);
}
