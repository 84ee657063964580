/* SPDX-License-Identifier: MIT */
/* Connections as streams, and UDP endpoints. Unix paths that begin with '@' name the abstract
 * namespace. */
#ifndef LOOPSCOPE_CONNECTION_H
#define LOOPSCOPE_CONNECTION_H

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_stream;

/* Connects by TCP to host (a name or an address; NULL: this host), and gives *ret. The addresses of
 * a name are tried in the resolver's order. What lsc_getaddrinfo() and, for the last address,
 * lsc_connect() say; suspends. */
LSC_API int lsc_open_connection(const char *host, uint16_t port, struct lsc_stream **ret);

/* Connects to a Unix socket. -ENAMETOOLONG; -EAGAIN: its backlog is full; -ENOENT, -ECONNREFUSED,
 * ... */
LSC_API int lsc_open_unix_connection(const char *path, struct lsc_stream **ret);

/* A UDP socket, bound to local_host:local_port (NULL: any address; 0: any port) and, where
 * remote_host is not NULL, connected to a peer. Returns its descriptor, non-blocking and
 * close-on-exec: for lsc_recvfrom(), lsc_sendto(), lsc_recv(), lsc_send() and, at the end,
 * lsc_close(). Errors as above, or of bind(2). Suspends for names. */
LSC_API int lsc_open_udp(const char *local_host, uint16_t local_port, const char *remote_host,
			 uint16_t remote_port);

LSC_END

#endif
