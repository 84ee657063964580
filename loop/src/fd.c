/* SPDX-License-Identifier: MIT */
/*
 * Waits for descriptors. A watch is armed for one report, and armed anew by each wait: a descriptor
 * number that was closed and used again between two waits then cannot be mistaken for the old one.
 */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "loopscope/fd.h"

void fd_table_done(struct fd_table *table)
{
	free(table->first);
	*table = (struct fd_table){0};
}

static int make_room(struct fd_table *table, int fd)
{
	if ((size_t)fd < table->room)
		return 0;
	/* A number that is no descriptor must not make the table as large as it is. */
	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	size_t room = 2 * table->room > (size_t)fd ? 2 * table->room : (size_t)fd + 64;
	struct fd_wait **grown = realloc(table->first, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + table->room, 0, (room - table->room) * sizeof(*grown));
	table->first = grown;
	table->room = room;
	return 0;
}

/* What all waits of a descriptor are for together; 0 when there is none. */
static uint32_t wanted(const struct fd_table *table, int fd)
{
	uint32_t events = 0;

	for (const struct fd_wait *w = table->first[fd]; w; w = w->next)
		events |= w->events;
	return events;
}

static void append(struct fd_table *table, struct fd_wait *wait)
{
	struct fd_wait **at = &table->first[wait->fd];

	while (*at)
		at = &(*at)->next;
	wait->next = NULL;
	*at = wait;
}

static void take_out(struct fd_table *table, struct fd_wait *wait)
{
	struct fd_wait **at = &table->first[wait->fd];

	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
}

static bool stop_waiting(struct park *park)
{
	struct fd_wait *wait = container_of(park, struct fd_wait, park);
	struct lsc_loop *loop = wait->loop;

	take_out(&loop->fds, wait);
	/* The descriptor may be closed by now; then there is nothing left to watch. */
	loop->backend->watch(loop, wait->fd, wanted(&loop->fds, wait->fd));
	return true;
}

/* Wakes the waits that events or error end; the others stay. */
static void wake(struct lsc_loop *loop, int fd, uint32_t events, int error)
{
	struct fd_wait **at = &loop->fds.first[fd];

	while (*at) {
		struct fd_wait *w = *at;
		uint32_t met = events & (w->events | POLLERR | POLLHUP);

		if (met == 0 && error == 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		task_unpark(&w->park, error != 0 ? error : (int)met);
	}
}

void fd_ready(struct lsc_loop *loop, int fd, uint32_t events)
{
	if ((size_t)fd >= loop->fds.room || !loop->fds.first[fd])
		return;
	wake(loop, fd, events, 0);
	uint32_t rest = wanted(&loop->fds, fd);
	int r = rest ? loop->backend->watch(loop, fd, rest) : 0;
	if (r < 0)
		wake(loop, fd, 0, r);
}

int lsc_wait_fd(int fd, uint32_t events)
{
	struct task *task = task_current();

	if (!task)
		return -EPERM;
	if (fd < 0)
		return -EBADF;
	if ((events & (POLLIN | POLLOUT)) == 0 || (events & ~(uint32_t)(POLLIN | POLLOUT)) != 0)
		return -EINVAL;
	struct lsc_loop *loop = task->future.loop;
	int r = make_room(&loop->fds, fd);
	if (r < 0)
		return r;
	struct fd_wait wait = {
		.park.cancel = stop_waiting,
		.loop = loop,
		.fd = fd,
		.events = events,
	};
	append(&loop->fds, &wait);
	r = loop->backend->watch(loop, fd, wanted(&loop->fds, fd));
	if (r < 0) {
		take_out(&loop->fds, &wait);
		return r;
	}
	return task_park(task, &wait.park, LSC_WAIT_FD, (uint32_t)fd | (uint64_t)events << 32);
}
