/* SPDX-License-Identifier: MIT */
/*
 * A loop on epoll whose sleeps io_uring interrupts: a thread of its own writes to what a ring of
 * the loop's thread polls, and the kernel has the loop's thread see to that at once. Its call goes
 * on then. Each line of input, "SLEEP_US PIECE_US", is such a sleep, interrupted every PIECE_US; a
 * line of JSON tells how long it took and how often the ring had something for it.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct io_uring ring;
static int event;
static atomic_uint piece_us; /* 0: nothing is sent */

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(77);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void rest_us(uint64_t us)
{
	struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static void *interrupt(void *arg)
{
	uint64_t one = 1;

	for (;;) {
		unsigned us = piece_us;
		rest_us(us ? us : 1000);
		if (us)
			must(write(event, &one, sizeof(one)) == sizeof(one), "eventfd");
	}
	return arg;
}

/* How often the ring had something. */
static unsigned reap(void)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	for (; !io_uring_peek_cqe(&ring, &cqe); n++)
		io_uring_cqe_seen(&ring, cqe);
	return n;
}

/* A callback's sleep. */
__attribute__((noinline)) static void nap(unsigned us, unsigned piece)
{
	reap();
	piece_us = piece;
	uint64_t begin = now_ns();
	rest_us(us);
	uint64_t end = now_ns();
	piece_us = 0;
	printf("{\"tid\": %d, \"ns\": %llu, \"end_ns\": %llu, \"times\": %u}\n", (int)gettid(),
	       (unsigned long long)(end - begin), (unsigned long long)end, reap());
	fflush(stdout);
}

int main(void)
{
	struct epoll_event in = {.events = EPOLLIN};
	pthread_t thread;
	char line[64];
	unsigned us, piece;

	int set = epoll_create1(EPOLL_CLOEXEC);
	must(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, STDIN_FILENO, &in) == 0, "epoll");
	event = eventfd(0, EFD_CLOEXEC);
	must(event >= 0, "eventfd");
	errno = -io_uring_queue_init(256, &ring, 0);
	must(!errno, "io_uring");
	io_uring_prep_poll_multishot(io_uring_get_sqe(&ring), event, POLLIN | EPOLLET);
	must(io_uring_submit(&ring) == 1, "io_uring_submit");
	must(!pthread_create(&thread, NULL, interrupt, NULL), "pthread_create");
	printf("running\n");
	fflush(stdout);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		int n = epoll_wait(set, &in, 1, -1);
		if (n < 0 && errno == EINTR)
			continue;
		must(n == 1, "epoll_wait");
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		if (sscanf(line, "%u %u", &us, &piece) == 2)
			nap(us, piece);
	}
}
