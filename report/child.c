/* SPDX-License-Identifier: MIT */
/* Forking the recorded command behind a gate, as the right user. */
#include "child.h"

#include <errno.h>
#include <limits.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SETUP_FAILED 125

struct identity {
	bool change;
	uid_t uid;
	gid_t gid;
	char name[64], home[512]; /* empty: not in the user database */
};

static int number(const char *text, uint32_t *ret)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	unsigned long v = strtoul(text, &end, 10);
	if (errno || *end || v >= UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

static int resolve(const char *user, struct identity *ret, struct lsc_err *err)
{
	struct identity id = {.change = true};
	const char *sudo_uid = getenv("SUDO_UID");
	const struct passwd *pw;
	uint32_t uid, gid;

	*ret = (struct identity){0};
	if (!user && (geteuid() != 0 || !sudo_uid))
		return 0;
	if (number(user ?: sudo_uid, &uid) == 0)
		pw = getpwuid(uid);
	else if ((pw = getpwnam(user ?: sudo_uid)))
		uid = pw->pw_uid;
	else
		return lsc_err_set(err, -EINVAL, "there is no user '%s'", user ?: sudo_uid);
	id.uid = uid;
	if (pw) {
		id.gid = pw->pw_gid;
		snprintf(id.name, sizeof(id.name), "%s", pw->pw_name);
		snprintf(id.home, sizeof(id.home), "%s", pw->pw_dir);
	} else {
		id.gid = !user && number(getenv("SUDO_GID"), &gid) == 0 ? gid : uid;
	}
	if (id.uid == geteuid() && id.uid == getuid())
		return 0;
	if (geteuid() != 0)
		return lsc_err_set(err, -EPERM, "running the command as '%s' needs root", user);
	*ret = id;
	return 0;
}

/* Where a shell would find it; says which of its two errors it would give. */
static int find(const char *name, struct lsc_err *err)
{
	const char *path = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";
	bool denied = false;
	struct stat st;

	if (strchr(name, '/')) {
		if (stat(name, &st) < 0)
			return lsc_err_set(err, errno == EACCES ? -EACCES : -ENOENT,
					   "cannot run '%s': %s", name, strerror(errno));
		if (!S_ISREG(st.st_mode) || access(name, X_OK) < 0)
			return lsc_err_set(err, -EACCES,
					   "cannot run '%s': it is not an executable file", name);
		return 0;
	}
	while (*name) {
		size_t len = strcspn(path, ":");
		char file[PATH_MAX];

		snprintf(file, sizeof(file), "%.*s/%s", len ? (int)len : 1, len ? path : ".", name);
		if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
			if (access(file, X_OK) == 0)
				return 0;
			denied = true;
		}
		if (!path[len])
			break;
		path += len + 1;
	}
	return denied ? lsc_err_set(err, -EACCES, "cannot run '%s': it is not executable", name)
		      : lsc_err_set(err, -ENOENT, "cannot run '%s': command not found", name);
}

static int become(const struct identity *id)
{
	if (!id->change)
		return 0;
	if ((id->name[0] ? initgroups(id->name, id->gid) : setgroups(0, NULL)) < 0)
		return -errno;
	if (setgid(id->gid) < 0 || setuid(id->uid) < 0)
		return -errno;
	if (!id->name[0])
		return 0;
	if (setenv("HOME", id->home, 1) < 0 || setenv("USER", id->name, 1) < 0 ||
	    setenv("LOGNAME", id->name, 1) < 0)
		return -errno;
	return 0;
}

/* The child's half. Its end of the gate closes with the exec. */
static void __attribute__((noreturn)) run(char *const *argv, const struct identity *id, int gate)
{
	sigset_t none;
	char go;
	int r = become(id);

	if (r == 0 && read(gate, &go, 1) != 1)
		_exit(SETUP_FAILED); /* loopscope gave up, or is dead */
	if (r == 0) {
		sigemptyset(&none);
		for (int s = 1; s < NSIG;
		     s++) /* what loopscope ignores the command must not inherit */
			if (s == SIGINT || s == SIGQUIT || s == SIGTERM || s == SIGPIPE)
				signal(s, SIG_DFL);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execvp(argv[0], argv);
		r = -errno;
	}
	send(gate, &r, sizeof(r), MSG_NOSIGNAL); /* to nobody when loopscope is dead */
	_exit(r == -ENOENT ? 127 : 126);
}

int child_start(struct child *ret, char *const *argv, const char *user, struct lsc_err *err)
{
	struct identity id;
	int gate[2];
	int r = find(argv[0], err);

	if (r < 0)
		return r;
	r = resolve(user, &id, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) < 0)
		return lsc_err_set(err, -errno, "cannot create a socket pair: %s", strerror(errno));
	struct child c = {.pid = fork(), .pidfd = -1, .gate = gate[0]};
	if (c.pid == 0) {
		close(gate[0]);
		run(argv, &id, gate[1]);
	}
	r = -errno;
	close(gate[1]);
	if (c.pid < 0) {
		close(gate[0]);
		return lsc_err_set(err, r, "cannot start the command: %s", strerror(-r));
	}
	c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	if (c.pidfd < 0) {
		r = lsc_err_set(err, -errno, "cannot watch the command: %s", strerror(errno));
		child_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

int child_release(struct child *c, struct lsc_err *err)
{
	int why;
	ssize_t n;

	send(c->gate, "", 1, MSG_NOSIGNAL); /* a child that has ended left its reason */
	do				    /* ends with the exec, or with the child's errno */
		n = recv(c->gate, &why, sizeof(why), MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	close(c->gate);
	c->gate = -1;
	if (n == sizeof(why) && why < 0)
		return lsc_err_set(err, why, "cannot run the command: %s", strerror(-why));
	return 0;
}

int child_reap(struct child *c)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(c->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	c->pid = 0;
	if (pid < 0)
		return SETUP_FAILED;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void child_done(struct child *c)
{
	bool held = c->gate >= 0;

	lsc_closep(&c->gate);
	lsc_closep(&c->pidfd);
	c->gate = c->pidfd = -1;
	if (c->pid && held)
		child_reap(c);
	c->pid = 0;
}
