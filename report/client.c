/* SPDX-License-Identifier: MIT */
/*
 * Finding, starting and talking to loopscoped. A private one gets a process group of its own, so
 * that Ctrl-C at the terminal reaches loopscope alone, which then asks it to stop.
 */
#include "client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "control.h"
#include "field.h"

#define SERVICE_SOCKET	 "/run/loopscope/control.sock"
#define HELLO_TIMEOUT_MS 10000
#define REAP_TIMEOUT_MS	 1000
#define SEND_TIMEOUT_S	 5
#define CONTROL_FD	 3 /* in the private loopscoped */

extern char **environ;

struct client {
	int fd;
	pid_t pid; /* of the private loopscoped; 0: the service, or reaped */
	char about[PATH_MAX + 96];
	char from[PATH_MAX + 16]; /* "private (PATH)" or "service (PATH)" */
};

int client_fd(const struct client *c)
{
	return c->fd;
}

const char *client_describe(const struct client *c)
{
	return c->about;
}

/* ---- the service ---- */

/* 1 connected, 0 there is none, or -errno. */
static int connect_service(struct client *c, const char *path, struct lsc_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (strlen(path) >= sizeof(addr.sun_path))
		return lsc_err_set(err, -ENAMETOOLONG, "the socket path '%s' is too long", path);
	strcpy(addr.sun_path, path);
	lsc_autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return lsc_err_set(err, -errno, "cannot create a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return lsc_err_set(err, -errno, "'%s': cannot tell who listens: %s", path,
				   strerror(errno));
	if (peer.uid != 0 && peer.uid != geteuid())
		return lsc_err_set(
			err, -EPERM,
			"'%s' belongs to uid %u: only root's or your own loopscoped is trusted",
			path, (unsigned)peer.uid);
	c->fd = fd;
	fd = -1;
	snprintf(c->from, sizeof(c->from), "service (%s)", path);
	return 1;
}

/* ---- a private loopscoped ---- */

/* Beside our own executable (a build tree, or PREFIX/bin), then where an installation puts it. PATH
 * is not asked: under sudo it is not the administrator's. */
static int find_daemon(char *ret_path, size_t size, struct lsc_err *err)
{
	static const char *const places[] = {"%s/loopscoped", "%s/../sbin/loopscoped",
					     "%s/../libexec/loopscoped",
					     "%s/../libexec/loopscope/loopscoped"};
	char dir[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (n <= 0)
		return lsc_err_set(err, -errno, "cannot read /proc/self/exe: %s", strerror(errno));
	dir[n] = 0;
	*strrchr(dir, '/') = 0;
	for (size_t i = 0; i < LSC_ARRAY_LEN(places); i++) {
		char path[PATH_MAX + 64];
		struct stat st;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		int len = snprintf(path, sizeof(path), places[i], dir);
#pragma GCC diagnostic pop
		if ((size_t)len >= size || stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
		    access(path, X_OK) < 0)
			continue;
		strcpy(ret_path, path);
		return 0;
	}
	return lsc_err_set(err, -ENOENT,
			   "loopscoped was not found beside loopscope in %s: install it there",
			   dir);
}

static int spawn_daemon(const char *path, int fd, pid_t *ret_pid)
{
	char *argv[] = {(char *)path, "--control-fd", "3", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawn_file_actions_init(&files);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		posix_spawn_file_actions_destroy(&files);
		return -r;
	}
	/* stdout is the person's results: what the daemon prints there joins the logs. The control
	 * end sits above CONTROL_FD until here, so nothing is overwritten. */
	if (!(r = posix_spawn_file_actions_adddup2(&files, fd, CONTROL_FD)) &&
	    !(r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)) &&
	    !(r = posix_spawn_file_actions_adddup2(&files, 2, 1)) &&
	    !(r = posix_spawn_file_actions_addclosefrom_np(&files, CONTROL_FD + 1)) &&
	    !(r = posix_spawnattr_setpgroup(&attr, 0)) &&
	    !(r = posix_spawnattr_setsigmask(&attr, &none)) &&
	    !(r = posix_spawnattr_setsigdefault(&attr, &all)) &&
	    !(r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
							  POSIX_SPAWN_SETSIGDEF)))
		r = posix_spawn(ret_pid, path, &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

static int start_private(struct client *c, struct lsc_err *err)
{
	char path[PATH_MAX];
	int fd[2];
	int r = find_daemon(path, sizeof(path), err);

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		return lsc_err_set(err, -errno, "cannot create a socket pair: %s", strerror(errno));
	c->fd = fd[0];
	control_make_room(fd[1]);
	/* Above CONTROL_FD, whatever descriptors were closed when we were started. */
	lsc_autoclose int theirs = fcntl(fd[1], F_DUPFD_CLOEXEC, CONTROL_FD + 1);
	r = theirs < 0 ? -errno : 0;
	close(fd[1]);
	if (!r)
		r = spawn_daemon(path, theirs, &c->pid);
	if (r < 0)
		return lsc_err_set(err, r, "cannot start '%s': %s", path, strerror(-r));
	snprintf(c->from, sizeof(c->from), "private (%s)", path);
	return 0;
}

/* ---- talking ---- */

/* Reaps the private loopscoped that has closed its end; true when it had ended by then. */
static bool reap(struct client *c, int *ret_status)
{
	lsc_autoclose int pidfd = c->pid ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0 || poll(&p, 1, REAP_TIMEOUT_MS) != 1 ||
	    waitpid(c->pid, ret_status, WNOHANG) != c->pid)
		return false;
	c->pid = 0;
	return true;
}

static int gone(struct client *c, struct lsc_err *err)
{
	int status;

	if (!reap(c, &status))
		return lsc_err_set(err, -EPIPE,
				   "loopscoped closed the connection without an answer");
	if (WIFSIGNALED(status))
		return lsc_err_set(err, -EPIPE, "loopscoped was killed by signal %d (%s)",
				   WTERMSIG(status), strsignal(WTERMSIG(status)));
	return lsc_err_set(err, -EPIPE, "loopscoped ended without an answer (exit status %d)",
			   WEXITSTATUS(status));
}

int client_send(struct client *c, json_t *msg, struct lsc_err *err)
{
	if (!msg)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	int r = control_send(c->fd, msg);
	if (r == -EPIPE)
		return gone(c, err);
	if (r == -EAGAIN)
		return lsc_err_set(err, -ETIMEDOUT, "loopscoped does not read what it is sent");
	if (r == -EMSGSIZE)
		return lsc_err_set(err, r, "the request is longer than 64 KiB");
	if (r < 0)
		return lsc_err_set(err, r, "cannot talk to loopscoped: %s", strerror(-r));
	return 0;
}

/* 1 readable, 0 not within timeout_ms. */
static int wait_input(int fd, int timeout_ms)
{
	uint64_t until = lsc_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * LSC_NS_PER_MS;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = lsc_now_ns();
		int left = now < until ? (int)((until - now) / LSC_NS_PER_MS) : 0;
		int n = poll(&p, 1, timeout_ms < 0 ? -1 : left);

		if (n >= 0)
			return n;
		if (errno != EINTR)
			return -errno;
	}
}

int client_next(struct client *c, int timeout_ms, json_t **ret_msg, struct lsc_err *err)
{
	int r = wait_input(c->fd, timeout_ms);

	if (r == 0)
		return lsc_err_set(err, -ETIMEDOUT, "loopscoped does not answer");
	if (r > 0)
		r = control_recv(c->fd, ret_msg);
	if (r == 0)
		return gone(c, err);
	if (r == -EBADMSG)
		return lsc_err_set(err, r, "loopscoped speaks nonsense: is it of another version?");
	if (r < 0)
		return lsc_err_set(err, r, "cannot hear loopscoped: %s", strerror(-r));
	return r;
}

static int greet(struct client *c, struct lsc_err *err)
{
	const struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
	json_t *msg;
	int r;

	if (setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return lsc_err_set(err, -errno, "cannot set up the connection: %s",
				   strerror(errno));
	r = client_send(c, json_pack("{s:s, s:i}", "type", "hello", "version", CONTROL_VERSION),
			err);
	if (r < 0)
		return r;
	r = client_next(c, HELLO_TIMEOUT_MS, &msg, err);
	if (r < 0)
		return r;
	const char *type = field_text(msg, "type"), *tool = field_text(msg, "tool_version");
	int64_t version = field_int(msg, "version", 0);
	if (!strcmp(type, "error"))
		r = lsc_err_set(err, -EPERM, "%s",
				field_text(msg, "text") ?: "loopscoped refused the connection");
	else if (strcmp(type, "hello") || version != CONTROL_VERSION)
		r = lsc_err_set(err, -EPROTO,
				"loopscoped speaks protocol %lld, this loopscope %d: install the "
				"same version",
				(long long)version, CONTROL_VERSION);
	else
		r = 0;
	snprintf(c->about, sizeof(c->about), "loopscoped %.40s, %s", tool ?: "of unknown version",
		 c->from);
	json_decref(msg);
	return r;
}

int client_open(struct client **ret_client, struct lsc_err *err)
{
	const char *path = getenv("LOOPSCOPE_SOCKET");
	bool chosen = path && *path;
	struct client *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	c->fd = -1;
	if (!path || chosen)
		r = connect_service(c, path ?: SERVICE_SOCKET, err);
	if (r == 0 && chosen)
		r = lsc_err_set(err, -ECONNREFUSED, "nothing answers at LOOPSCOPE_SOCKET=%s", path);
	if (r == 0)
		r = start_private(c, err);
	if (r >= 0)
		r = greet(c, err);
	if (r < 0) {
		client_close(c);
		return r;
	}
	*ret_client = c;
	return 0;
}

json_t *client_finish(struct client *c, int timeout_ms)
{
	json_t *last = NULL;
	uint64_t until = lsc_now_ns() + (uint64_t)timeout_ms * LSC_NS_PER_MS;
	uint64_t now;

	if (shutdown(c->fd, SHUT_WR) < 0)
		return NULL;
	while ((now = lsc_now_ns()) < until &&
	       wait_input(c->fd, (int)((until - now) / LSC_NS_PER_MS)) > 0) {
		json_t *msg;
		int r = control_recv(c->fd, &msg);

		if (r > 0) {
			json_decref(last);
			last = msg;
		} else if (r != -EBADMSG) {
			break;
		}
	}
	return last;
}

struct client *client_close(struct client *c)
{
	if (!c)
		return NULL;
	if (c->fd >= 0)
		close(c->fd);
	if (c->pid)
		waitpid(c->pid, NULL, WNOHANG);
	free(c);
	return NULL;
}
