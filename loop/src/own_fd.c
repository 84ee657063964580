/* SPDX-License-Identifier: MIT */
/* Descriptors above the standard ones. */
#include "own_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int own_fd_copy(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	return copy < 0 ? -errno : copy;
}

int own_fd(int fd)
{
	if (fd < 0)
		return -errno;
	if (fd > STDERR_FILENO)
		return fd;
	int r = own_fd_copy(fd);
	close(fd);
	return r;
}
