/* SPDX-License-Identifier: MIT */
/*
 * A loop and its only client, which take turns on one CPU: what watching costs the loop's thread
 * itself, caches included. The client's message ends the loop's idling; in the turn the two
 * exchange BLOCKS more, for each of which the loop blocks in read(). The loop's stack is STACK
 * bytes deep. The number of exchanges stands in a mapped file: bench_rounds STACK BLOCKS COUNT-FILE
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
#include <unistd.h>

#define MESSAGE 32

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

static int run_loop(int turns, int calls, long blocks, _Atomic uint64_t *count)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, turns, &ev) < 0)
		return fail("epoll");
	for (;;) {
		if (epoll_wait(ep, &ev, 1, -1) != 1 || answer(turns) < 0)
			return fail("epoll_wait");
		for (long i = 0; i < blocks; i++)
			if (answer(calls) < 0)
				return fail("read");
		atomic_fetch_add_explicit(count, blocks ? (uint64_t)blocks : 1,
					  memory_order_relaxed);
	}
}

int main(int argc, char **argv)
{
	int turns[2], calls[2];

	if (argc != 4)
		return fprintf(stderr, "usage: %s STACK BLOCKS COUNT-FILE\n", argv[0]), 2;
	size_t depth = strtoul(argv[1], NULL, 10);
	long blocks = atol(argv[2]);
	int file = open(argv[3], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, sizeof(uint64_t)) < 0)
		return fail(argv[3]);
	_Atomic uint64_t *count =
		mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (count == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, turns) < 0 ||
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
	return run_loop(turns[0], calls[0], blocks, count);
}
