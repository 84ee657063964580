/* SPDX-License-Identifier: MIT */
/*
 * Three loops of one thread, one after the other, at the same depth or others; before, between and
 * after them it sleeps, waits for a semaphore and computes, which is no turn of a loop. Each loop
 * closes all that it waited for. Prints what it plants within a loop, by its own clock.
 *
 *   reopened epoll|poll|select|uring|uring-numbered SEED
 *
 * uring-numbered: the ring goes by a number of its own. Exits 77 where this build has no liburing,
 * or the kernel no io_uring.
 */
#include <poll.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_URING
#include <liburing.h>
#endif

#define TURN_MS 10
#define SKIPPED 77

struct loop { /* what it waits for */
	int a, b, epoll;
#ifdef HAVE_URING
	struct io_uring ring;
#endif
};

struct kind {
	const char *name;
	void (*open)(struct loop *l);
	void (*wait)(struct loop *l);
	void (*close)(struct loop *l);
};

static unsigned int seed;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int between(int least, int most)
{
	return least + rand_r(&seed) % (most - least + 1);
}

static void open_files(struct loop *l)
{
	l->a = eventfd(0, EFD_CLOEXEC);
	l->b = eventfd(0, EFD_CLOEXEC);
	if (l->a < 0 || l->b < 0)
		abort();
}

static void close_files(struct loop *l)
{
	close(l->a);
	close(l->b);
}

static void wait_poll(struct loop *l)
{
	struct pollfd set[2] = {{.fd = l->a, .events = POLLIN}, {.fd = l->b, .events = POLLIN}};

	poll(set, 2, TURN_MS);
}

static void wait_select(struct loop *l)
{
	struct timeval t = {.tv_usec = TURN_MS * 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(l->a, &set);
	FD_SET(l->b, &set);
	select((l->a > l->b ? l->a : l->b) + 1, &set, NULL, NULL, &t);
}

static void open_epoll(struct loop *l)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		abort();
}

static void wait_epoll(struct loop *l)
{
	struct epoll_event e;

	epoll_wait(l->epoll, &e, 1, TURN_MS);
}

static void close_epoll(struct loop *l)
{
	close(l->epoll);
}

#ifdef HAVE_URING
static void open_ring(struct loop *l)
{
	if (io_uring_queue_init(8, &l->ring, 0) < 0)
		exit(SKIPPED);
}

static void open_numbered(struct loop *l)
{
	open_ring(l);
	if (io_uring_register_ring_fd(&l->ring) != 1)
		exit(SKIPPED);
}

static void wait_ring(struct loop *l)
{
	struct __kernel_timespec t = {.tv_nsec = TURN_MS * 1000000};
	struct io_uring_cqe *cqe;

	io_uring_wait_cqe_timeout(&l->ring, &cqe, &t);
}

static void close_ring(struct loop *l)
{
	io_uring_queue_exit(&l->ring);
}
#endif

static const struct kind kinds[] = {
	{"epoll", open_epoll, wait_epoll, close_epoll},
	{"poll", open_files, wait_poll, close_files},
	{"select", open_files, wait_select, close_files},
#ifdef HAVE_URING
	{"uring", open_ring, wait_ring, close_ring},
	{"uring-numbered", open_numbered, wait_ring, close_ring},
#endif
};

static void plant(void)
{
	uint64_t begin = now_ns();

	usleep((useconds_t)between(100000, 200000));
	printf("{\"ns\": %llu}\n", (unsigned long long)(now_ns() - begin));
	fflush(stdout);
}

static void turn(const struct kind *k)
{
	struct loop l;

	k->open(&l);
	for (int planted = 0; planted < 2; planted++) { /* the second in the turn that ends it */
		for (int i = between(15, 30); i; i--)
			k->wait(&l);
		plant();
	}
	k->close(&l);
}

static __attribute__((noinline)) void deeper(const struct kind *k, int levels)
{
	volatile char frame[400];

	frame[0] = (char)levels;
	if (levels)
		deeper(k, levels - 1);
	else
		turn(k);
	frame[1] = frame[0];
}

static void outside(void)
{
	struct timespec until;
	uint64_t end;
	sem_t never;

	usleep((useconds_t)between(200000, 400000));
	sem_init(&never, 0, 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (until.tv_nsec + 300000000) / 1000000000;
	until.tv_nsec = (until.tv_nsec + 300000000) % 1000000000;
	sem_timedwait(&never, &until);
	for (end = now_ns() + (uint64_t)between(200, 400) * 1000000; now_ns() < end;)
		;
}

int main(int argc, char **argv)
{
	const struct kind *kind = NULL;

	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, argv[1]))
			kind = &kinds[i];
	if (!kind)
		return argc == 3 ? SKIPPED : 2;
	seed = (unsigned int)strtoul(argv[2], NULL, 10);
	outside();
	for (int i = 0; i < 3; i++) {
		deeper(kind, between(0, 2));
		outside();
	}
	return 0;
}
