/* SPDX-License-Identifier: MIT */
/* The one place of the library where threads meet. The eventfd is written once per non-empty queue,
 * and never read: each write is an edge, and its counter lasts longer than any machine. */
#include "remote.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "own_fd.h"

/* A call of the application's. */
struct app_call {
	struct remote_call call;
	lsc_call_fn fn;
	void *arg;
};

static struct remote_call *first(struct list *calls)
{
	return container_of(calls->next, struct remote_call, link);
}

int remote_open(struct lsc_loop *loop)
{
	struct remote *remote = &loop->remote;

	int fd = own_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	remote->watch = (struct backend_watch){.fd = fd, .token = REMOTE_TOKEN};
	int r = fd < 0 ? fd : loop->backend->watch(loop, &remote->watch, POLLIN);

	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	remote->fd = fd;
	pthread_mutex_init(&remote->lock, NULL);
	list_init(&remote->calls);
	return 0;
}

void remote_close(struct lsc_loop *loop)
{
	struct remote *remote = &loop->remote;

	if (remote->fd < 0)
		return;
	while (!list_empty(&remote->calls)) {
		struct remote_call *call = first(&remote->calls);

		list_remove(&call->link);
		if (call->drop)
			call->drop(call);
	}
	pthread_mutex_destroy(&remote->lock);
	close(remote->fd);
	remote->fd = -1;
}

void remote_run(struct lsc_loop *loop)
{
	struct remote *remote = &loop->remote;
	struct list calls;

	list_init(&calls);
	pthread_mutex_lock(&remote->lock);
	list_splice(&calls, &remote->calls);
	pthread_mutex_unlock(&remote->lock);
	while (!list_empty(&calls)) {
		struct remote_call *call = first(&calls);

		list_remove(&call->link);
		call->run(call);
	}
}

void remote_post(struct lsc_loop *loop, struct remote_call *call)
{
	struct remote *remote = &loop->remote;
	uint64_t one = 1;

	pthread_mutex_lock(&remote->lock);
	bool was_empty = list_empty(&remote->calls);
	list_append(&remote->calls, &call->link);
	/* Under the lock, so that the loop cannot end between the two. */
	if (was_empty)
		(void)!write(remote->fd, &one, sizeof(one));
	pthread_mutex_unlock(&remote->lock);
}

static void run_app_call(struct remote_call *call)
{
	struct app_call *c = container_of(call, struct app_call, call);

	c->fn(c->arg);
	free(c);
}

static void drop_app_call(struct remote_call *call)
{
	free(container_of(call, struct app_call, call));
}

int lsc_call_soon_threadsafe(struct lsc_loop *loop, lsc_call_fn fn, void *arg)
{
	struct app_call *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct app_call){
		.call = {.run = run_app_call, .drop = drop_app_call},
		.fn = fn,
		.arg = arg,
	};
	remote_post(loop, &c->call);
	return 0;
}
