/* SPDX-License-Identifier: MIT */
/* What the linker puts in place of the library's calls (ld --wrap). */
#include "wrap.h"

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

static unsigned left;
static bool failed;

void wrap_fail_at(unsigned nth)
{
	left = nth;
	failed = false;
}

bool wrap_has_failed(void)
{
	return failed;
}

static bool fails_now(void)
{
	if (left == 0 || --left > 0)
		return false;
	errno = ENOMEM;
	failed = true;
	return true;
}

#define WRAP(type, failure, name, parameters, arguments)                                           \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fails_now() ? (failure) : __real_##name arguments;                          \
	}

WRAP(void *, NULL, malloc, (size_t n), (n))
WRAP(void *, NULL, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, NULL, realloc, (void *p, size_t n), (p, n))
WRAP(void *, (void *)-1, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t at),
     (p, n, prot, flags, fd, at))
WRAP(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(int, -1, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
WRAP(int, -1, epoll_create1, (int flags), (flags))
WRAP(int, -1, epoll_ctl, (int efd, int op, int fd, void *event), (efd, op, fd, event))
WRAP(int, -1, eventfd, (unsigned value, int flags), (value, flags))
