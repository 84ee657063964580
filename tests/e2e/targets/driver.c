/* SPDX-License-Identifier: MIT */
/*
 * Two threads take turns in one epoll set while the other parks in a futex. "turn" hands over: the
 * one in the set goes to park first, and the other enters the set when that one sleeps. No thread
 * is ever held.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int set, wake, driver; /* driver: whose turn it is, -1 nobody's */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *work(void *arg)
{
	int me = (int)(intptr_t)arg;
	struct epoll_event ev;
	uint64_t n;

	for (;;) {
		pthread_mutex_lock(&lock);
		while (driver != me)
			pthread_cond_wait(&turned[me], &lock);
		pthread_mutex_unlock(&lock);
		if (epoll_wait(set, &ev, 1, -1) != 1 || read(wake, &n, sizeof(n)) != sizeof(n))
			die("epoll_wait");
		pthread_mutex_lock(&lock);
		driver = -1;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void take_turn(int who)
{
	pthread_mutex_lock(&lock);
	driver = who;
	pthread_cond_signal(&turned[who]);
	pthread_mutex_unlock(&lock);
}

int main(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	pthread_t threads[2];
	char line[32];

	set = epoll_create1(EPOLL_CLOEXEC);
	wake = eventfd(0, EFD_CLOEXEC);
	if (set < 0 || wake < 0 || epoll_ctl(set, EPOLL_CTL_ADD, wake, &ev) < 0)
		die("epoll_create1");
	for (intptr_t i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			die("pthread_create");
	puts("ready");
	fflush(stdout);
	for (int who = 0; fgets(line, sizeof(line), stdin);) {
		if (!strcmp(line, "leave\n")) {
			if (eventfd_write(wake, 1) < 0)
				die("eventfd_write");
		} else {
			take_turn(who = !who);
		}
		puts("done");
		fflush(stdout);
	}
	return 0;
}
