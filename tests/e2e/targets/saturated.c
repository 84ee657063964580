/* SPDX-License-Identifier: MIT */
/*
 * An event loop that can be saturated: its descriptor is always ready, each turn works for as many
 * us as the argument says, 200 without, and it never sleeps in its wait. Lines on stdin: `busy`;
 * `idle`, answered with the length of the longest turn since then; `work SECONDS`, `sleep SECONDS`,
 * or both in this order, which happen inside one turn and are answered with the length of that,
 * and of the longest turn since the last answer. All by its own clock.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void work(uint64_t ns)
{
	uint64_t until = now_ns() + ns;

	while (now_ns() < until)
		;
}

static uint64_t longest_ns; /* of the turns since `busy` */
static uint64_t before_ns;  /* of those since the last answer, from one wait's return to the next */

static void answer(uint64_t ns, uint64_t end)
{
	printf("{\"ns\": %llu, \"end_ns\": %llu, \"before_ns\": %llu}\n", (unsigned long long)ns,
	       (unsigned long long)end, (unsigned long long)before_ns);
	before_ns = 0;
}

/* Whether the turn is to be answered with its length. */
static bool obey(const char *line, int epoll, int ready)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = ready};
	double seconds;

	if (!strncmp(line, "busy", 4)) {
		longest_ns = 0;
		epoll_ctl(epoll, EPOLL_CTL_ADD, ready, &e);
		return false;
	}
	if (!strncmp(line, "idle", 4)) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, ready, NULL);
		answer(longest_ns, now_ns());
		return false;
	}
	if (sscanf(line, "work %lf", &seconds) == 1)
		work((uint64_t)(seconds * 1e9));
	const char *sleep = strstr(line, "sleep");
	if (sleep && sscanf(sleep, "sleep %lf", &seconds) == 1) {
		struct timespec t = {(time_t)seconds,
				     (long)((seconds - (double)(time_t)seconds) * 1e9)};
		nanosleep(&t, NULL);
	}
	return true;
}

int main(int argc, char **argv)
{
	uint64_t turn_ns = argc > 1 ? strtoull(argv[1], NULL, 10) * 1000 : 200000;
	int epoll = epoll_create1(0), ready = eventfd(1, 0);
	struct epoll_event in = {.events = EPOLLIN, .data.fd = STDIN_FILENO}, got[8];
	char line[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (epoll < 0 || ready < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0)
		return 1;
	puts("running");
	for (uint64_t last = now_ns();;) {
		int n = epoll_wait(epoll, got, 8, 20);
		uint64_t begin = now_ns(), since = begin - last;
		last = begin;
		before_ns = n > 0 && since > before_ns ? since : before_ns;
		bool asked = false;
		for (int i = 0; i < n; i++) {
			if (got[i].data.fd != STDIN_FILENO) {
				work(turn_ns);
				continue;
			}
			ssize_t size = read(STDIN_FILENO, line, sizeof(line) - 1);
			if (size <= 0)
				return 0;
			line[size] = '\0';
			asked = obey(line, epoll, ready);
		}
		uint64_t end = now_ns(), turn = end - begin;
		if (asked) {
			answer(turn, end);
			last = end;
		}
		longest_ns = turn > longest_ns ? turn : longest_ns;
	}
}
