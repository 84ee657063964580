/* SPDX-License-Identifier: MIT */
/* Operations on files, by the kernel's own threads or by ours. */
#include "loopscope/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "loop.h"
#include "pool.h"
#include "task.h"

/* In a worker thread. */
static int run(void *arg)
{
	const struct backend_op *op = arg;
	ssize_t n = -1;

	switch (op->code) {
	case BACKEND_READ:
		n = op->offset < 0 ? read(op->fd, op->buffer, op->size)
				   : pread(op->fd, op->buffer, op->size, op->offset);
		break;
	case BACKEND_WRITE:
		n = op->offset < 0 ? write(op->fd, op->buffer, op->size)
				   : pwrite(op->fd, op->buffer, op->size, op->offset);
		break;
	case BACKEND_OPEN:
		n = open(op->path, (int)op->flags, (mode_t)op->size);
		break;
	case BACKEND_FSYNC:
		n = fsync(op->fd);
		break;
	case BACKEND_FDATASYNC:
		n = fdatasync(op->fd);
		break;
	case BACKEND_STATX:
		n = statx(op->fd, op->path, (int)op->flags, (unsigned)op->size, op->buffer);
		break;
	default:
		errno = EINVAL;
	}
	return n < 0 ? -errno : (int)n;
}

int file_do(struct lsc_loop *loop, struct fd_entry *entry, struct backend_op *op)
{
	int r;

	if ((op->code == BACKEND_READ || op->code == BACKEND_WRITE) && op->size > INT_MAX)
		op->size = INT_MAX & ~4095;
	/* Broken off by a request to cancel: that is met by the next attempt. */
	do
		r = loop->backend->submit ? fd_transfer(loop, entry, op) : pool_call(loop, run, op);
	while (r == -EINTR);
	return r;
}

/* What has no positions is refused here: io_uring would wait for its data. */
static int check_positions(struct fd_entry *entry, int fd)
{
	int r = fd_learn_kind(entry, fd);

	if (r == 0 && entry->kind != FD_FILE && lseek(fd, 0, SEEK_CUR) < 0)
		r = -errno;
	return r;
}

static int do_at(struct backend_op *op)
{
	struct task *task = task_current();
	struct fd_entry *entry;

	if (!task)
		return -EPERM;
	int r = fd_entry_get(task->future.loop, op->fd, &entry);
	if (r == 0 && (op->code == BACKEND_READ || op->code == BACKEND_WRITE))
		r = check_positions(entry, op->fd);
	return r < 0 ? r : file_do(task->future.loop, entry, op);
}

ssize_t lsc_pread(int fd, void *buffer, size_t size, off_t offset)
{
	struct backend_op op = {
		.code = BACKEND_READ, .fd = fd, .buffer = buffer, .size = size, .offset = offset};

	return offset < 0 ? -EINVAL : do_at(&op);
}

ssize_t lsc_pwrite(int fd, const void *data, size_t size, off_t offset)
{
	struct backend_op op = {.code = BACKEND_WRITE,
				.fd = fd,
				.buffer = (void *)(uintptr_t)data,
				.size = size,
				.offset = offset};

	return offset < 0 ? -EINVAL : do_at(&op);
}

int lsc_fsync(int fd)
{
	return do_at(&(struct backend_op){.code = BACKEND_FSYNC, .fd = fd});
}

int lsc_fdatasync(int fd)
{
	return do_at(&(struct backend_op){.code = BACKEND_FDATASYNC, .fd = fd});
}

/* ---- by path ---- */

static int do_by_path(struct backend_op *op)
{
	struct task *task = task_current();

	return task ? file_do(task->future.loop, NULL, op) : -EPERM;
}

int lsc_open(const char *path, int flags, mode_t mode)
{
	struct backend_op op = {.code = BACKEND_OPEN,
				.fd = AT_FDCWD,
				.path = path,
				.flags = (uint32_t)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
				.size = mode};
	int fd = do_by_path(&op);

	if (fd >= 0)
		fd_is_new(lsc_loop_current(), fd);
	return fd;
}

int lsc_statx(int directory, const char *path, int flags, unsigned mask, struct statx *ret)
{
	struct statx found;
	struct backend_op op = {.code = BACKEND_STATX,
				.fd = directory,
				.path = path,
				.flags = (uint32_t)flags,
				.buffer = &found,
				.size = mask};
	int r = do_by_path(&op);

	if (r == 0)
		*ret = found;
	return r;
}
