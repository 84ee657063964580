/* SPDX-License-Identifier: MIT */
/* Addresses as people write them. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "fd.h"
#include "loopscope/resolve.h"
#include "loop.h"

void address_text(const struct sockaddr *address, socklen_t size, char *ret_text, size_t text_size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;
	char text[INET6_ADDRSTRLEN] = "?";

	switch (size >= sizeof(address->sa_family) ? address->sa_family : AF_UNSPEC) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(ret_text, text_size, "%s:%u", text, ntohs(in->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(ret_text, text_size, "[%s]:%u", text, ntohs(in6->sin6_port));
		break;
	case AF_UNIX: {
		size_t length = size - offsetof(struct sockaddr_un, sun_path);
		const char *path = un->sun_path;
		bool abstract = length > 0 && path[0] == '\0';

		path += abstract;
		length = strnlen(path, length - abstract);
		snprintf(ret_text, text_size, "unix:%s%.*s", abstract ? "@" : "", (int)length,
			 path);
		break;
	}
	default:
		snprintf(ret_text, text_size, "?");
	}
}

int address_unix(const char *path, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t length = strlen(path);

	if (length == 0)
		return -EINVAL;
	if (length >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, length);
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	if (path[0] == '@') {
		un.sun_path[0] = '\0';
		--*ret_size; /* its end is not marked by a NUL */
	}
	*ret = (struct sockaddr_storage){0};
	memcpy(ret, &un, sizeof(un));
	return 0;
}

int address_resolve(const char *host, uint16_t port, int socktype, int flags, struct addrinfo **ret)
{
	struct addrinfo hints = {.ai_socktype = socktype, .ai_flags = flags};
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	return lsc_getaddrinfo(host, service, &hints, ret);
}

int address_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -errno;
	fd_is_new(loop_thread, fd);
	return fd;
}
