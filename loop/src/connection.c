/* SPDX-License-Identifier: MIT */
/* Client ends. */
#include "loopscope/connection.h"

#include <errno.h>

#include "address.h"
#include "loopscope/io.h"
#include "loopscope/stream.h"
#include "loop.h"

static int connect_to(const struct sockaddr *address, socklen_t size, struct lsc_stream **ret)
{
	int fd = address_socket(address->sa_family, SOCK_STREAM, 0);

	if (fd < 0)
		return fd;
	int r = lsc_connect(fd, address, size);
	if (r == 0)
		r = lsc_stream_open(fd, ret);
	if (r < 0)
		lsc_close(fd);
	return r;
}

int lsc_open_connection(const char *host, uint16_t port, struct lsc_stream **ret)
{
	struct addrinfo *all;
	int r = address_resolve(host, port, SOCK_STREAM, 0, &all);

	if (r < 0)
		return r;
	r = -ENOENT;
	for (const struct addrinfo *a = all; a && r < 0 && r != -ECANCELED; a = a->ai_next)
		r = connect_to(a->ai_addr, a->ai_addrlen, ret);
	freeaddrinfo(all);
	return r;
}

int lsc_open_unix_connection(const char *path, struct lsc_stream **ret)
{
	struct sockaddr_storage address;
	socklen_t size;

	if (!task_current())
		return -EPERM;
	int r = address_unix(path, &address, &size);
	return r < 0 ? r : connect_to((struct sockaddr *)&address, size, ret);
}

/* The first address of the list for which it works. */
static int open_udp(const struct addrinfo *local, const struct addrinfo *remote)
{
	int fd = address_socket(local->ai_family, SOCK_DGRAM, 0), r = 0;

	if (fd < 0)
		return fd;
	if (bind(fd, local->ai_addr, local->ai_addrlen) < 0)
		r = -errno;
	if (r == 0 && remote && connect(fd, remote->ai_addr, remote->ai_addrlen) < 0)
		r = -errno;
	if (r < 0)
		lsc_close(fd);
	return r < 0 ? r : fd;
}

int lsc_open_udp(const char *local_host, uint16_t local_port, const char *remote_host,
		 uint16_t remote_port)
{
	struct addrinfo *locals, *remotes = NULL;
	int r = address_resolve(local_host, local_port, SOCK_DGRAM, AI_PASSIVE, &locals);

	if (r < 0)
		return r;
	if (remote_host)
		r = address_resolve(remote_host, remote_port, SOCK_DGRAM, 0, &remotes);
	int fd = r < 0 ? r : -EAFNOSUPPORT;
	for (const struct addrinfo *a = locals; a && r == 0 && fd < 0; a = a->ai_next) {
		const struct addrinfo *b = remotes;

		while (b && b->ai_family != a->ai_family)
			b = b->ai_next;
		if (b || !remotes)
			fd = open_udp(a, b);
	}
	freeaddrinfo(locals);
	if (remotes)
		freeaddrinfo(remotes);
	return fd;
}
