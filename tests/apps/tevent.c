/* SPDX-License-Identifier: MIT */
/* tevent, Samba's loop. */
#include <stdbool.h>
#include <stdlib.h>
#include <talloc.h>
#include <tevent.h>

#include "app.h"

struct every {
	unsigned int ms;
	app_fn *fn;
};

static struct tevent_context *loop;
static struct tevent_fd *watched[1024];

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	loop = tevent_context_init_byname(NULL, "epoll");
	if (!loop)
		app_die("tevent_context_init_byname");
}

static void on_fd(struct tevent_context *ctx, struct tevent_fd *fde, uint16_t what, void *arg)
{
	struct app_slot *s = arg;

	(void)ctx;
	(void)fde;
	(void)what;
	s->fn(s->arg);
	__asm__ volatile("");
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	watched[fd] = tevent_add_fd(loop, loop, fd, TEVENT_FD_READ, on_fd, &app_slots[fd]);
	if (!watched[fd])
		app_die("tevent_add_fd");
}

void app_unwatch(int fd)
{
	TALLOC_FREE(watched[fd]);
}

static void on_timer(struct tevent_context *ctx, struct tevent_timer *timer, struct timeval now,
		     void *arg)
{
	struct every *e = arg;

	(void)ctx;
	(void)timer;
	(void)now;
	e->fn(NULL);
	if (!tevent_add_timer(loop, loop,
			      tevent_timeval_current_ofs(e->ms / 1000, e->ms % 1000 * 1000),
			      on_timer, e))
		app_die("tevent_add_timer");
}

void app_every(unsigned int ms, app_fn *fn)
{
	struct every *e = calloc(1, sizeof(*e));

	if (!e)
		app_die("calloc");
	*e = (struct every){ms, fn};
	if (!tevent_add_timer(loop, loop, tevent_timeval_current_ofs(ms / 1000, ms % 1000 * 1000),
			      on_timer, e))
		app_die("tevent_add_timer");
}

void app_run(void)
{
	while (!app_is_over())
		if (tevent_loop_once(loop))
			app_die("tevent_loop_once");
}
