/* SPDX-License-Identifier: MIT */
/* SIGPIPE is the thread's own: block it, and take one that is new away again. The program's
 * handlers see nothing. */
#include "quiet.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

struct quiet {
	sigset_t before;
	bool pending; /* one was pending before */
};

static void pipe_alone(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGPIPE);
}

static void begin(struct quiet *q)
{
	sigset_t set, pending;

	pipe_alone(&set);
	pthread_sigmask(SIG_BLOCK, &set, &q->before);
	/* Only one that is blocked can be pending. */
	q->pending = sigismember(&q->before, SIGPIPE) && sigpending(&pending) == 0 &&
		     sigismember(&pending, SIGPIPE);
}

static ssize_t end(const struct quiet *q, ssize_t n)
{
	const struct timespec now = {0};
	int error = errno;
	sigset_t set;

	if (n < 0 && error == EPIPE && !q->pending) {
		pipe_alone(&set);
		sigtimedwait(&set, NULL, &now);
	}
	pthread_sigmask(SIG_SETMASK, &q->before, NULL);
	errno = error;
	return n;
}

ssize_t quiet_write(int fd, const void *data, size_t size)
{
	struct quiet q;

	begin(&q);
	return end(&q, write(fd, data, size));
}

ssize_t quiet_sendfile(int fd, int file, off_t *offset, size_t size)
{
	struct quiet q;

	begin(&q);
	return end(&q, sendfile(fd, file, offset, size));
}
