/* SPDX-License-Identifier: MIT */
/*
 * A loop of poll() deep in the stack, which lets go of its place for another wait. Lines on stdin:
 * "out SECONDS" has it sleep for so long in a turn and return to main(), which waits in an epoll
 * set from then on; "in TURNS" has it wait in an epoll set further in, for so many turns of 100 ms,
 * which is answered when they are over. The answers are lines of JSON with lengths by its own
 * clock.
 */
#include <alloca.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define DEEP (256 << 10)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void answer(uint64_t begin)
{
	uint64_t end = now_ns();

	printf("{\"ns\": %lu, \"end_ns\": %lu}\n", end - begin, end);
}

static __attribute__((noinline)) void turn_in_epoll(int epoll, unsigned turns)
{
	struct epoll_event got;

	for (unsigned i = 0; i < turns; i++)
		if (epoll_wait(epoll, &got, 1, 100) < 0)
			exit(1);
}

/* The same further in. */
static __attribute__((noinline)) void turn_further_in(int epoll, unsigned turns)
{
	volatile char *room = alloca(DEEP);

	room[0] = 0;
	turn_in_epoll(epoll, turns);
	room[DEEP - 1] = 0;
}

/* Until a line says to leave it. */
static __attribute__((noinline)) void turn_in_poll(int epoll, int never)
{
	struct pollfd set[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = never, .events = POLLIN}};
	volatile char *room = alloca(DEEP);
	unsigned turns;
	double seconds;
	char line[128];

	room[0] = 0;
	for (;;) {
		if (poll(set, 2, 20) <= 0)
			continue;
		ssize_t size = read(STDIN_FILENO, line, sizeof(line) - 1);
		if (size <= 0)
			exit(0);
		line[size] = '\0';
		uint64_t begin = now_ns();
		if (sscanf(line, "in %u", &turns) == 1) {
			turn_further_in(epoll, turns);
			answer(begin);
		} else if (sscanf(line, "out %lf", &seconds) == 1) {
			struct timespec t = {(time_t)seconds,
					     (long)((seconds - (double)(time_t)seconds) * 1e9)};
			nanosleep(&t, NULL);
			answer(begin);
			break;
		}
	}
	room[DEEP - 1] = 0;
}

int main(void)
{
	int epoll = epoll_create1(0), never = eventfd(0, 0);
	struct epoll_event in = {.events = EPOLLIN};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (epoll < 0 || never < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, never, &in) < 0)
		return 1;
	puts("running");
	turn_in_poll(epoll, never);
	for (;;)
		turn_in_epoll(epoll, 1);
}
