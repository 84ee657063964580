/* SPDX-License-Identifier: MIT */
/*
 * An epoll loop whose callback blocks deep below itself. A line on stdin: "DEPTH SECONDS [TIMES]";
 * so many times the callback serve() calls descend(), which calls itself DEPTH times with 1 KiB of
 * stack for each, then sleeps in rest(). Answered with the length of the last sleep, as JSON.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((noinline)) static uint64_t rest(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	uint64_t begin = now_ns();

	nanosleep(&t, NULL);
	return now_ns() - begin;
}

/* NOLINTNEXTLINE(misc-no-recursion): a deep stack is what it is for */
__attribute__((noinline)) static uint64_t descend(int depth, double seconds)
{
	volatile char room[1024];

	room[0] = room[sizeof(room) - 1] = 0;
	uint64_t ns = depth > 0 ? descend(depth - 1, seconds) : rest(seconds);
	room[0] = 1;
	return ns;
}

__attribute__((noinline)) static void serve(void)
{
	char line[128];
	int depth = 0, times = 1;
	double seconds = 0;
	uint64_t ns = 0;
	ssize_t size = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (size <= 0)
		exit(0);
	line[size] = '\0';
	if (sscanf(line, "%d %lf %d", &depth, &seconds, &times) < 2)
		exit(1);
	for (int i = 0; i < times; i++)
		ns = descend(depth, seconds);
	printf("{\"ns\": %lu}\n", ns);
}

int main(void)
{
	int epoll = epoll_create1(0);
	struct epoll_event in = {.events = EPOLLIN}, got;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0)
		return 1;
	puts("running");
	for (;;)
		if (epoll_wait(epoll, &got, 1, 20) > 0)
			serve();
}
