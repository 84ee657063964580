/* SPDX-License-Identifier: MIT */
/*
 * stalled_file LATE PATH COMMAND...: runs a command that finds the file PATH on a FUSE whose daemon
 * answers everything; but what anybody else than the command reads of it, it never answers, or with
 * LATE the first time so many ms late and then at once. Only the command's mount namespace has
 * that, and the daemon ends with the command.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_BYTES (1 << 17)

static struct {
	int device, content;
	pid_t command;
	struct stat st;
	int late_ms; /* 0: never; -1: not any more */
} daemon_of;

/* The read that is answered late. */
static struct {
	struct fuse_in_header in;
	struct fuse_read_in read;
	bool waits;
	struct timespec at;
} late;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(77);
}

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + size), .error = error, .unique = in->unique};
	struct iovec parts[] = {{&out, sizeof(out)}, {(void *)data, size}};

	/* a request that was given up meanwhile wants no answer */
	must(writev(daemon_of.device, parts, 2) >= 0 || errno == ENOENT, "/dev/fuse");
}

static void answer_attributes(const struct fuse_in_header *in)
{
	struct fuse_attr_out out = {.attr = {.ino = FUSE_ROOT_ID,
					     .size = (uint64_t)daemon_of.st.st_size,
					     .mode = S_IFREG | 0755,
					     .nlink = 1,
					     .blksize = 4096}};

	answer(in, 0, &out, sizeof(out));
}

static void answer_content(const struct fuse_in_header *in, const struct fuse_read_in *read)
{
	static char content[REQUEST_BYTES];
	size_t size = read->size < sizeof(content) ? read->size : sizeof(content);
	ssize_t n = pread(daemon_of.content, content, size, (off_t)read->offset);

	answer(in, n < 0 ? -errno : 0, content, n < 0 ? 0 : (size_t)n);
}

static void answer_read(const struct fuse_in_header *in, const struct fuse_read_in *read)
{
	if ((pid_t)in->pid == daemon_of.command || daemon_of.late_ms < 0) {
		answer_content(in, read);
		return;
	}
	if (!daemon_of.late_ms || late.waits)
		return;
	late.in = *in;
	late.read = *read;
	late.waits = true;
	clock_gettime(CLOCK_MONOTONIC, &late.at);
}

/* How long until the read is to be answered; -1: none is. */
static int late_left(void)
{
	struct timespec now;

	if (!late.waits)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long passed =
		(now.tv_sec - late.at.tv_sec) * 1000 + (now.tv_nsec - late.at.tv_nsec) / 1000000;
	return passed < daemon_of.late_ms ? (int)(daemon_of.late_ms - passed) : 0;
}

static void serve(const struct fuse_in_header *in)
{
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
	const struct fuse_open_out opened = {.open_flags = FOPEN_DIRECT_IO};

	switch (in->opcode) {
	case FUSE_INIT:
		answer(in, 0, &init, sizeof(init));
		break;
	case FUSE_GETATTR:
		answer_attributes(in);
		break;
	case FUSE_OPEN:
		answer(in, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		answer_read(in, (const struct fuse_read_in *)(in + 1));
		break;
	case FUSE_INTERRUPT:
	case FUSE_FORGET:
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(in, 0, NULL, 0);
		break;
	default:
		answer(in, -ENOSYS, NULL, 0);
	}
}

static _Noreturn void run_daemon(void)
{
	static union {
		struct fuse_in_header in;
		char bytes[REQUEST_BYTES];
	} request;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == daemon_of.command) {
		struct pollfd p = {.fd = daemon_of.device, .events = POLLIN};
		int ready = poll(&p, 1, late_left());
		if (ready == 0 && late_left() == 0) {
			late.waits = false;
			daemon_of.late_ms = -1;
			answer_content(&late.in, &late.read);
		}
		if (ready <= 0)
			continue;
		ssize_t n = read(daemon_of.device, &request, sizeof(request));
		if (n < (ssize_t)sizeof(request.in) && errno != EINTR && errno != ENOENT)
			break;
		if (n >= (ssize_t)sizeof(request.in))
			serve(&request.in);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	char options[128];

	if (argc < 4)
		return 2;
	daemon_of.late_ms = atoi(*++argv);
	daemon_of.content = open(argv[1], O_RDONLY | O_CLOEXEC);
	must(daemon_of.content >= 0 && fstat(daemon_of.content, &daemon_of.st) == 0, argv[1]);
	daemon_of.device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	must(daemon_of.device >= 0, "/dev/fuse");
	must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "a mount namespace");
	snprintf(options, sizeof(options), "fd=%d,rootmode=100755,user_id=0,group_id=0,allow_other",
		 daemon_of.device);
	must(mount("stalled_file", argv[1], "fuse", 0, options) == 0, "a FUSE");
	daemon_of.command = getpid();
	pid_t pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0)
		run_daemon();
	execvp(argv[2], argv + 2);
	must(0, argv[2]);
}
