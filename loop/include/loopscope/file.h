/* SPDX-License-Identifier: MIT */
/*
 * Operations on files, for tasks. What reads and writes the disk takes as long as it takes; a
 * thread does it (thread.h), or the kernel's own where the loop waits by io_uring, and other tasks
 * run meanwhile. They mean what the system calls of the same name mean; results are theirs, errors
 * are -errno, and besides -EPERM outside of tasks, -ENOMEM, and -EAGAIN when no thread can be had.
 *
 * A cancelled task: an operation that has not begun never happens (-ECANCELED). One that has begun
 * is waited for unless the kernel can break it off; where it was done the task gets its result, and
 * the next call that suspends gets -ECANCELED. So what was opened or written is always known.
 *
 * lsc_read() and lsc_write() (io.h) read and write at the file's own position. Do not close a
 * descriptor on which an operation is under way.
 */
#ifndef LOOPSCOPE_FILE_H
#define LOOPSCOPE_FILE_H

#include <sys/types.h>

#include "loopscope/api.h"

LSC_BEGIN

struct statx; /* of <sys/stat.h> */

/* open(2), with O_CLOEXEC, O_NOCTTY and O_NONBLOCK: a FIFO is opened without waiting for its other
 * end (-ENXIO to write where nobody reads; lsc_wait_fd(fd, POLLIN) waits for who writes). The
 * descriptor is for lsc_close(). */
LSC_API int lsc_open(const char *path, int flags, mode_t mode);

/* pread(2) and pwrite(2): up to size bytes at offset. -EINVAL for a negative one. */
LSC_API ssize_t lsc_pread(int fd, void *buffer, size_t size, off_t offset);
LSC_API ssize_t lsc_pwrite(int fd, const void *data, size_t size, off_t offset);

/* fsync(2) and fdatasync(2). 0; errors are those named above, and the system calls' own. */
LSC_API int lsc_fsync(int fd);
LSC_API int lsc_fdatasync(int fd);

/* statx(2): directory is a descriptor or AT_FDCWD, *ret is written on
 * success. 0; errors are those named above, and the system call's own. */
LSC_API int lsc_statx(int directory, const char *path, int flags, unsigned mask, struct statx *ret);

LSC_END

#endif
