/* SPDX-License-Identifier: MIT */
/*
 * The one process that opens things of a target. Each open may hang for ever (FUSE): the collector
 * has the broker killed then. Files are found as O_PATH first, so that a FIFO or a device is looked
 * at without being opened; paths are the target's, so they resolve below its own root.
 */
#include "inspect/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/maps.h"
#include "inspect/message.h"
#include "inspect/roots.h"
#include "inspect/sidefile.h"

#define FILE_SIZE_MAX (4ll << 30)

struct handover {
	int worker;
	uint32_t maps;
};

int broker_reopen(int path_fd, off_t size_max)
{
	char name[64];
	struct stat st;

	if (fstat(path_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENXIO;
	if (st.st_size > size_max)
		return -EFBIG;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int open_by_path(int root, const struct message_piece *f, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	struct stat st;

	if (path[0] != '/')
		return -ENOENT;
	lsc_autoclose int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != f->inode || st.st_dev != f->dev)
		return -ESTALE;
	return broker_reopen(fd, FILE_SIZE_MAX);
}

/* Deleted and replaced files, and file systems that show another device number in maps. */
static int open_by_map(int dir, const struct message_piece *f)
{
	char name[64];

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, f->start, f->end);
	lsc_autoclose int fd = openat(dir, name, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : broker_reopen(fd, FILE_SIZE_MAX);
}

static int send_map(const struct maps_entry *e, void *arg)
{
	struct handover *h = arg;
	struct message_map m = {.kind = MESSAGE_MAP,
				.start = e->start,
				.end = e->end,
				.offset = e->offset,
				.dev = makedev(e->major, e->minor),
				.inode = e->inode};
	const char *path = e->inode ? e->path : "";

	if (!e->exec)
		return 0;
	if (h->maps >= MESSAGE_MAPS_MAX)
		return 1;
	if (!e->inode && strcmp(e->path, "[vdso]") == 0) {
		m.flags |= MESSAGE_MAP_VDSO;
		path = e->path;
	} else if (e->inode) {
		m.flags |= MESSAGE_MAP_FILE;
	}
	h->maps++;
	size_t len = strnlen(path, MESSAGE_TEXT_MAX - 1);
	return message_send(h->worker, &m, sizeof(m), path, len, NULL, 0, 0);
}

/* Opens dir/maps when it holds anything; else -errno. */
static int open_maps(int dir)
{
	char byte;
	lsc_autoclose int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = pread(fd, &byte, 1, 0);
	if (n != 1)
		return n < 0 ? -errno : -ESRCH;
	int taken = fd;
	fd = -1;
	return taken;
}

/* Gives the /proc directory of the process, or of the thread when the thread group's leader has
 * ended before the others and has no maps any more. */
static int open_target(int pid, int tid, int *ret_maps)
{
	char name[64];
	int maps = -ESRCH;

	for (int i = 0; i < 2 && maps == -ESRCH; i++) {
		if (i == 0)
			snprintf(name, sizeof(name), "/proc/%d", pid);
		else
			snprintf(name, sizeof(name), "/proc/%d/task/%d", pid, tid);
		int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return -errno;
		maps = open_maps(dir);
		if (maps >= 0) {
			*ret_maps = maps;
			return dir;
		}
		close(dir);
	}
	return maps;
}

static int hand_over(const struct message_open *open_msg, int worker)
{
	lsc_autoclose int maps = -1;
	lsc_autoclose int dir = open_target(open_msg->pid, open_msg->tid, &maps);
	if (dir < 0)
		return dir;
	/* Without it (an unprivileged reader) the stack copy alone must do. */
	lsc_autoclose int mem = openat(dir, "mem", O_RDONLY | O_CLOEXEC);

	struct message_open target = *open_msg;
	target.kind = MESSAGE_TARGET;
	int r = message_send(worker, &target, sizeof(target), NULL, 0, &mem, mem >= 0, 0);
	if (r < 0)
		return r;
	struct handover h = {.worker = worker};
	r = maps_each(maps, send_map, &h);
	return r < 0 ? r : h.maps ? 0 : -ESRCH;
}

/* The directory of a process that has ended is not there, nor are its mappings. */
static int open_file(const struct message_file *m, const char *path)
{
	lsc_autoclose int maps = -1;
	lsc_autoclose int dir = open_target(m->pid, m->tid, &maps);
	int root = dir < 0 ? roots_find(m->pid) : roots_open(m->pid, dir);
	int fd = root >= 0 ? open_by_path(root, &m->file, path) : dir < 0 ? dir : root;

	return fd < 0 && dir >= 0 ? open_by_map(dir, &m->file) : fd;
}

/* An index has a place of its own, which whoever writes it cannot take for anything else. */
static int serve_file(struct message_file *m, size_t size, int worker)
{
	char path[MESSAGE_TEXT_MAX] = "";
	size_t offsets = m->noffsets * sizeof(uint64_t), tail = size - sizeof(*m);

	if (size < sizeof(*m) || m->noffsets > MESSAGE_OFFSETS_MAX || tail < offsets)
		return -EPIPE;
	size_t len = tail - offsets;
	memcpy(path, (const char *)(m + 1) + offsets, len < sizeof(path) ? len : sizeof(path) - 1);
	lsc_autoclose int room = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	lsc_autoclose int file = -1;
	m->status = room < 0 ? -errno : 0;
	if (m->status == 0 && m->file.inode) {
		file = open_file(m, path);
		m->status = file < 0 ? file : 0;
	}
	int fds[2] = {room, file};
	return message_send(worker, m, size, NULL, 0, fds,
			    m->status < 0   ? 0
			    : m->file.inode ? 2
					    : 1,
			    0);
}

/* Without it files that are first met when the target has ended have no names. */
static void keep_root(const struct message_open *m)
{
	lsc_autoclose int maps = -1;
	lsc_autoclose int dir = open_target(m->pid, m->tid, &maps);

	if (dir >= 0)
		roots_open(m->pid, dir);
}

/* Serves one packet of either. -errno: the end. */
static int serve_collector(int collector, int *worker)
{
	union {
		uint32_t kind;
		struct message_open open;
		struct message_file file;
		char bytes[sizeof(struct message_file) + MESSAGE_OFFSETS_MAX * sizeof(uint64_t) +
			   MESSAGE_TEXT_MAX];
	} m;
	int fd;
	ssize_t n = message_recv(collector, &m, sizeof(m), &fd, 1, 0);

	if (n == sizeof(struct message_status) && m.kind == MESSAGE_MATE && fd >= 0) {
		lsc_closep(worker);
		*worker = fd;
		return 0;
	}
	lsc_closep(&fd);
	if (n >= (ssize_t)sizeof(m.file) && m.kind == MESSAGE_FILE)
		return serve_file(&m.file, (size_t)n, *worker);
	if (n == sizeof(m.open) && m.kind == MESSAGE_ROOT) {
		keep_root(&m.open);
		return 0;
	}
	if (n != sizeof(m.open) || m.kind != MESSAGE_OPEN)
		return -EPIPE;
	struct message_status end = {.kind = MESSAGE_MAPS_END,
				     .value = hand_over(&m.open, *worker)};
	return message_send(*worker, &end, sizeof(end), NULL, 0, NULL, 0, 0);
}

static int serve_worker(int worker)
{
	struct {
		struct message_sidefile m;
		char text[2 * MESSAGE_TEXT_MAX];
	} in;
	ssize_t n = message_recv(worker, &in, sizeof(in), NULL, 0, 0);

	if (n < (ssize_t)sizeof(in.m) || in.m.kind != MESSAGE_SIDEFILE)
		return -EPIPE;
	lsc_autoclose int fd = sidefile_open(&in.m, in.text, (size_t)n - sizeof(in.m));
	struct message_status status = {.kind = MESSAGE_SIDEFILE, .value = fd < 0 ? fd : 0};
	return message_send(worker, &status, sizeof(status), NULL, 0, &fd, fd >= 0, 0);
}

void broker_run(int collector, int worker)
{
	struct pollfd p[2] = {{.fd = collector, .events = POLLIN},
			      {.fd = worker, .events = POLLIN}};

	for (;;) {
		if (poll(p, 2, -1) < 0) {
			if (errno != EINTR)
				return;
			continue;
		}
		int before = worker;
		if (p[0].revents && serve_collector(collector, &worker) < 0)
			return;
		if (worker != before) {
			p[1].fd = worker;
			continue;
		}
		/* its end is for the collector to see, which knows what it was at */
		if (p[1].revents && serve_worker(worker) < 0)
			p[1].fd = -1;
	}
}
