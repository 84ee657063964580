/* SPDX-License-Identifier: MIT */
/* Writing without SIGPIPE where the system call has no flag for it. */
#ifndef LSC_LOOP_QUIET_H
#define LSC_LOOP_QUIET_H

#include <sys/types.h>

/* write(2) and sendfile(2), errno included, but for the signal that EPIPE brings. */
ssize_t quiet_write(int fd, const void *data, size_t size);
ssize_t quiet_sendfile(int fd, int file, off_t *offset, size_t size);

#endif
