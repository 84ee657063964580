/* SPDX-License-Identifier: MIT */
/* libuv; its own pool of threads has work too. */
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "app.h"

static uv_poll_t *polls[1024];

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct app_slot *s = p->data;

	(void)status;
	(void)events;
	s->fn(s->arg);
}

static void watch(int fd, uv_poll_cb cb)
{
	uv_poll_t *p = calloc(1, sizeof(*p));

	if (!p || uv_poll_init(uv_default_loop(), p, fd))
		app_die("uv_poll_init");
	p->data = &app_slots[fd];
	polls[fd] = p;
	uv_poll_start(p, UV_READABLE, cb);
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	watch(fd, on_poll);
}

static void on_close(uv_handle_t *h)
{
	free(h);
}

void app_unwatch(int fd)
{
	uv_close((uv_handle_t *)polls[fd], on_close);
}

APP_BURST_ALL(uv_poll_t *p __attribute__((unused)), int status __attribute__((unused)),
	      int events __attribute__((unused)))

void app_watch_burst(int index, int fd)
{
	static const uv_poll_cb cbs[APP_BURST_MAX] = APP_BURST_TABLE;

	watch(fd, cbs[index]);
}

static void on_timer(uv_timer_t *t)
{
	app_fn *fn = t->data;

	fn(NULL);
}

void app_every(unsigned int ms, app_fn *fn)
{
	uv_timer_t *t = calloc(1, sizeof(*t));

	if (!t || uv_timer_init(uv_default_loop(), t))
		app_die("uv_timer_init");
	t->data = fn;
	uv_timer_start(t, on_timer, ms, ms);
}

static void work(uv_work_t *w)
{
	(void)w;
	usleep(40000);
}

static void again(uv_work_t *w, int status)
{
	if (status || uv_queue_work(uv_default_loop(), w, work, again))
		app_die("uv_queue_work");
}

void app_init(int argc, char **argv)
{
	static uv_work_t w;

	(void)argc;
	(void)argv;
	again(&w, 0);
}

void app_run(void)
{
	while (!app_is_over())
		uv_run(uv_default_loop(), UV_RUN_ONCE);
}
