/* SPDX-License-Identifier: MIT */
/*
 * An event loop that computes for a moment and then sleeps, turn after turn, for another process to
 * move it between CPUs meanwhile. A line on stdin, "COUNT SLEEP_US SPIN_US", asks for so many
 * turns; each computes for up to SPIN_US and sleeps for SLEEP_US. Between them it idles for a few
 * ms. When they are done a line of JSON tells of each by the loop's own clock: when the turn began
 * and ended, when its sleep began and ended, and how long, by the kernel's account, it lacked a CPU
 * in it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define TURNS_MAX 1000

struct turn {
	uint64_t begin_ns, sleep_ns, awake_ns, end_ns, delay_ns;
};

static struct turn turns[TURNS_MAX];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t delay_ns(int schedstat)
{
	char text[128] = "";
	uint64_t ns;

	if (pread(schedstat, text, sizeof(text) - 1, 0) <= 0 || sscanf(text, "%*u %lu", &ns) != 1)
		exit(1);
	return ns;
}

static void take_turn(struct turn *t, unsigned sleep_us, unsigned spin_us, int schedstat)
{
	struct timespec nap = {sleep_us / 1000000, (long)(sleep_us % 1000000) * 1000};

	t->begin_ns = now_ns();
	uint64_t delay = delay_ns(schedstat);
	uint64_t until = t->begin_ns + (uint64_t)rand() % (spin_us * 1000ull + 1);
	while ((t->sleep_ns = now_ns()) < until)
		;
	nanosleep(&nap, NULL);
	t->awake_ns = now_ns();
	t->delay_ns = delay_ns(schedstat) - delay;
	t->end_ns = now_ns();
}

static void tell(unsigned count)
{
	printf("{\"turns\": [");
	for (unsigned i = 0; i < count; i++)
		printf("%s{\"begin_ns\": %lu, \"sleep_ns\": %lu, \"awake_ns\": %lu, \"end_ns\": "
		       "%lu, "
		       "\"delay_ns\": %lu}",
		       i ? ", " : "", turns[i].begin_ns, turns[i].sleep_ns, turns[i].awake_ns,
		       turns[i].end_ns, turns[i].delay_ns);
	puts("]}");
}

int main(void)
{
	int epoll = epoll_create1(0), schedstat = open("/proc/thread-self/schedstat", O_RDONLY);
	struct epoll_event in = {.events = EPOLLIN}, got;
	unsigned count = 0, done = 0, sleep_us = 0, spin_us = 0;
	char line[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (epoll < 0 || schedstat < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0)
		return 1;
	puts("running");
	for (;;) {
		int n = epoll_wait(epoll, &got, 1, count ? 2 + rand() % 5 : 20);
		if (n > 0) {
			ssize_t size = read(STDIN_FILENO, line, sizeof(line) - 1);
			if (size <= 0)
				return 0;
			line[size] = '\0';
			done = 0;
			if (sscanf(line, "%u %u %u", &count, &sleep_us, &spin_us) != 3 ||
			    count > TURNS_MAX)
				return 1;
		} else if (done < count) {
			take_turn(&turns[done++], sleep_us, spin_us, schedstat);
			if (done < count)
				continue;
			tell(count);
			count = 0;
		}
	}
}
