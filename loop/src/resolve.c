/* SPDX-License-Identifier: MIT */
/* libc's resolver in a worker. What it works on is a copy, which the abandoned call of a cancelled
 * task keeps. */
#include "loopscope/resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loopscope/future.h"
#include "loopscope/thread.h"
#include "loop.h"

static int errno_of(int eai)
{
	switch (eai) {
	case 0:
		return 0;
	case EAI_SYSTEM:
		return errno > 0 ? -errno : -EIO;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_NONAME:
	case EAI_NODATA:
		return -ENOENT;
	case EAI_ADDRFAMILY:
		return -EAFNOSUPPORT;
	case EAI_OVERFLOW:
		return -ENOBUFS;
	case EAI_FAIL:
		return -EIO;
	default:
		return -EINVAL;
	}
}

/* Awaits the call, if it could be started. */
static int await_call(struct lsc_future *call)
{
	return call ? lsc_await(call) : -EAGAIN;
}

/* ---- addresses of a name ---- */

struct query {
	char *host; /* NULL, or in the same allocation */
	char *service;
	struct addrinfo hints;
	struct addrinfo *found;
	char text[];
};

static struct query *query_new(const char *host, const char *service, const struct addrinfo *hints)
{
	size_t host_size = host ? strlen(host) + 1 : 0;
	size_t service_size = service ? strlen(service) + 1 : 0;
	struct query *q = calloc(1, sizeof(*q) + host_size + service_size);

	if (!q)
		return NULL;
	if (host)
		q->host = memcpy(q->text, host, host_size);
	if (service)
		q->service = memcpy(q->text + host_size, service, service_size);
	if (hints)
		q->hints = (struct addrinfo){.ai_flags = hints->ai_flags,
					     .ai_family = hints->ai_family,
					     .ai_socktype = hints->ai_socktype,
					     .ai_protocol = hints->ai_protocol};
	return q;
}

static void query_free(void *arg)
{
	struct query *q = arg;

	if (q->found)
		freeaddrinfo(q->found);
	free(q);
}

static int ask(void *arg)
{
	struct query *q = arg;

	return errno_of(getaddrinfo(q->host, q->service, &q->hints, &q->found));
}

/* Without files or network. */
static int ask_numeric(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret)
{
	struct addrinfo numeric = hints ? *hints : (struct addrinfo){0};

	numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
	return errno_of(getaddrinfo(host, service, &numeric, ret));
}

int lsc_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		    struct addrinfo **ret)
{
	if (!task_current())
		return -EPERM;
	int r = ask_numeric(host, service, hints, ret);
	if (r != -ENOENT || (hints && (hints->ai_flags & AI_NUMERICHOST)))
		return r;
	struct query *q = query_new(host, service, hints);
	if (!q)
		return -ENOMEM;
	struct lsc_future *call = lsc_thread_start(ask, q, query_free);
	r = await_call(call);
	if (r == 0) {
		*ret = q->found;
		q->found = NULL;
	}
	if (!call)
		query_free(q);
	lsc_unref(call);
	return r;
}

/* ---- the name of an address ---- */

struct naming {
	struct sockaddr_storage address;
	socklen_t size;
	int flags;
	size_t host_size;
	size_t service_size;
	char host[NI_MAXHOST];
	char service[NI_MAXSERV];
};

static int name(void *arg)
{
	struct naming *n = arg;

	return errno_of(getnameinfo((struct sockaddr *)&n->address, n->size, n->host,
				    n->host_size ? sizeof(n->host) : 0, n->service,
				    n->service_size ? sizeof(n->service) : 0, n->flags));
}

static int copy(const char *from, char *to, size_t size)
{
	if (size == 0)
		return 0;
	if (strlen(from) >= size)
		return -ENOBUFS;
	strcpy(to, from);
	return 0;
}

int lsc_getnameinfo(const struct sockaddr *address, socklen_t size, char *ret_host,
		    size_t host_size, char *ret_service, size_t service_size, int flags)
{
	if (!task_current())
		return -EPERM;
	if (size > sizeof(struct sockaddr_storage))
		return -EINVAL;
	struct naming *n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	memcpy(&n->address, address, size);
	n->size = size;
	n->flags = flags;
	n->host_size = host_size;
	n->service_size = service_size;
	struct lsc_future *call = lsc_thread_start(name, n, free);
	int r = await_call(call);
	if (r == 0)
		r = copy(n->host, ret_host, host_size);
	if (r == 0)
		r = copy(n->service, ret_service, service_size);
	if (!call)
		free(n);
	lsc_unref(call);
	return r;
}
