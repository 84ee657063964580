/* SPDX-License-Identifier: MIT */
/*
 * A loop and its only client, which take turns on one CPU: what watching costs the loop's thread
 * itself, caches included. The client's message ends the loop's idling; in the turn the two
 * exchange BLOCKS more, for each of which the loop blocks in read(). The loop's stack is STACK
 * bytes deep. With PAUSE it works for so long after each exchange, so that they come one by one.
 * The number of exchanges and the ns of all pauses stand in a mapped file: bench_rounds STACK
 * BLOCKS PAUSE-US COUNT-FILE
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 32

/* As the file has them. */
struct counts {
	_Atomic uint64_t exchanges;
	_Atomic uint64_t paused_ns;
};

static int fail(const char *what)
{
	fprintf(stderr, "bench_rounds: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Sends a message and waits for one. */
static int say(int fd)
{
	char text[MESSAGE] = {0};

	return write(fd, text, sizeof(text)) == sizeof(text) &&
			       read(fd, text, sizeof(text)) == sizeof(text)
		       ? 0
		       : -1;
}

/* Waits for a message and sends one. */
static int answer(int fd)
{
	char text[MESSAGE];

	return read(fd, text, sizeof(text)) == sizeof(text) &&
			       write(fd, text, sizeof(text)) == sizeof(text)
		       ? 0
		       : -1;
}

static int run_client(int turns, int calls, long blocks)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return fail("prctl");
	for (;;) {
		if (say(turns) < 0)
			return 0;
		for (long i = 0; i < blocks; i++)
			if (say(calls) < 0)
				return 0;
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void work(struct counts *counts, uint64_t ns)
{
	uint64_t begin_ns = now_ns(), end_ns = begin_ns;

	while (end_ns - begin_ns < ns)
		end_ns = now_ns();
	atomic_fetch_add_explicit(&counts->paused_ns, end_ns - begin_ns, memory_order_relaxed);
}

static int run_loop(int turns, int calls, long blocks, uint64_t pause_ns, struct counts *counts)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, turns, &ev) < 0)
		return fail("epoll");
	for (;;) {
		if (epoll_wait(ep, &ev, 1, -1) != 1 || answer(turns) < 0)
			return fail("epoll_wait");
		for (long i = 0; i < blocks; i++) {
			if (answer(calls) < 0)
				return fail("read");
			if (pause_ns > 0)
				work(counts, pause_ns);
		}
		atomic_fetch_add_explicit(&counts->exchanges, blocks ? (uint64_t)blocks : 1,
					  memory_order_relaxed);
	}
}

int main(int argc, char **argv)
{
	int turns[2], calls[2];

	if (argc != 5)
		return fprintf(stderr, "usage: %s STACK BLOCKS PAUSE-US COUNT-FILE\n", argv[0]), 2;
	size_t depth = strtoul(argv[1], NULL, 10);
	long blocks = atol(argv[2]);
	uint64_t pause_ns = strtoul(argv[3], NULL, 10) * 1000;
	int file = open(argv[4], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, sizeof(struct counts)) < 0)
		return fail(argv[4]);
	struct counts *counts =
		mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (counts == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, turns) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, calls) < 0)
		return fail("socketpair");
	pid_t client = fork();
	if (client < 0)
		return fail("fork");
	if (client == 0)
		return run_client(turns[1], calls[1], blocks);
	char *room = alloca(depth + 1);
	memset(room, 1, depth + 1);
	__asm__ volatile("" : : "r"(room) : "memory"); /* it is used, as far as a compiler knows */
	return run_loop(turns[0], calls[0], blocks, pause_ns, counts);
}
