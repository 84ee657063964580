/* SPDX-License-Identifier: MIT */
/* Starts and ends crews. Touches nothing of a target, so nothing of a target can hang it. */
#include "inspect/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/broker.h"
#include "inspect/sandbox.h"
#include "inspect/worker.h"

#define CHILDREN_MAX 24	 /* those that the kernel holds among them: each keeps its memory */
#define END_WAIT_MS  200 /* for killed children, at the very end */

/* Detaches from what the parent was: its terminal's signals, its handlers, its descriptors. keep
 * holds nkeep descriptors, which become 3, 4, ... */
static int settle(const char *name, pid_t parent, int *keep, int nkeep)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	for (size_t i = 0; i < LSC_ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, name, 0, 0, 0);

	/* First above, then down to their places: a place may be one of the others. */
	for (int i = 0; i < nkeep; i++) {
		keep[i] = fcntl(keep[i], F_DUPFD_CLOEXEC, 16);
		if (keep[i] < 0)
			return -errno;
	}
	for (int i = 0; i < nkeep; i++) {
		if (dup2(keep[i], 3 + i) < 0)
			return -errno;
		keep[i] = 3 + i;
	}
	if (syscall(SYS_close_range, 3u + (unsigned int)nkeep, ~0u, 0u) < 0)
		return -errno;
	lsc_autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int i = 0; i <= 2; i++)
		if (!(SANDBOX_SANITIZED && i == 2) && dup2(null, i) < 0)
			return -errno;
	return sandbox_bind(parent);
}

static _Noreturn void be_broker(pid_t parent, int collector, int worker)
{
	int keep[2] = {collector, worker};

	if (settle("lsc-broker", parent, keep, 2) == 0 && sandbox_broker(parent) == 0)
		broker_run(keep[0], keep[1]);
	_exit(1);
}

static _Noreturn void be_worker(pid_t parent, int collector, int broker)
{
	int keep[2] = {collector, broker};

	if (settle("lsc-worker", parent, keep, 2) == 0)
		worker_run(parent, keep[0], keep[1]);
	_exit(1);
}

/* What it has forked. A killed child ends at once, unless the kernel holds it: in a page of a
 * target that never comes. Nothing waits for that one, and it is reaped whenever it ends. */
struct keeper {
	int fd, signals; /* to the collector; of children that end */
	struct message_crew crew;
	unsigned int children; /* not reaped yet */
};

static void reap(struct keeper *k)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		k->children--;
		if (pid == k->crew.broker)
			k->crew.broker = 0;
		if (pid == k->crew.worker)
			k->crew.worker = 0;
	}
}

/* Neither has been reaped: their numbers are still theirs. */
static void kill_crew(struct keeper *k)
{
	if (k->crew.broker > 0)
		kill(k->crew.broker, SIGKILL);
	if (k->crew.worker > 0)
		kill(k->crew.worker, SIGKILL);
	k->crew.broker = k->crew.worker = 0;
}

static int make_crew(struct keeper *k, int pairs[3][2])
{
	pid_t self = getpid();

	if (k->children >= CHILDREN_MAX)
		return -EBUSY;
	for (int i = 0; i < 3; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pairs[i]) < 0)
			return -errno;
	k->crew.broker = fork();
	if (k->crew.broker < 0)
		return -errno;
	if (k->crew.broker == 0)
		be_broker(self, pairs[0][1], pairs[2][0]);
	k->children++;
	k->crew.worker = fork();
	if (k->crew.worker < 0)
		return -errno;
	if (k->crew.worker == 0)
		be_worker(self, pairs[1][1], pairs[2][1]);
	k->children++;
	return 0;
}

static int serve_crew(struct keeper *k)
{
	struct message_crew *crew = &k->crew;
	int pairs[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};

	kill_crew(k);
	reap(k);
	crew->kind = MESSAGE_CREW;
	crew->status = make_crew(k, pairs);
	int ends[2] = {pairs[0][0], pairs[1][0]};
	int r = message_send(k->fd, crew, sizeof(*crew), NULL, 0, ends, crew->status == 0 ? 2 : 0,
			     0);
	for (int i = 0; i < 3; i++) {
		lsc_closep(&pairs[i][0]);
		lsc_closep(&pairs[i][1]);
	}
	return r;
}

/* Waits for requests, and for children that end meanwhile. False: the collector is gone. */
static bool serve(struct keeper *k)
{
	struct pollfd p[2] = {{.fd = k->fd, .events = POLLIN},
			      {.fd = k->signals, .events = POLLIN}};
	struct signalfd_siginfo told;
	char ask;

	if (poll(p, 2, -1) < 0)
		return errno == EINTR;
	if (p[1].revents && read(k->signals, &told, sizeof(told)) > 0)
		reap(k);
	if (!p[0].revents)
		return true;
	return message_recv(k->fd, &ask, 1, NULL, 0, 0) == 1 && serve_crew(k) >= 0;
}

/* Leaves to init whom the kernel holds. */
static void end(struct keeper *k)
{
	struct pollfd p = {.fd = k->signals, .events = POLLIN};
	struct signalfd_siginfo told;

	kill_crew(k);
	reap(k);
	while (k->children && poll(&p, 1, END_WAIT_MS) > 0 &&
	       read(k->signals, &told, sizeof(told)) > 0)
		reap(k);
}

static void run(int fd)
{
	struct keeper k = {.fd = fd};
	sigset_t ended;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &ended, NULL) < 0)
		return;
	k.signals = signalfd(-1, &ended, SFD_CLOEXEC);
	if (k.signals < 0)
		return;
	while (serve(&k))
		;
	end(&k);
}

int keeper_start(pid_t *ret_pid, int *ret_fd)
{
	pid_t self = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		int flags = fcntl(pair[1], F_GETFL);
		if (flags >= 0 && fcntl(pair[1], F_SETFL, flags & ~O_NONBLOCK) == 0 &&
		    setpgid(0, 0) == 0 && settle("lsc-keeper", self, &pair[1], 1) == 0)
			run(pair[1]);
		_exit(0);
	}
	int r = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	*ret_pid = pid;
	*ret_fd = pair[0];
	return 0;
}

int keeper_ask(int fd)
{
	return message_send(fd, "c", 1, NULL, 0, NULL, 0, MSG_DONTWAIT);
}

int keeper_take(int fd, struct message_crew *ret_crew, int *ret_broker, int *ret_worker)
{
	struct message_crew crew;
	int fds[2];
	ssize_t n = message_recv(fd, &crew, sizeof(crew), fds, 2, MSG_DONTWAIT);

	if (n == -EAGAIN)
		return -EAGAIN;
	if (n != sizeof(crew) || crew.kind != MESSAGE_CREW || crew.status < 0 || fds[0] < 0 ||
	    fds[1] < 0) {
		lsc_closep(&fds[0]);
		lsc_closep(&fds[1]);
		return n == sizeof(crew) && crew.status < 0 ? crew.status : -EPIPE;
	}
	*ret_crew = crew;
	*ret_broker = fds[0];
	*ret_worker = fds[1];
	return 0;
}
