/* SPDX-License-Identifier: MIT */
/*
 * A thread that runs a loop on libloopscope, and when that has ended one of its own, without a
 * ring. Lines on stdin, answered with a line of JSON: "sleep SECONDS", in a turn of the loop that
 * runs, with its length by the loop's own clock; "exit SECONDS", the same before the process ends
 * within the turn; "leave", which goes from the one loop to the other and back.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "loopscope/loopscope.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Takes a line from stdin and does what it says. Returns whether the loop goes on. */
static bool obey(void)
{
	char line[128];
	double seconds = 0;
	ssize_t size = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (size <= 0)
		exit(0);
	line[size] = '\0';
	uint64_t begin = now_ns();
	bool ends = sscanf(line, "exit %lf", &seconds) == 1;
	if (ends || sscanf(line, "sleep %lf", &seconds) == 1) {
		struct timespec t = {(time_t)seconds,
				     (long)((seconds - (double)(time_t)seconds) * 1e9)};
		nanosleep(&t, NULL);
	}
	uint64_t end = now_ns();
	printf("{\"ns\": %lu, \"end_ns\": %lu}\n", end - begin, end);
	if (ends)
		_exit(0);
	return strncmp(line, "leave", 5) != 0;
}

static int serve(void *arg)
{
	int r;

	(void)arg;
	do {
		r = lsc_wait_fd(STDIN_FILENO, POLLIN);
	} while (r >= 0 && obey());
	return r;
}

static int beat(void *arg)
{
	int r;

	(void)arg;
	while ((r = lsc_sleep(20000000)) >= 0)
		;
	return r;
}

static int run(void *arg)
{
	struct lsc_future *beats = lsc_spawn(beat, NULL, "beat");
	int r = serve(arg);

	lsc_cancel(beats);
	lsc_unref(beats);
	return r;
}

static int run_plain(void)
{
	int epoll = epoll_create1(0);
	struct epoll_event in = {.events = EPOLLIN}, got;

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0)
		return -1;
	while (epoll_wait(epoll, &got, 1, 20) <= 0 || obey())
		;
	return close(epoll);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("running");
	while (lsc_run(run, NULL) >= 0 && run_plain() >= 0)
		;
	return 1;
}
