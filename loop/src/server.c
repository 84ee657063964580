/* SPDX-License-Identifier: MIT */
/* A server: one task that accepts for each listening socket, one task for each connection. Each of
 * them holds the server. */
#include "loopscope/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"
#include "base/clock.h"
#include "debug.h"
#include "future.h"
#include "loop.h"
#include "loopscope/io.h"
#include "loopscope/mark.h"
#include "loopscope/signal.h"
#include "loopscope/stream.h"
#include "loopscope/timer.h"
#include "signals.h"
#include "task.h"
#include "waitlist.h"

#define BACKLOG		100
#define ACCEPT_PAUSE_NS LSC_NS_PER_S
#define NAME_SIZE	96

struct listener {
	struct future_waiter ended; /* of the accepting task */
	struct lsc_server *server;
	struct lsc_future *paused; /* the accepting task, while it waits for descriptors */
	int fd;			   /* -1: closed */
};

struct lsc_server {
	struct lsc_site *site; /* where it was started: its tasks are spawned there */
	lsc_client_fn fn;
	void *arg;
	int (*start)(struct lsc_stream *stream, void *start_arg);
	void *start_arg;
	void (*release_arg)(void *start_arg); /* set when the server is given */
	unsigned refs; /* the owner's, one of each accepting task and of each connection */
	size_t connections;
	unsigned accepting;
	bool closed;
	struct waitlist waiters; /* for the last connection */
	struct waitlist serving; /* until it is closed */
	char *path;		 /* of the Unix socket, to be removed; NULL: none */
	pid_t owner;		 /* of the path: not a forked child */
	unsigned count;
	struct listener listeners[];
};

static void unref(struct lsc_server *server)
{
	if (--server->refs > 0)
		return;
	if (server->release_arg)
		server->release_arg(server->start_arg);
	free(server->path);
	free(server);
}

static void wake_if_over(struct lsc_server *server)
{
	if (server->closed && server->connections == 0 && server->accepting == 0)
		waitlist_wake_all(&server->waiters, 0);
}

/* ---- a connection ---- */

struct connection {
	struct future_waiter ended; /* of its task, which may end without having run */
	struct lsc_server *server;
	struct lsc_stream *stream;
};

static void connection_end(struct future_waiter *waiter)
{
	struct connection *c = container_of(waiter, struct connection, ended);
	struct lsc_server *server = c->server;

	lsc_stream_free(c->stream);
	free(c);
	server->connections--;
	wake_if_over(server);
	unref(server);
}

static const struct future_waiter_ops connection_waiter = {.wake = connection_end};

static int serve(void *arg)
{
	struct connection *c = arg;
	int r = c->server->start ? c->server->start(c->stream, c->server->start_arg) : 0;

	return r < 0 ? r : c->server->fn(c->stream, c->server->arg);
}

/* ---- accepting ---- */

static int start_connection(struct lsc_server *server, int fd, const struct sockaddr *peer,
			    socklen_t size)
{
	struct connection *c = malloc(sizeof(*c));
	char name[NAME_SIZE] = "client ";

	if (!c)
		return -ENOMEM;
	int r = lsc_stream_open(fd, &c->stream);
	if (r < 0) {
		free(c);
		return r;
	}
	c->ended.ops = &connection_waiter;
	c->server = server;
	server->refs++;
	server->connections++;
	address_text(peer, size, name + strlen(name), sizeof(name) - strlen(name));
	struct lsc_future *task = lsc_spawn_at(server->site, serve, c, name);
	if (task) {
		future_wait(task, &c->ended);
		task->taken = true; /* nobody is meant to await it */
	} else {
		connection_end(&c->ended);
	}
	lsc_unref(task);
	return 0;
}

static bool is_out_of_resources(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

static int accept_all(struct listener *listener)
{
	for (unsigned n = 1;; n++) {
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);
		int fd = lsc_accept(listener->fd, (struct sockaddr *)&peer, &size), r = 0;

		if (listener->fd < 0)
			return 0; /* closed meanwhile */
		if (fd >= 0) {
			if (start_connection(listener->server, fd, (struct sockaddr *)&peer, size) <
			    0)
				lsc_close(fd);
			/* A flood of connections must not keep their tasks from running. */
			r = n % BACKLOG == 0 ? lsc_yield() : 0;
		} else if (is_out_of_resources(fd)) {
			lsc_trace_mark("accept: out of descriptors or memory, pausing");
			listener->paused = lsc_current_task();
			r = lsc_sleep(ACCEPT_PAUSE_NS);
			listener->paused = NULL;
		} else if (fd == -ECANCELED || fd == -EBADF || fd == -EINVAL || fd == -ENOTSOCK ||
			   fd == -EOPNOTSUPP || fd == -EPERM) {
			return fd;
		}
		/* Anything else was one connection's bad luck (accept(2)). */
		if (r < 0)
			return r;
	}
}

static int run_listener(void *arg)
{
	return accept_all(arg);
}

static void close_listener(struct listener *listener)
{
	int fd = listener->fd;

	listener->fd = -1;
	if (fd >= 0)
		lsc_close(fd);
	if (listener->paused)
		lsc_cancel(listener->paused);
}

/* Where nobody accepts any more, nobody shall knock in vain. */
static void listener_end(struct future_waiter *waiter)
{
	struct listener *listener = container_of(waiter, struct listener, ended);
	struct lsc_server *server = listener->server;

	close_listener(listener);
	server->accepting--;
	wake_if_over(server);
	unref(server);
}

static const struct future_waiter_ops listener_waiter = {.wake = listener_end};

static int start_accepting(struct listener *listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	char name[NAME_SIZE] = "accept ";

	if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	address_text((struct sockaddr *)&address, size, name + strlen(name),
		     sizeof(name) - strlen(name));
	struct lsc_future *task =
		lsc_spawn_at(listener->server->site, run_listener, listener, name);
	if (!task)
		return -ENOMEM;
	listener->ended.ops = &listener_waiter;
	future_wait(task, &listener->ended);
	task->taken = true;
	lsc_unref(task);
	listener->server->accepting++;
	listener->server->refs++;
	return 0;
}

/* ---- listening ---- */

static struct lsc_server *server_new(struct lsc_site *site, unsigned count, lsc_client_fn fn,
				     void *arg, const struct lsc_server_options *options)
{
	struct lsc_server *server = calloc(1, sizeof(*server) + count * sizeof(struct listener));

	if (!server)
		return NULL;
	server->refs = 1;
	server->site = site;
	server->fn = fn;
	server->arg = arg;
	server->start = options->start;
	server->start_arg = options->start_arg;
	server->count = count;
	waitlist_init(&server->waiters);
	waitlist_init(&server->serving);
	for (unsigned i = 0; i < count; i++)
		server->listeners[i] = (struct listener){.server = server, .fd = -1};
	return server;
}

/* Begins to accept everywhere, and gives the server; or frees it. */
static int server_start(struct lsc_server *server, const struct lsc_server_options *options,
			struct lsc_server **ret)
{
	for (unsigned i = 0; i < server->count; i++) {
		int r = start_accepting(&server->listeners[i]);

		if (r < 0) {
			lsc_server_free(server);
			return r;
		}
	}
	server->release_arg = options->release_arg;
	*ret = server;
	return 0;
}

static int check_options(const struct lsc_server_options *given, struct lsc_server_options *ret)
{
	*ret = (struct lsc_server_options){.backlog = BACKLOG};
	if (!task_current())
		return -EPERM;
	if (!given)
		return 0;
	if (given->size < sizeof(*given))
		return -EINVAL;
	*ret = *given;
	if (given->backlog == 0)
		ret->backlog = BACKLOG;
	return 0;
}

/* A listening socket, or -errno. */
static int listen_at(const struct sockaddr *address, socklen_t size,
		     const struct lsc_server_options *options)
{
	int one = 1, fd = address_socket(address->sa_family, SOCK_STREAM, 0);

	if (fd < 0)
		return fd;
	bool ok = address->sa_family == AF_UNIX ||
		  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0;
	if (ok && options->reuse_port)
		ok = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0;
	/* Both families at the same port, as two sockets. */
	if (ok && address->sa_family == AF_INET6)
		ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0;
	if (ok && bind(fd, address, size) == 0 && listen(fd, (int)options->backlog) == 0)
		return fd;
	int r = -errno;
	lsc_close(fd);
	return r;
}

int lsc_start_server_at(struct lsc_site *site, const char *host, uint16_t port, lsc_client_fn fn,
			void *arg, const struct lsc_server_options *options,
			struct lsc_server **ret)
{
	struct lsc_server_options o;
	struct addrinfo *all;
	unsigned n = 0;

	int r = check_options(options, &o);
	if (r == 0)
		r = address_resolve(host, port, SOCK_STREAM, AI_PASSIVE, &all);
	if (r < 0)
		return r;
	for (const struct addrinfo *a = all; a && (port != 0 || n == 0); a = a->ai_next)
		n++;
	struct lsc_server *server = server_new(site, n, fn, arg, &o);
	if (!server)
		r = -ENOMEM;
	const struct addrinfo *a = all;
	for (unsigned i = 0; i < n && r == 0; i++, a = a->ai_next) {
		r = listen_at(a->ai_addr, a->ai_addrlen, &o);
		if (r >= 0) {
			server->listeners[i].fd = r;
			r = 0;
		}
	}
	freeaddrinfo(all);
	if (r < 0) {
		lsc_server_free(server);
		return r;
	}
	return server_start(server, &o, ret);
}

static void remove_socket(const char *path)
{
	struct stat st;

	if (path[0] != '@' && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

int lsc_start_unix_server_at(struct lsc_site *site, const char *path, lsc_client_fn fn, void *arg,
			     const struct lsc_server_options *options, struct lsc_server **ret)
{
	struct sockaddr_storage address;
	struct lsc_server_options o;
	socklen_t size;

	int r = check_options(options, &o);
	if (r == 0)
		r = address_unix(path, &address, &size);
	if (r < 0)
		return r;
	struct lsc_server *server = server_new(site, 1, fn, arg, &o);
	if (!server)
		return -ENOMEM;
	remove_socket(path);
	r = listen_at((struct sockaddr *)&address, size, &o);
	if (r >= 0) {
		server->listeners[0].fd = r;
		server->path = strdup(path);
		server->owner = getpid();
		r = server->path ? 0 : -ENOMEM;
	}
	if (r < 0) {
		lsc_server_free(server);
		return r;
	}
	return server_start(server, &o, ret);
}

int lsc_start_server_on_at(struct lsc_site *site, int fd, lsc_client_fn fn, void *arg,
			   struct lsc_server **ret)
{
	struct lsc_server_options o;

	int r = check_options(NULL, &o);
	if (r < 0)
		return r;
	struct lsc_server *server = server_new(site, 1, fn, arg, &o);
	if (!server)
		return -ENOMEM;
	server->listeners[0].fd = fd;
	r = start_accepting(&server->listeners[0]);
	if (r < 0) {
		server->listeners[0].fd = -1; /* stays the caller's */
		lsc_server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

/* ---- the server as an object ---- */

int lsc_server_address(const struct lsc_server *server, unsigned index,
		       struct sockaddr *ret_address, socklen_t *ret_size)
{
	if (index >= server->count)
		return -ENOENT;
	int fd = server->listeners[index].fd;
	return fd < 0 ? -EBADF : getsockname(fd, ret_address, ret_size) < 0 ? -errno : 0;
}

uint16_t lsc_server_port(const struct lsc_server *server)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (lsc_server_address(server, 0, (struct sockaddr *)&address, &size) < 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return 0;
}

size_t lsc_server_connections(const struct lsc_server *server)
{
	return server->connections;
}

void lsc_server_close(struct lsc_server *server)
{
	/* Without an accepting task the loop may be gone. */
	if (server->closed || (server->accepting > 0 && debug_is_foreign(server->waiters.loop)))
		return;
	server->closed = true;
	/* The accepting tasks end by that. */
	for (unsigned i = 0; i < server->count; i++)
		close_listener(&server->listeners[i]);
	if (server->path && server->owner == getpid())
		remove_socket(server->path);
	waitlist_wake_all(&server->serving, 0);
	wake_if_over(server);
}

int lsc_server_wait_closed(struct lsc_server *server)
{
	struct task *task = task_current();

	if (!task)
		return -EPERM;
	if (server->closed && server->connections == 0 && server->accepting == 0)
		return 0;
	server->refs++;
	int woken, r = waitlist_wait(&server->waiters, task, LSC_WAIT_GROUP, server->connections,
				     &woken);
	unref(server);
	return r;
}

static const int ends[] = {SIGINT, SIGTERM};

/* Who connected before the signal is accepted first: the task closes, when it is its turn. */
static void end_serving(int signo, void *arg)
{
	struct lsc_server *server = arg;

	(void)signo;
	waitlist_wake_all(&server->serving, 0);
}

static void remove_ends(size_t n)
{
	while (n > 0)
		lsc_signal_remove(ends[--n]);
}

int lsc_server_serve_forever(struct lsc_server *server)
{
	struct task *task = task_current();
	int woken, r = 0;

	if (!task)
		return -EPERM;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		r = signals_handled(ends[i]) ? -EBUSY
					     : lsc_signal_add(ends[i], end_serving, server);
		if (r < 0) {
			remove_ends(i);
			return r;
		}
	}
	server->refs++;
	if (!server->closed)
		r = waitlist_wait(&server->serving, task, LSC_WAIT_SIGNAL, 0, &woken);
	remove_ends(sizeof(ends) / sizeof(ends[0]));
	lsc_server_close(server);
	if (r == 0)
		r = lsc_yield(); /* the accepting tasks end, before main does */
	unref(server);
	return r;
}

struct lsc_server *lsc_server_free(struct lsc_server *server)
{
	if (!server)
		return NULL;
	lsc_server_close(server);
	unref(server);
	return NULL;
}
