/* SPDX-License-Identifier: MIT */
/* GLib: ppoll() under the hood, sources on top. */
#include <glib-unix.h>
#include <glib.h>

#include "app.h"

static guint sources[1024];

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
}

static void watch(int fd, GUnixFDSourceFunc cb)
{
	sources[fd] = g_unix_fd_add(fd, G_IO_IN, cb, &app_slots[fd]);
}

static gboolean on_fd(gint fd, GIOCondition condition, gpointer arg)
{
	struct app_slot *s = arg;

	(void)condition;
	s->fn(s->arg);
	return sources[fd] != 0;
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	watch(fd, on_fd);
}

void app_unwatch(int fd)
{
	sources[fd] = 0; /* on_fd() ends the source that runs */
}

static gboolean on_timer(gpointer arg)
{
	((app_fn *)arg)(NULL);
	return G_SOURCE_CONTINUE;
}

void app_every(unsigned int ms, app_fn *fn)
{
	g_timeout_add(ms, on_timer, (gpointer)fn);
}

void app_run(void)
{
	while (!app_is_over())
		g_main_context_iteration(NULL, TRUE);
}
