/* SPDX-License-Identifier: MIT */
/* Socket addresses from text, and back. */
#ifndef LSC_LOOP_ADDRESS_H
#define LSC_LOOP_ADDRESS_H

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* "ADDRESS:PORT", "[ADDRESS]:PORT" or "unix:PATH", NUL-terminated; cut to size. */
void address_text(const struct sockaddr *address, socklen_t size, char *ret_text, size_t text_size);

/* A Unix address; '@' begins a name of the abstract namespace. 0, -EINVAL (empty), -ENAMETOOLONG.
 */
int address_unix(const char *path, struct sockaddr_storage *ret, socklen_t *ret_size);

/* lsc_getaddrinfo() for a port. */
int address_resolve(const char *host, uint16_t port, int socktype, int flags,
		    struct addrinfo **ret);

/* A new non-blocking, close-on-exec socket that the loop knows to be new, or -errno. */
int address_socket(int family, int type, int protocol);

#endif
