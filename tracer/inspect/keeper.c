/* SPDX-License-Identifier: MIT */
/* Starts and ends crews. Touches nothing of a target, so nothing of a target can hang it. */
#include "inspect/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/broker.h"
#include "inspect/fetcher.h"
#include "inspect/indexer.h"
#include "inspect/sandbox.h"
#include "inspect/worker.h"

#define CHILDREN_MAX 30	  /* those that the kernel holds among them: each keeps its memory */
#define END_WAIT_MS  200  /* for killed children, at the very end */
#define PATIENCE_MS  1000 /* of the collector with its keeper, at the very end */

/* Without it libdw never asks a debuginfod server by itself, whatever is called. */
#define ASKED_BY_LIBDW "DEBUGINFOD_URLS"

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

	unsetenv(ASKED_BY_LIBDW);
	if (settle("lsc-broker", parent, keep, 2) == 0 && sandbox_broker(parent) == 0)
		broker_run(keep[0], keep[1]);
	_exit(1);
}

static _Noreturn void be_worker(pid_t parent, bool indexes, int collector, int broker)
{
	int keep[2] = {collector, broker};

	unsetenv(ASKED_BY_LIBDW);
	if (settle(indexes ? "lsc-indexer" : "lsc-worker", parent, keep, 2) == 0)
		(indexes ? indexer_run : worker_run)(parent, keep[0], keep[1]);
	_exit(1);
}

static _Noreturn void be_fetcher(pid_t parent, int collector)
{
	if (settle("lsc-fetcher", parent, &collector, 1) == 0)
		fetcher_run(parent, collector);
	_exit(1);
}

/* What it has forked. A killed child ends at once, unless the kernel holds it: in a page of a
 * target that never comes. Nothing waits for that one, and it is reaped whenever it ends. */
struct keeper {
	int fds[KEEPER_CREWS], signals; /* to the collector; of children that end */
	struct message_crew crews[KEEPER_CREWS];
	unsigned int children; /* not reaped yet */
};

static void reap(struct keeper *k)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		k->children--;
		for (int i = 0; i < KEEPER_CREWS; i++) {
			if (pid == k->crews[i].broker)
				k->crews[i].broker = 0;
			if (pid == k->crews[i].worker)
				k->crews[i].worker = 0;
		}
	}
}

/* Neither has been reaped: their numbers are still theirs. */
static void kill_crew(struct message_crew *crew, bool but_the_broker)
{
	if (crew->worker > 0)
		kill(crew->worker, SIGKILL);
	crew->worker = 0;
	if (but_the_broker)
		return;
	if (crew->broker > 0)
		kill(crew->broker, SIGKILL);
	crew->broker = 0;
}

/* From the collector to the worker, to the broker, and between these two. */
enum { TO_WORKER, TO_BROKER, BETWEEN, PAIRS };

static int make_crew(struct keeper *k, int place, bool mate, int pairs[PAIRS][2])
{
	struct message_crew *crew = &k->crews[place];
	bool alone = place == KEEPER_FETCHER;
	pid_t self = getpid();

	if (k->children >= CHILDREN_MAX)
		return -EBUSY;
	for (int i = 0; i < PAIRS; i++)
		if (i == TO_WORKER || (i == BETWEEN && !alone) ||
		    (i == TO_BROKER && !alone && !mate))
			if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pairs[i]) < 0)
				return -errno;
	if (!alone && !mate) {
		crew->broker = fork();
		if (crew->broker < 0)
			return -errno;
		if (crew->broker == 0)
			be_broker(self, pairs[TO_BROKER][1], pairs[BETWEEN][0]);
		k->children++;
	}
	crew->worker = fork();
	if (crew->worker < 0)
		return -errno;
	if (crew->worker == 0 && alone)
		be_fetcher(self, pairs[TO_WORKER][1]);
	if (crew->worker == 0)
		be_worker(self, place > 0, pairs[TO_WORKER][1], pairs[BETWEEN][1]);
	k->children++;
	return 0;
}

static int serve_crew(struct keeper *k, int place, enum keeper_call what)
{
	struct message_crew *crew = &k->crews[place];
	int pairs[PAIRS][2] = {{-1, -1}, {-1, -1}, {-1, -1}};

	reap(k);
	bool mate = what == KEEPER_MATE && crew->broker > 0;
	kill_crew(crew, mate);
	reap(k);
	crew->kind = mate ? MESSAGE_MATE : MESSAGE_CREW;
	crew->status = make_crew(k, place, mate, pairs);
	int ends[2] = {pairs[TO_WORKER][0], pairs[mate ? BETWEEN : TO_BROKER][0]};
	size_t nends = crew->broker ? 2 : 1;
	int r = message_send(k->fds[place], crew, sizeof(*crew), NULL, 0, ends,
			     crew->status == 0 ? nends : 0, 0);
	for (int i = 0; i < PAIRS; i++) {
		lsc_closep(&pairs[i][0]);
		lsc_closep(&pairs[i][1]);
	}
	return r;
}

/* Waits for requests, and for children that end meanwhile. False: the collector is gone. */
static bool serve(struct keeper *k)
{
	struct pollfd p[KEEPER_CREWS + 1] = {[KEEPER_CREWS] = {.fd = k->signals, .events = POLLIN}};
	struct signalfd_siginfo told;
	char ask;

	for (int i = 0; i < KEEPER_CREWS; i++)
		p[i] = (struct pollfd){.fd = k->fds[i], .events = POLLIN};
	if (poll(p, KEEPER_CREWS + 1, -1) < 0)
		return errno == EINTR;
	if (p[KEEPER_CREWS].revents && read(k->signals, &told, sizeof(told)) > 0)
		reap(k);
	for (int i = 0; i < KEEPER_CREWS; i++)
		if (p[i].revents && (message_recv(k->fds[i], &ask, 1, NULL, 0, 0) != 1 ||
				     serve_crew(k, i, (enum keeper_call)ask) < 0))
			return false;
	return true;
}

/* Leaves to init whom the kernel holds. */
static void end(struct keeper *k)
{
	struct pollfd p = {.fd = k->signals, .events = POLLIN};
	struct signalfd_siginfo told;

	for (int i = 0; i < KEEPER_CREWS; i++)
		kill_crew(&k->crews[i], false);
	reap(k);
	while (k->children && poll(&p, 1, END_WAIT_MS) > 0 &&
	       read(k->signals, &told, sizeof(told)) > 0)
		reap(k);
}

static void run(const int fds[KEEPER_CREWS])
{
	struct keeper k = {0};
	sigset_t ended;

	memcpy(k.fds, fds, sizeof(k.fds));
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

static bool make_blocking(const int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		int flags = fcntl(fds[i], F_GETFL);
		if (flags < 0 || fcntl(fds[i], F_SETFL, flags & ~O_NONBLOCK) < 0)
			return false;
	}
	return true;
}

static void close_all(int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		lsc_closep(&fds[i]);
		fds[i] = -1;
	}
}

int keeper_start(pid_t *ret_pid, int ret_fds[KEEPER_CREWS])
{
	pid_t self = getpid(), pid = 0;
	int theirs[KEEPER_CREWS], r = 0;

	for (int i = 0; i < KEEPER_CREWS; i++)
		ret_fds[i] = theirs[i] = -1;
	for (int i = 0; i < KEEPER_CREWS && r == 0; i++) {
		int pair[2];
		r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0
			    ? -errno
			    : 0;
		if (r < 0)
			break;
		ret_fds[i] = pair[0];
		theirs[i] = pair[1];
	}
	if (r == 0)
		pid = fork();
	if (r == 0 && pid == 0) {
		if (make_blocking(theirs, KEEPER_CREWS) && setpgid(0, 0) == 0 &&
		    settle("lsc-keeper", self, theirs, KEEPER_CREWS) == 0)
			run(theirs);
		_exit(0);
	}
	if (r == 0 && pid < 0)
		r = -errno;
	close_all(theirs, KEEPER_CREWS);
	if (r < 0) {
		close_all(ret_fds, KEEPER_CREWS);
		return r;
	}
	*ret_pid = pid;
	return 0;
}

void keeper_wait(pid_t pid)
{
	lsc_autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0 || poll(&p, 1, PATIENCE_MS) != 1)
		kill(pid, SIGKILL);
	if (pidfd >= 0 && poll(&p, 1, PATIENCE_MS) != 1)
		return;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int keeper_ask(int fd, enum keeper_call what)
{
	return message_send(fd, &(char){(char)what}, 1, NULL, 0, NULL, 0, MSG_DONTWAIT);
}

int keeper_take(int fd, struct message_crew *ret_crew, int *ret_broker, int *ret_worker)
{
	struct message_crew crew;
	int fds[2];
	ssize_t n = message_recv(fd, &crew, sizeof(crew), fds, 2, MSG_DONTWAIT);

	if (n == -EAGAIN)
		return -EAGAIN;
	if (n != sizeof(crew) || (crew.kind != MESSAGE_CREW && crew.kind != MESSAGE_MATE) ||
	    crew.status < 0 || fds[0] < 0 || (fds[1] < 0) != !crew.broker) {
		lsc_closep(&fds[0]);
		lsc_closep(&fds[1]);
		return n == sizeof(crew) && crew.status < 0 ? crew.status : -EPIPE;
	}
	*ret_crew = crew;
	*ret_worker = fds[0];
	*ret_broker = fds[1];
	return 0;
}
