/* SPDX-License-Identifier: MIT */
/*
 * Three workers that take turns in one epoll set, as Tokio's do: one waits there for all, the
 * others park on a futex until there is something to run or nobody waits. Each of them is a loop.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "app.h"

#define WORKERS 3

static int set;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static int ready[1024];
static int nready;
static bool driven; /* some worker is in epoll_wait() */

void app_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		app_die("epoll_create1");
}

static void arm(int fd, int how)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fd};

	if (epoll_ctl(set, how, fd, &ev) < 0)
		app_die("epoll_ctl");
}

void app_watch(int fd, app_fn *fn, void *arg)
{
	app_slots[fd] = (struct app_slot){fn, arg};
	arm(fd, EPOLL_CTL_ADD);
}

void app_unwatch(int fd)
{
	app_slots[fd].fn = NULL;
}

void app_every(unsigned int ms, app_fn *fn)
{
	app_every_timerfd(ms, fn);
}

/* With the lock held, which is let go meanwhile. */
static void drive(void)
{
	struct epoll_event ev[64];

	driven = true;
	pthread_mutex_unlock(&lock);
	int n = epoll_wait(set, ev, 64, -1);
	if (n < 0 && errno != EINTR)
		app_die("epoll_wait");
	pthread_mutex_lock(&lock);
	driven = false;
	for (int i = 0; i < n; i++)
		ready[nready++] = ev[i].data.fd;
}

static void *turn(void *arg)
{
	int mine[1024];

	(void)arg;
	pthread_setname_np(pthread_self(), "worker");
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!nready) {
			if (driven)
				pthread_cond_wait(&some, &lock);
			else
				drive();
		}
		int n = 0;
		for (int half = nready / 2; nready > half;)
			mine[n++] = ready[--nready];
		pthread_cond_signal(&some); /* another runs the rest, or waits in our place */
		pthread_mutex_unlock(&lock);
		for (int i = 0; i < n; i++) {
			app_slots[mine[i]].fn(app_slots[mine[i]].arg);
			if (app_slots[mine[i]].fn)
				arm(mine[i], EPOLL_CTL_MOD);
		}
	}
	return NULL;
}

void app_run(void)
{
	pthread_t worker = 0;

	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&worker, NULL, turn, NULL))
			app_die("pthread_create");
	pthread_join(worker, NULL);
}
