/* SPDX-License-Identifier: MIT */
/*
 * A loop with a known number of turns and short blocks: what a probe costs for each. It turns every
 * TURN microseconds (a timer in an epoll set) and blocks BLOCKS times in each turn for BLOCK
 * microseconds; both counts stand in a mapped file: bench_sleeper TURN BLOCKS BLOCK COUNT-FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "bench_sleeper: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return fprintf(stderr, "usage: %s TURN BLOCKS BLOCK COUNT-FILE\n", argv[0]), 2;
	long turn_ns = atol(argv[1]) * 1000, blocks = atol(argv[2]);
	const struct timespec block = {0, atol(argv[3]) * 1000};
	const struct itimerspec every = {{0, turn_ns}, {0, turn_ns}};
	struct epoll_event ev = {.events = EPOLLIN};
	uint64_t expired;

	int file = open(argv[4], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, 2 * sizeof(uint64_t)) < 0)
		return fail(argv[4]);
	_Atomic uint64_t *counts =
		mmap(NULL, 2 * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (counts == MAP_FAILED || ep < 0 || timer < 0 ||
	    timerfd_settime(timer, 0, &every, NULL) < 0 ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, timer, &ev) < 0)
		return fail("timer");
	for (;;) {
		if (epoll_wait(ep, &ev, 1, -1) != 1 || read(timer, &expired, 8) != 8)
			return fail("epoll_wait");
		atomic_fetch_add_explicit(&counts[0], 1, memory_order_relaxed);
		for (long i = 0; i < blocks; i++) {
			nanosleep(&block, NULL);
			atomic_fetch_add_explicit(&counts[1], 1, memory_order_relaxed);
		}
	}
}
