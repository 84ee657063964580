/* SPDX-License-Identifier: MIT */
/*
 * A loop (epoll on stdin and a timer of 20 ms) whose main thread waits for what another thread
 * does. A line on stdin names the way and the seconds; the answer is a JSON object with the wait by
 * this program's own clock and the other thread's number. sleep burn   for a mutex, whose holder
 * sleeps or computes      pi robust recursive  the same by kind cond sem read write join   for what
 * has no owner, while the other thread sleeps
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define QUIET __attribute__((noinline, noclone))

static struct {
	pthread_mutex_t mutex, pi, robust, recursive, neighbour;
	pthread_cond_t cond;
	sem_t sem;
	pthread_rwlock_t rwlock;
} shared;

static struct {
	const char *how;
	double seconds;
	atomic_int tid;
	atomic_bool holds;
	bool done;
} order;

static volatile uint64_t sum;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static QUIET void settle_accounts(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
	sum++;
}

static QUIET void compress_ledger(double seconds)
{
	int64_t end = now_ns() + (int64_t)(seconds * 1e9);

	while (now_ns() < end)
		for (int i = 0; i < 20000; i++)
			sum += (uint64_t)i * i;
}

static QUIET void hold(pthread_mutex_t *m, void (*work)(double))
{
	pthread_mutex_lock(m);
	order.holds = true;
	work(order.seconds);
	pthread_mutex_unlock(m);
	sum++;
}

static pthread_mutex_t *mutex_of(const char *how)
{
	return !strcmp(how, "pi")	   ? &shared.pi
	       : !strcmp(how, "robust")	   ? &shared.robust
	       : !strcmp(how, "recursive") ? &shared.recursive
					   : &shared.mutex;
}

static QUIET void let_wait(void)
{
	const char *how = order.how;
	bool lock = !strcmp(how, "read") || !strcmp(how, "write");

	pthread_mutex_lock(&shared.neighbour); /* a lock beside, which nobody waits for */
	if (lock)
		pthread_rwlock_wrlock(&shared.rwlock);
	order.holds = true;
	settle_accounts(order.seconds);
	if (lock)
		pthread_rwlock_unlock(&shared.rwlock);
	if (!strcmp(how, "sem"))
		sem_post(&shared.sem);
	pthread_mutex_lock(&shared.mutex);
	order.done = true;
	pthread_cond_signal(&shared.cond);
	pthread_mutex_unlock(&shared.mutex);
	pthread_mutex_unlock(&shared.neighbour);
}

static void *serve(void *arg)
{
	(void)arg;
	order.tid = gettid();
	pthread_setname_np(pthread_self(), "accountant");
	if (!strcmp(order.how, "burn"))
		hold(&shared.mutex, compress_ledger);
	else if (mutex_of(order.how) != &shared.mutex || !strcmp(order.how, "sleep"))
		hold(mutex_of(order.how), settle_accounts);
	else
		let_wait();
	return NULL;
}

/* In the main thread, while the other one is at work. */
static QUIET void wait_for_it(pthread_t thread)
{
	const char *how = order.how;

	if (!strcmp(how, "sem")) {
		while (sem_wait(&shared.sem) < 0)
			;
	} else if (!strcmp(how, "read")) {
		pthread_rwlock_rdlock(&shared.rwlock);
		pthread_rwlock_unlock(&shared.rwlock);
	} else if (!strcmp(how, "write")) {
		pthread_rwlock_wrlock(&shared.rwlock);
		pthread_rwlock_unlock(&shared.rwlock);
	} else if (!strcmp(how, "cond")) {
		pthread_mutex_lock(&shared.mutex);
		while (!order.done)
			pthread_cond_wait(&shared.cond, &shared.mutex);
		pthread_mutex_unlock(&shared.mutex);
	} else if (strcmp(how, "join") != 0) {
		pthread_mutex_lock(mutex_of(how));
		pthread_mutex_unlock(mutex_of(how));
	}
	if (!strcmp(how, "join"))
		pthread_join(thread, NULL);
	sum++;
}

static void obey(void)
{
	char line[64], how[16];
	pthread_t thread;

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	if (sscanf(line, "%15s %lf", how, &order.seconds) != 2)
		exit(2);
	int64_t begin = now_ns();
	order.how = how;
	order.tid = 0;
	order.holds = order.done = false;
	if (pthread_create(&thread, NULL, serve, NULL))
		exit(3);
	while (!order.holds)
		usleep(50);
	wait_for_it(thread);
	if (strcmp(how, "join") != 0)
		pthread_join(thread, NULL);
	printf("{\"ns\": %lld, \"tid\": %d}\n", (long long)(now_ns() - begin), order.tid);
}

static void make_mutex(pthread_mutex_t *m, int type, int protocol, int robust)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	pthread_mutexattr_setprotocol(&a, protocol);
	pthread_mutexattr_setrobust(&a, robust);
	if (pthread_mutex_init(m, &a))
		exit(4);
	pthread_mutexattr_destroy(&a);
}

int main(void)
{
	struct itimerspec tick = {{0, 20000000}, {0, 20000000}};
	int ep = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct epoll_event input = {.events = EPOLLIN, .data.fd = 0},
			   beat = {.events = EPOLLIN, .data.fd = timer};
	uint64_t ticks;

	make_mutex(&shared.mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
	make_mutex(&shared.pi, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
	make_mutex(&shared.robust, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
	make_mutex(&shared.recursive, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE,
		   PTHREAD_MUTEX_STALLED);
	pthread_mutex_init(&shared.neighbour, NULL);
	pthread_cond_init(&shared.cond, NULL);
	pthread_rwlock_init(&shared.rwlock, NULL);
	sem_init(&shared.sem, 0, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	timerfd_settime(timer, 0, &tick, NULL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &input) || epoll_ctl(ep, EPOLL_CTL_ADD, timer, &beat))
		return 1;
	puts("running");
	for (;;) {
		struct epoll_event ev;
		if (epoll_wait(ep, &ev, 1, -1) != 1)
			continue;
		if (ev.data.fd == 0)
			obey();
		else if (read(timer, &ticks, sizeof(ticks)) != sizeof(ticks))
			return 1;
	}
}
