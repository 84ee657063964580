/* SPDX-License-Identifier: MIT */
/*
 * loopscoped: the collector. Started by loopscope for one job (--control-fd), or as a service that
 * listens on a socket, one process per connection.
 */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hangup.h"
#include "control.h"
#include "session.h"

struct arguments {
	int control_fd;
	const char *socket;
};

static const struct argp_option options[] = {
	{"control-fd", 'c', "N", 0, "serve one job on descriptor N, then end", 0},
	{"socket", 's', "PATH", 0, "listen on PATH (default /run/loopscope/control.sock)", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	char *end;

	switch (key) {
	case 'c':
		a->control_fd = (int)strtol(arg, &end, 10);
		if (*end || end == arg || a->control_fd < 0)
			argp_error(state, "--control-fd takes a number, not '%s'", arg);
		return 0;
	case 's':
		a->socket = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument '%s'", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int die(const char *what)
{
	fprintf(stderr, "loopscoped: %s: %s\n", what, strerror(errno));
	return 125;
}

static int listen_on(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	/* a socket that nobody serves any more may be replaced; a living one not */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		close(fd);
		errno = EADDRINUSE;
		return -1;
	}
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	mode_t before = umask(0117); /* 0660 */
	int r = bind(fd, (struct sockaddr *)&a, sizeof(a));
	umask(before);
	if (r < 0 || listen(fd, 16) < 0) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static bool peer_is_own(int fd)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 && cred.uid == geteuid();
}

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

/* The next one who connects; -1 none. Signals come in while it waits, and at no other time. */
static int next_client(int fd, const sigset_t *while_waiting)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (ppoll(&p, 1, NULL, while_waiting) < 0)
		return -1;
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

/* One process per connection: a job that fails takes no other with it. */
static int serve(const char *path)
{
	sigset_t ends, usual;
	int fd = listen_on(path);

	if (fd < 0)
		return die(path);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, &usual);
	signal(SIGCHLD, SIG_IGN);
	while (!stopping) {
		int client = next_client(fd, &usual);
		if (client < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				poll(NULL, 0, 100); /* until some connection ends */
			continue;
		}
		if (peer_is_own(client)) {
			pid_t pid = fork();
			if (pid == 0) {
				close(fd);
				signal(SIGCHLD, SIG_DFL);
				sigprocmask(SIG_SETMASK, &usual, NULL);
				control_make_room(client);
				_exit(session_run(client, &stopping) < 0 ? 125 : 0);
			}
			if (pid < 0)
				fprintf(stderr, "loopscoped: cannot serve a client: %s\n",
					strerror(errno));
		}
		close(client);
	}
	unlink(path);
	close(fd);
	return 0;
}

const char *argp_program_version = "loopscoped " LSC_VERSION;

int main(int argc, char **argv)
{
	static const struct argp argp = {options, parse, NULL, "The collector of loopscope.",
					 NULL,	  NULL,	 NULL};
	const struct sigaction on_end = {.sa_handler = on_signal};
	struct rlimit files;
	struct arguments a = {.control_fd = -1, .socket = "/run/loopscope/control.sock"};

	argp_err_exit_status = 2;
	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return 2;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write fails instead, and that is said */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur =
			files.rlim_max; /* maps, links, samplers, a descriptor for each process */
		setrlimit(RLIMIT_NOFILE, &files);
	}
	sigaction(SIGTERM, &on_end, NULL);
	sigaction(SIGINT, &on_end, NULL);
	if (!lsc_hangup_is_ignored())
		sigaction(SIGHUP, &on_end, NULL);
	if (a.control_fd < 0)
		return serve(a.socket);
	int r = session_run(a.control_fd, &stopping);
	if (r < 0) {
		errno = -r;
		return die("control descriptor");
	}
	return 0;
}
