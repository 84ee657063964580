/* SPDX-License-Identifier: MIT */
/* The life of a child. It is reaped when its pidfd says so, whether anybody waits or not: no
 * zombies. */
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/io.h"
#include "loopscope/stream.h"
#include "own_fd.h"
#include "task.h"

/* How long the loop's end waits for children that it has killed. One that the kernel does not let
 * go stays a zombie until this process ends. */
#define KILL_TIMEOUT_NS LSC_NS_PER_S

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int pidfd_send_signal(int pidfd, int signo)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
}

static void free_if_done(struct lsc_process *p)
{
	if (!p->orphan || p->users > 0 || p->pidfd >= 0)
		return;
	free(p);
}

void process_hold(struct lsc_process *process)
{
	process->users++;
}

void process_release(struct lsc_process *process)
{
	process->users--;
	free_if_done(process);
}

/* Takes the status of a child that has ended. False when it has not. */
static bool reap(struct lsc_process *p)
{
	pid_t r;

	do
		r = waitpid(p->pid, &p->status, WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return false;
	if (r < 0)
		p->error = -errno;
	return true;
}

static void finish(struct lsc_process *p)
{
	fd_wait_end(&p->ended);
	list_remove(&p->resource.link);
	lsc_close(p->pidfd);
	p->pidfd = -1;
	waitlist_wake_all(&p->waiters, p->error);
	free_if_done(p);
}

static int watch(struct lsc_process *p)
{
	struct fd_entry *entry;
	int r = fd_entry_get(p->loop, p->pidfd, &entry);

	return r < 0 ? r : fd_wait_level(p->loop, entry, &p->ended);
}

static void has_ended(struct fd_wait *wait, int result)
{
	struct lsc_process *p = container_of(wait, struct lsc_process, ended);

	if (result < 0 || reap(p) || watch(p) < 0) {
		if (result < 0)
			p->error = result;
		finish(p);
	}
}

/* Until the child has ended, whatever signals come meanwhile. */
static void wait_killed(const struct lsc_process *p)
{
	uint64_t end_ns = lsc_now_ns() + KILL_TIMEOUT_NS, now_ns;
	struct pollfd poll_fd = {.fd = p->pidfd, .events = POLLIN};
	int r = -1;

	while (r < 0 && (now_ns = lsc_now_ns()) < end_ns) {
		r = poll(&poll_fd, 1, (int)((end_ns - now_ns) / LSC_NS_PER_MS) + 1);
		if (r < 0 && errno != EINTR)
			return;
	}
}

static void end_with_loop(struct resource *resource)
{
	struct lsc_process *p = container_of(resource, struct lsc_process, resource);

	if (!p->loop->forked_from) { /* else it is the parent's child */
		pidfd_send_signal(p->pidfd, SIGKILL);
		wait_killed(p);
	}
	reap(p);
	finish(p);
}

/* Makes the streams of the pipes, and closes what becomes none. */
static int open_streams(struct lsc_process *p, int ends[3])
{
	int r = 0;

	for (int n = 0; n < 3; n++) {
		if (ends[n] >= 0 && r == 0) {
			fd_is_new(p->loop, ends[n]);
			r = lsc_stream_open(ends[n], &p->streams[n]);
		}
		if (ends[n] >= 0 && !p->streams[n])
			close(ends[n]);
	}
	return r;
}

/* The child runs; makes an object of it, or ends it. */
static int adopt(struct lsc_process *p, int ends[3])
{
	int r = open_streams(p, ends);

	int pidfd = own_fd(pidfd_open(p->pid));
	if (pidfd == -ESRCH) { /* it has ended, and somebody else has reaped it */
		p->error = -ECHILD;
		return r;
	}
	if (pidfd < 0) {
		r = r < 0 ? r : pidfd;
		kill(p->pid, SIGKILL);
		while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
			;
		return r;
	}
	p->pidfd = pidfd;
	fd_is_new(p->loop, pidfd);
	list_append(&p->loop->resources, &p->resource.link);
	if (r == 0)
		r = watch(p);
	if (r < 0)
		end_with_loop(&p->resource);
	return r;
}

int lsc_process_start(char *const argv[], const struct lsc_process_options *options,
		      struct lsc_process **ret)
{
	const struct lsc_process_options inherit = {.size = sizeof(inherit)};
	struct lsc_loop *loop = lsc_loop_current();
	int ends[3];

	if (!loop)
		return -EPERM;
	if (!options)
		options = &inherit;
	if (options->size < sizeof(*options) || !argv[0])
		return -EINVAL;
	struct lsc_process *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->pidfd = -1;
	p->resource.close = end_with_loop;
	p->ended = (struct fd_wait){.events = POLLIN, .wake = has_ended};
	list_init(&p->ended.link);
	list_init(&p->resource.link);
	waitlist_init(&p->waiters);
	int r = process_spawn(argv, options, &p->pid, ends);
	if (r == 0)
		r = adopt(p, ends);
	if (r < 0) {
		lsc_process_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

pid_t lsc_process_pid(const struct lsc_process *process)
{
	return process->pid;
}

struct lsc_stream *lsc_process_stream(const struct lsc_process *process, int n)
{
	return n >= 0 && n < 3 ? process->streams[n] : NULL;
}

int lsc_process_wait(struct lsc_process *process, int *ret_status)
{
	struct task *task = task_current();
	int woken, r = process->error;

	if (!task)
		return -EPERM;
	process_hold(process);
	if (process->pidfd >= 0)
		r = waitlist_wait(&process->waiters, task, LSC_WAIT_CHILD, (uint64_t)process->pid,
				  &woken);
	if (r == 0)
		*ret_status = process->status;
	process_release(process);
	return r;
}

int lsc_process_kill(struct lsc_process *process, int signo)
{
	if (process->pidfd < 0)
		return -ESRCH;
	return pidfd_send_signal(process->pidfd, signo) < 0 ? -errno : 0;
}

struct lsc_process *lsc_process_free(struct lsc_process *process)
{
	if (!process)
		return NULL;
	for (int n = 0; n < 3; n++)
		process->streams[n] = lsc_stream_free(process->streams[n]);
	if (process->pidfd >= 0 && !process->loop->forked_from)
		pidfd_send_signal(process->pidfd, SIGKILL);
	process->orphan = true;
	free_if_done(process);
	return NULL;
}
