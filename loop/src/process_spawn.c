/* SPDX-License-Identifier: MIT */
/* Starting a child with posix_spawn(): its descriptors, signals and directory. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include "own_fd.h"

#include "process.h"

extern char **environ;

/* The descriptors of one start. All of them lie above the standard ones, so that giving the child
 * one of these does not overwrite another. */
struct ends {
	int child[3]; /* -1: inherited */
	int ours[3];  /* -1: no pipe */
};

static void close_all(const int fds[3])
{
	for (int n = 0; n < 3; n++)
		if (fds[n] >= 0)
			close(fds[n]);
}

static int make_pipe(struct ends *e, int n)
{
	int both[2], child = n == 0 ? 0 : 1;

	if (pipe2(both, O_CLOEXEC) < 0)
		return -errno;
	int r = own_fd(both[child]);
	if (r < 0) {
		close(both[!child]);
		return r;
	}
	e->child[n] = r;
	r = own_fd(both[!child]);
	if (r >= 0)
		e->ours[n] = r;
	return r;
}

static int make_end(struct ends *e, int n, const struct lsc_process_options *options)
{
	int r = 0;

	switch (options->stdio[n]) {
	case LSC_STDIO_INHERIT:
		return 0;
	case LSC_STDIO_PIPE:
		return make_pipe(e, n);
	case LSC_STDIO_NULL:
		r = own_fd(open("/dev/null", (n == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC));
		break;
	case LSC_STDIO_FD:
		r = own_fd_copy(options->fd[n]);
		break;
	case LSC_STDIO_STDOUT:
		if (n != 2)
			return -EINVAL;
		r = own_fd_copy(e->child[1] >= 0 ? e->child[1] : 1);
		break;
	default:
		return -EINVAL;
	}
	if (r >= 0)
		e->child[n] = r;
	return r;
}

static int spawn(char *const argv[], const struct lsc_process_options *options,
		 const struct ends *e, posix_spawn_file_actions_t *actions,
		 posix_spawnattr_t *attributes, pid_t *ret_pid)
{
	sigset_t none, pipe_alone;
	int r = 0;

	sigemptyset(&none);
	sigemptyset(&pipe_alone);
	sigaddset(&pipe_alone, SIGPIPE);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &pipe_alone);
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	for (int n = 0; n < 3 && r == 0; n++)
		if (e->child[n] >= 0)
			r = posix_spawn_file_actions_adddup2(actions, e->child[n], n);
	if (r == 0 && options->directory)
		r = posix_spawn_file_actions_addchdir_np(actions, options->directory);
	if (r == 0)
		r = posix_spawnp(ret_pid, argv[0], actions, attributes, argv,
				 options->env ? options->env : environ);
	return -r;
}

int process_spawn(char *const argv[], const struct lsc_process_options *options, pid_t *ret_pid,
		  int ret_ends[3])
{
	struct ends e = {.child = {-1, -1, -1}, .ours = {-1, -1, -1}};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = 0;

	for (int n = 0; n < 3 && r >= 0; n++)
		r = make_end(&e, n, options);
	if (r >= 0)
		r = -posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = -posix_spawnattr_init(&attributes);
		if (r == 0) {
			r = spawn(argv, options, &e, &actions, &attributes, ret_pid);
			posix_spawnattr_destroy(&attributes);
		}
		posix_spawn_file_actions_destroy(&actions);
	}
	close_all(e.child);
	if (r < 0) {
		close_all(e.ours);
		return r;
	}
	for (int n = 0; n < 3; n++)
		ret_ends[n] = e.ours[n];
	return 0;
}
