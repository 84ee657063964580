/* SPDX-License-Identifier: MIT */
/*
 * A loop (epoll on stdin) whose process has a ticker of 1 ms in another thread. "block MS" has the
 * loop sleep in a callback, "gap" is answered with the ticker's longest gap since the last time it
 * was asked, without the millisecond that it sleeps and without what it was runnable and lacked a
 * CPU: what is left is that somebody held it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 1000000

static atomic_llong longest_ns;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* For how long the calling thread was runnable without a CPU, ever. */
static int64_t delay_ns(int fd)
{
	char text[128];
	unsigned long ran, delay;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		fail("schedstat");
	text[n] = '\0';
	if (sscanf(text, "%lu %lu", &ran, &delay) != 2)
		fail("schedstat");
	return (int64_t)delay;
}

static void *tick(void *arg)
{
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	const struct timespec ms = {0, TICK_NS};

	(void)arg;
	if (fd < 0)
		fail("schedstat");
	int64_t delay = delay_ns(fd), last = now_ns();
	for (;;) {
		nanosleep(&ms, NULL);
		/* each gap begins where the last one ended: nothing lies in between */
		int64_t before = delay_ns(fd), now = now_ns();
		int64_t gap = now - last - TICK_NS - (delay_ns(fd) - delay);
		delay = before;
		last = now;
		if (gap > atomic_load(&longest_ns))
			atomic_store(&longest_ns, gap);
	}
	return NULL;
}

static void obey(const char *line)
{
	unsigned ms;

	if (sscanf(line, "block %u", &ms) == 1) {
		int64_t begin = now_ns();
		usleep(ms * 1000);
		printf("{\"ns\": %lld}\n", (long long)(now_ns() - begin));
	} else if (!strncmp(line, "gap", 3)) {
		printf("{\"ns\": %lld}\n", (long long)atomic_exchange(&longest_ns, 0));
	}
	fflush(stdout);
}

int main(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC);
	pthread_t thread;

	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, STDIN_FILENO, &ev) < 0)
		fail("epoll");
	if (pthread_create(&thread, NULL, tick, NULL))
		fail("pthread_create");
	puts("running");
	fflush(stdout);
	for (;;) {
		char line[64];
		if (epoll_wait(set, &ev, 1, 20) <= 0)
			continue;
		ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);
		if (n <= 0)
			return 0;
		line[n] = '\0';
		obey(line);
	}
}
