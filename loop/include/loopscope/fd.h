/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors. */
#ifndef LOOPSCOPE_FD_H
#define LOOPSCOPE_FD_H

#include "loopscope/api.h"

LSC_BEGIN

/* Suspends the running task until fd is ready for events (POLLIN, POLLOUT of <poll.h>) or has an
 * error or hang-up. Returns the events that hold, POLLERR and POLLHUP included; -EINVAL for no
 * events, -EBADF, -EPERM outside of tasks and for a file that is always ready (see epoll_ctl(2)),
 * -ENOMEM, -ECANCELED. Several tasks may wait for one descriptor. A descriptor that a task may
 * wait for is closed with lsc_close() (io.h): the wait then ends with -EBADF, where after close(2)
 * the kernel would forget it silently. */
LSC_API int lsc_wait_fd(int fd, uint32_t events);

LSC_END

#endif
