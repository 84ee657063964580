/* SPDX-License-Identifier: MIT */
/*
 * A loop that parks on a futex while another thread selects for it, as JVM and Rust runtimes do.
 * What is ready comes through a queue; timers are the timeout of the wait.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>

#include "app.h"

static int set;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some;
static int ready[1024];
static int nready;

static struct {
	uint64_t due_ns, every_ns;
	app_fn *fn;
} timers[8];
static int ntimers;

void app_init(int argc, char **argv)
{
	pthread_condattr_t attr;

	(void)argc;
	(void)argv;
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0 || pthread_condattr_init(&attr) ||
	    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) || pthread_cond_init(&some, &attr))
		app_die("init");
}

static void *select_for(void *arg)
{
	struct epoll_event ev[64];

	(void)arg;
	pthread_setname_np(pthread_self(), "selector");
	for (;;) {
		int n = epoll_wait(set, ev, 64, -1);
		pthread_mutex_lock(&lock);
		for (int i = 0; i < n; i++)
			ready[nready++] = ev[i].data.fd;
		pthread_cond_signal(&some);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
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
	timers[ntimers].every_ns = ms * 1000000ull;
	timers[ntimers].due_ns = app_now_ns() + ms * 1000000ull;
	timers[ntimers++].fn = fn;
}

static uint64_t run_timers(void)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < ntimers; i++) {
		if (timers[i].due_ns <= app_now_ns()) {
			timers[i].due_ns = app_now_ns() + timers[i].every_ns;
			timers[i].fn(NULL);
		}
		next = timers[i].due_ns < next ? timers[i].due_ns : next;
	}
	return next;
}

void app_run(void)
{
	pthread_t selector;
	int mine[1024];

	if (pthread_create(&selector, NULL, select_for, NULL))
		app_die("pthread_create");
	while (!app_is_over()) {
		uint64_t until = run_timers();
		struct timespec ts = {.tv_sec = (time_t)(until / 1000000000u),
				      .tv_nsec = (long)(until % 1000000000u)};
		pthread_mutex_lock(&lock);
		while (!nready && pthread_cond_timedwait(&some, &lock, &ts) != ETIMEDOUT)
			;
		int n = nready;
		for (int i = 0; i < n; i++)
			mine[i] = ready[i];
		nready = 0;
		pthread_mutex_unlock(&lock);
		for (int i = 0; i < n; i++) {
			app_slots[mine[i]].fn(app_slots[mine[i]].arg);
			if (app_slots[mine[i]].fn)
				arm(mine[i], EPOLL_CTL_MOD);
		}
	}
}
