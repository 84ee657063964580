/* SPDX-License-Identifier: MIT */
/* What the linker puts in place of the library's calls (ld --wrap). */
#include "wrap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/types.h>

#include "backend.h"

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
WRAP(char *, NULL, strdup, (const char *text), (text))
WRAP(void *, (void *)-1, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t at),
     (p, n, prot, flags, fd, at))
WRAP(int, -1, madvise, (void *p, size_t n, int advice), (p, n, advice))
WRAP(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(int, -1, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
WRAP(int, -1, epoll_create1, (int flags), (flags))
WRAP(int, -1, epoll_ctl, (int efd, int op, int fd, void *event), (efd, op, fd, event))
WRAP(int, -1, timerfd_create, (int clock, int flags), (clock, flags))
WRAP(int, -1, eventfd, (unsigned value, int flags), (value, flags))
WRAP(int, -1, socket, (int family, int type, int protocol), (family, type, protocol))
WRAP(int, -1, pipe2, (int *ret, int flags), (ret, flags))
WRAP(int, -1, sigaltstack, (const stack_t *stack, stack_t *old), (stack, old))
WRAP(int, EAGAIN, pthread_create,
     (pthread_t * ret, const pthread_attr_t *attributes, void *(*fn)(void *), void *arg),
     (ret, attributes, fn, arg))
WRAP(int, ENOMEM, pthread_atfork,
     (void (*before)(void), void (*in_parent)(void), void (*in_child)(void)),
     (before, in_parent, in_child))
WRAP(int, ENOMEM, posix_spawn_file_actions_init, (posix_spawn_file_actions_t * actions), (actions))
WRAP(int, ENOMEM, posix_spawn_file_actions_adddup2,
     (posix_spawn_file_actions_t * actions, int fd, int number), (actions, fd, number))
WRAP(int, ENOMEM, posix_spawnattr_init, (posix_spawnattr_t * attributes), (attributes))
WRAP(int, ENOMEM, posix_spawnp,
     (pid_t * ret, const char *file, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const argv[], char *const env[]),
     (ret, file, actions, attributes, argv, env))
/* The library's own: an entry for a request, which the kernel has no memory for. */
#ifdef LSC_HAVE_URING
struct uring;
WRAP(void *, NULL, uring_sqe, (struct uring * ring), (ring))
#endif
