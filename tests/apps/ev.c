/* SPDX-License-Identifier: MIT */
/* libev. */
#include <ev.h>
#include <stdlib.h>

#include "app.h"

static ev_io *ios[1024];

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (!ev_default_loop(EVBACKEND_EPOLL))
		app_die("ev_default_loop");
}

typedef void io_fn(struct ev_loop *loop, ev_io *w, int what);

static void watch(int fd, io_fn *cb)
{
	ev_io *w = calloc(1, sizeof(*w));

	if (!w)
		app_die("ev_io");
	w->fd = fd;
	w->events = EV_READ | EV__IOFDSET;
	w->cb = cb;
	w->data = &app_slots[fd];
	ios[fd] = w;
	ev_io_start(EV_DEFAULT, w);
}

static void on_io(struct ev_loop *loop, ev_io *w, int what)
{
	struct app_slot *s = w->data;

	(void)loop;
	(void)what;
	s->fn(s->arg);
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	watch(fd, on_io);
}

void app_unwatch(int fd)
{
	ev_io_stop(EV_DEFAULT, ios[fd]);
	free(ios[fd]);
}

APP_BURST_ALL(struct ev_loop *loop __attribute__((unused)), ev_io *w __attribute__((unused)),
	      int what __attribute__((unused)))

void app_watch_burst(int index, int fd)
{
	static io_fn *const cbs[APP_BURST_MAX] = APP_BURST_TABLE;

	watch(fd, cbs[index]);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int what)
{
	app_fn *fn = w->data;

	(void)loop;
	(void)what;
	fn(NULL);
}

void app_every(unsigned int ms, app_fn *fn)
{
	ev_timer *w = calloc(1, sizeof(*w));

	if (!w)
		app_die("ev_timer");
	w->at = w->repeat = ms / 1000.0;
	w->cb = on_timer;
	w->data = fn;
	ev_timer_start(EV_DEFAULT, w);
}

void app_run(void)
{
	while (!app_is_over())
		ev_run(EV_DEFAULT, EVRUN_ONCE);
}
