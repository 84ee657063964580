/* SPDX-License-Identifier: MIT */
/* Names and addresses. The resolver of libc blocks, so it runs in a worker thread (thread.h); a
 * cancelled task does not wait for it. */
#ifndef LOOPSCOPE_RESOLVE_H
#define LOOPSCOPE_RESOLVE_H

#include <netdb.h>

#include "loopscope/api.h"

LSC_BEGIN

/* getaddrinfo(3): host and service (borrowed, either may be NULL) to addresses. Gives *ret, for
 * freeaddrinfo(). Numeric hosts and services are answered at once, without suspending. 0; -ENOENT:
 * no such name; -EAGAIN: the resolver cannot say now, or there is no thread; -EIO: it failed for
 * good; -EINVAL: a service or hints that do not fit; -EPERM, -ECANCELED, -ENOMEM, or what the
 * system said. */
LSC_API int lsc_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
			    struct addrinfo **ret);

/* getnameinfo(3): the name of an address, NUL-terminated, and its service; either buffer may be
 * NULL with size 0. Errors as above; -ENOBUFS: a buffer is too small. */
LSC_API int lsc_getnameinfo(const struct sockaddr *address, socklen_t size, char *ret_host,
			    size_t host_size, char *ret_service, size_t service_size, int flags);

LSC_END

#endif
