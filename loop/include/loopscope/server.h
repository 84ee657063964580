/* SPDX-License-Identifier: MIT */
/*
 * Servers of streams: each connection gets a task of its own, named after the peer and spawned
 * where the server was started, that runs the handler. In the meaning of asyncio.start_server().
 */
#ifndef LOOPSCOPE_SERVER_H
#define LOOPSCOPE_SERVER_H

#include <sys/socket.h>

#include "loopscope/api.h"
#include "loopscope/task.h"

LSC_BEGIN

struct lsc_server;
struct lsc_stream;

/* Serves one connection, as the body of a task. Borrows the stream, which is closed and freed when
 * the handler returns; what it returns is the task's result. */
typedef int (*lsc_client_fn)(struct lsc_stream *stream, void *arg);

struct lsc_server_options {
	uint32_t size;	  /* sizeof(struct lsc_server_options), so that fields can be added */
	uint32_t backlog; /* of listen(2); 0 means 100 */
	int reuse_port;	  /* nonzero: SO_REUSEPORT, for several processes on one port */
	/* What each connection's task does first (TLS, say); may suspend. A negative result ends
	 * the connection. NULL: nothing. */
	int (*start)(struct lsc_stream *stream, void *start_arg);
	void *start_arg; /* borrowed, until release_arg(start_arg) */
	/* The server and its connections are gone; not called when no server was given. NULL:
	 * nothing. */
	void (*release_arg)(void *start_arg);
};

/* Listens on every address of host (a name or an address; NULL: all of this machine) and port (0:
 * any; then of the first address alone), and serves what connects, with fn(stream, arg). options
 * (borrowed) may be NULL. Gives *ret. Where the process is out of descriptors, accepting pauses for
 * a second, as in asyncio; a mark in the record says so. -EPERM outside of tasks, -EINVAL for
 * options of another size, what lsc_getaddrinfo() says, -EADDRINUSE, -EACCES and the like, -ENOMEM.
 * Suspends for names. */
#define lsc_start_server(host, port, fn, arg, options, ret)                                        \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = LSC_SITE_HERE_;                                 \
		lsc_start_server_at(&lsc_site_, (host), (port), (fn), (arg), (options), (ret));    \
	}))

/* The same for bindings that make their own sites, as lsc_spawn_at(). */
LSC_API int lsc_start_server_at(struct lsc_site *site, const char *host, uint16_t port,
				lsc_client_fn fn, void *arg,
				const struct lsc_server_options *options, struct lsc_server **ret);

/* The same on a Unix socket; '@' begins an abstract name. A socket that lies at path is removed
 * before, and ours when the server closes. -ENAMETOOLONG. */
#define lsc_start_unix_server(path, fn, arg, options, ret)                                         \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = LSC_SITE_HERE_;                                 \
		lsc_start_unix_server_at(&lsc_site_, (path), (fn), (arg), (options), (ret));       \
	}))

/* The same for bindings that make their own sites. */
LSC_API int lsc_start_unix_server_at(struct lsc_site *site, const char *path, lsc_client_fn fn,
				     void *arg, const struct lsc_server_options *options,
				     struct lsc_server **ret);

/* The same on a socket that listens already (of systemd, say), which it takes on success. */
#define lsc_start_server_on(fd, fn, arg, ret)                                                      \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = LSC_SITE_HERE_;                                 \
		lsc_start_server_on_at(&lsc_site_, (fd), (fn), (arg), (ret));                      \
	}))

/* The same for bindings that make their own sites. */
LSC_API int lsc_start_server_on_at(struct lsc_site *site, int fd, lsc_client_fn fn, void *arg,
				   struct lsc_server **ret);

/* The address of its listening socket number index, counted from 0, as getsockname(2) gives it.
 * -ENOENT when there are not so many; -EBADF when it is closed. */
LSC_API int lsc_server_address(const struct lsc_server *server, unsigned index,
			       struct sockaddr *ret_address, socklen_t *ret_size);

/* The port of the first one, or 0 where it has none (a Unix socket). Never fails. */
LSC_API uint16_t lsc_server_port(const struct lsc_server *server);

/* Connections that are served now. Never fails. */
LSC_API size_t lsc_server_connections(const struct lsc_server *server);

/* Serves until SIGINT or SIGTERM comes, or somebody closes the server; then it is closed. Suspends;
 * connections go on. 0; -ECANCELED, which closes it too; -EBUSY when a loop handles one of these
 * signals already, -EPERM: then it goes on serving. */
LSC_API int lsc_server_serve_forever(struct lsc_server *server);

/* Stops listening. Connections go on. Does not suspend. Never fails. */
LSC_API void lsc_server_close(struct lsc_server *server);

/* Suspends until the server is closed and its last connection has ended. 0, -EPERM, -ECANCELED. */
LSC_API int lsc_server_wait_closed(struct lsc_server *server);

/* Takes the server (NULL is allowed): closes it. Connections go on. Returns NULL. */
LSC_API struct lsc_server *lsc_server_free(struct lsc_server *server);

LSC_END

#endif
