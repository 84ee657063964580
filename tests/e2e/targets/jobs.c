/* SPDX-License-Identifier: MIT */
/*
 * A pool of one worker whose jobs run an event loop each. A line on stdin, "SECONDS", is a job: the
 * loop turns ten times, sleeps for so long in a last turn, closes what it waited for and is over,
 * and the worker waits for the next job. Answered with the length of that sleep, as JSON.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static double job = -1;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void run_job(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	int epoll = epoll_create1(0);
	struct epoll_event got;
	volatile char room[4096]; /* its loop is deeper in the stack than the wait for a job */

	room[0] = 0;
	for (int i = 0; i < 10; i++)
		if (epoll_wait(epoll, &got, 1, 20) < 0)
			exit(1);
	uint64_t begin = now_ns();
	nanosleep(&t, NULL);
	uint64_t end = now_ns();
	close(epoll);
	room[sizeof(room) - 1] = 0;
	printf("{\"ns\": %lu, \"end_ns\": %lu}\n", end - begin, end);
}

static void *work(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (job < 0)
			pthread_cond_wait(&some, &lock);
		double mine = job;
		job = -1;
		pthread_mutex_unlock(&lock);
		run_job(mine);
	}
	return arg;
}

int main(void)
{
	pthread_t worker;
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pthread_create(&worker, NULL, work, NULL))
		return 1;
	puts("running");
	while (fgets(line, sizeof(line), stdin)) {
		pthread_mutex_lock(&lock);
		job = strtod(line, NULL);
		pthread_cond_signal(&some);
		pthread_mutex_unlock(&lock);
	}
	return 0;
}
