/* SPDX-License-Identifier: MIT */
/*
 * A target with too much of everything: N epoll loops that each block now and then, and a churn of
 * threads that are born and die, beside threads that sleep for ever. Says "running" when all loops
 * turn; on each line of input every loop sleeps once that many microseconds, and a line of JSON
 * tells by its own clock how long the first one took, and how many short threads there were.
 *
 *   many_threads LOOPS CHURNERS [SLEEPERS [WAITS]]
 *
 * WAITS: each short thread waits so many times, 100 us each, in an epoll set before it dies.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS 20

static atomic_uint block_us[1024];
static atomic_ullong took_ns[1024];
static atomic_uint turns[1024];
static atomic_ullong born;
static int waits;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *turn_loop(void *arg)
{
	size_t i = (size_t)arg;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN};
	volatile char depth[16 << 10]; /* a copy of this stack is as large as copies get */

	for (size_t k = 0; k < sizeof(depth); k++)
		depth[k] = 0;
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, eventfd(0, EFD_CLOEXEC), &ev) < 0)
		abort();
	for (;;) {
		if (epoll_wait(epoll, &ev, 1, TURN_MS) < 0 && errno != EINTR)
			abort();
		atomic_fetch_add(&turns[i], 1);
		unsigned us = atomic_exchange(&block_us[i], 0);
		if (!us)
			continue;
		uint64_t begin = now_ns();
		usleep(us);
		atomic_store(&took_ns[i], now_ns() - begin);
	}
	return NULL;
}

static void *live_shortly(void *arg)
{
	(void)arg;
	atomic_fetch_add(&born, 1);
	if (waits) {
		const struct timespec shortly = {.tv_nsec = 100000};
		struct epoll_event ev;
		int epoll = epoll_create1(EPOLL_CLOEXEC);
		for (int i = 0; i < waits; i++)
			epoll_pwait2(epoll, &ev, 1, &shortly, NULL);
		close(epoll);
	}
	return NULL;
}

/* Threads that are born and die, as fast as it goes. */
static void *churn(void *arg)
{
	pthread_t t[8];

	(void)arg;
	for (;;) {
		for (int i = 0; i < 8; i++)
			if (pthread_create(&t[i], NULL, live_shortly, NULL))
				abort();
		for (int i = 0; i < 8; i++)
			pthread_join(t[i], NULL);
	}
	return NULL;
}

static void *sleep_for_ever(void *arg)
{
	for (;;)
		sem_wait(arg);
	return NULL;
}

static void wait_for(const atomic_uint *value, unsigned least)
{
	while (atomic_load(value) < least)
		usleep(1000);
}

int main(int argc, char **argv)
{
	size_t loops = argc > 1 ? (size_t)atoi(argv[1]) : 1,
	       churners = argc > 2 ? (size_t)atoi(argv[2]) : 0;
	size_t sleepers = argc > 3 ? (size_t)atoi(argv[3]) : 0;
	sem_t never;

	waits = argc > 4 ? atoi(argv[4]) : 0;
	pthread_attr_t small;
	pthread_t t;
	char line[64];

	if (loops < 1 || loops > 1024)
		return 2;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	for (size_t i = 0; i < loops; i++)
		if (pthread_create(&t, &small, turn_loop, (void *)i))
			abort();
	for (size_t i = 0; i < loops; i++)
		wait_for(&turns[i], 3);
	pthread_attr_setstacksize(&small, 16 << 10);
	sem_init(&never, 0, 0);
	for (size_t i = 0; i < sleepers; i++)
		if (pthread_create(&t, &small, sleep_for_ever, &never))
			abort();
	for (size_t i = 0; i < churners; i++)
		if (pthread_create(&t, NULL, churn, NULL))
			abort();
	printf("running\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (size_t i = 0; i < loops; i++) {
			atomic_store(&took_ns[i], 0);
			atomic_store(&block_us[i], (unsigned)atoi(line));
		}
		for (size_t i = 0; i < loops; i++)
			while (!atomic_load(&took_ns[i]))
				usleep(1000);
		printf("{\"ns\":%llu,\"born\":%llu}\n", atomic_load(&took_ns[0]),
		       atomic_load(&born));
		fflush(stdout);
	}
	return 0;
}
