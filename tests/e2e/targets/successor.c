/* SPDX-License-Identifier: MIT */
/*
 * Two loops one after the other, each in a thread of its own, which get the same number for their
 * epoll set. They begin at a line on stdin. The second waits in a semaphore in one of its turns, as
 * deep as it waits for events; prints how long, in ns.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static sem_t waits, let_go;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void turn(int epoll, int turns)
{
	struct epoll_event e;

	for (int i = 0; i < turns; i++)
		epoll_wait(epoll, &e, 1, 20);
}

static void *first(void *arg)
{
	int epoll = epoll_create1(0);

	turn(epoll, 20);
	close(epoll);
	return arg;
}

static void *second(void *arg)
{
	int epoll = epoll_create1(0);

	turn(epoll, 30);
	uint64_t begin = now_ns();
	sem_post(&waits);
	sem_wait(&let_go);
	uint64_t end = now_ns();
	turn(epoll, 10);
	printf("{\"ns\": %llu, \"end_ns\": %llu}\n", (unsigned long long)(end - begin),
	       (unsigned long long)end);
	fflush(stdout);
	turn(epoll, 1000);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	if (argc != 2 || sem_init(&waits, 0, 0) || sem_init(&let_go, 0, 0))
		return 2;
	puts("running");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	if (pthread_create(&t, NULL, first, NULL) || pthread_join(t, NULL) ||
	    pthread_create(&t, NULL, second, NULL))
		return 1;
	sem_wait(&waits);
	usleep((useconds_t)atol(argv[1]) * 1000);
	sem_post(&let_go);
	return pthread_join(t, NULL);
}
