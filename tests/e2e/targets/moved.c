/* SPDX-License-Identifier: MIT */
/*
 * An event loop that computes for a moment and then sleeps, turn after turn, for another process to
 * move it between CPUs meanwhile. A line on stdin, "COUNT SLEEP_US SPIN_US KIND", asks for so many
 * turns; each computes for up to SPIN_US and sleeps for SLEEP_US, in a call by KIND: "sleep",
 * "poll" of a pipe that stays empty, and "read" of a pipe and "futex", which another thread ends.
 * Between them it idles for a few ms. When they are done a line of JSON tells of each by the loop's
 * own clock: when the turn began and ended, when its sleep began and ended, when that was due to
 * end, and how long, by the kernel's account, it lacked a CPU in it; and how often it was preempted
 * between its looks at the clock before and behind the sleep.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TURNS_MAX 1000

struct turn {
	uint64_t begin_ns, sleep_ns, due_ns, awake_ns, end_ns, delay_ns;
	long preempted;
};

static struct turn turns[TURNS_MAX];
static int asked[2], answer[2]; /* pipes to the other thread, and back */
static atomic_uint word;	/* the futex; 0 while it is waited for */
static _Atomic uint64_t ended_ns;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t delay_ns(int schedstat)
{
	char text[128] = "";
	uint64_t ns;

	if (pread(schedstat, text, sizeof(text) - 1, 0) <= 0 || sscanf(text, "%*u %lu", &ns) != 1)
		exit(1);
	return ns;
}

static long preemptions(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nivcsw;
}

static void rest_us(unsigned us)
{
	struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};

	nanosleep(&t, NULL);
}

/* Ends the loop's waits. */
static void *end_waits(void *arg)
{
	unsigned us;

	while (read(asked[0], &us, sizeof(us)) == sizeof(us)) {
		rest_us(us);
		ended_ns = now_ns();
		word = 1;
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		if (write(answer[1], "", 1) != 1)
			exit(1);
	}
	return arg;
}

static void ask(unsigned us)
{
	ended_ns = 0;
	word = 0;
	if (write(asked[1], &us, sizeof(us)) != sizeof(us))
		exit(1);
}

static void take_answer(void)
{
	char byte;

	if (read(answer[0], &byte, 1) != 1)
		exit(1);
}

static void sleep_in(const char *kind, struct turn *t, unsigned us)
{
	struct pollfd p = {.fd = answer[0], .events = POLLIN};
	long preempted = preemptions();

	t->sleep_ns = now_ns();
	if (!strcmp(kind, "sleep")) {
		rest_us(us);
	} else if (!strcmp(kind, "poll")) {
		poll(&p, 1, (int)(us / 1000));
	} else if (!strcmp(kind, "read")) {
		take_answer();
	} else {
		while (!word)
			syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	}
	t->awake_ns = now_ns();
	t->preempted = preemptions() - preempted;
	t->due_ns = ended_ns ? ended_ns : t->sleep_ns + us * 1000ull;
}

static void take_turn(struct turn *t, unsigned sleep_us, unsigned spin_us, const char *kind,
		      int schedstat)
{
	t->begin_ns = now_ns();
	uint64_t delay = delay_ns(schedstat);
	uint64_t until = t->begin_ns + (uint64_t)rand() % (spin_us * 1000ull + 1);
	while (now_ns() < until)
		;
	if (!strcmp(kind, "read") || !strcmp(kind, "futex"))
		ask(sleep_us); /* which may cost the CPU */
	sleep_in(kind, t, sleep_us);
	t->delay_ns = delay_ns(schedstat) - delay;
	t->end_ns = now_ns();
	if (!strcmp(kind, "futex"))
		take_answer();
}

static void tell(unsigned count)
{
	printf("{\"turns\": [");
	for (unsigned i = 0; i < count; i++)
		printf("%s{\"begin_ns\": %lu, \"sleep_ns\": %lu, \"due_ns\": %lu, \"awake_ns\": "
		       "%lu, "
		       "\"end_ns\": %lu, \"delay_ns\": %lu, \"preempted\": %ld}",
		       i ? ", " : "", turns[i].begin_ns, turns[i].sleep_ns, turns[i].due_ns,
		       turns[i].awake_ns, turns[i].end_ns, turns[i].delay_ns, turns[i].preempted);
	puts("]}");
}

int main(void)
{
	int epoll = epoll_create1(0), schedstat = open("/proc/thread-self/schedstat", O_RDONLY);
	struct epoll_event in = {.events = EPOLLIN}, got;
	unsigned count = 0, done = 0, sleep_us = 0, spin_us = 0;
	char line[128], kind[16] = "";
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (epoll < 0 || schedstat < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) < 0 ||
	    pipe(asked) < 0 || pipe(answer) < 0 || pthread_create(&thread, NULL, end_waits, NULL))
		return 1;
	puts("running");
	for (;;) {
		int n = epoll_wait(epoll, &got, 1, count ? 2 + rand() % 5 : 20);
		if (n > 0) {
			ssize_t size = read(STDIN_FILENO, line, sizeof(line) - 1);
			if (size <= 0)
				return 0;
			line[size] = '\0';
			done = 0;
			if (sscanf(line, "%u %u %u %15s", &count, &sleep_us, &spin_us, kind) != 4 ||
			    count > TURNS_MAX)
				return 1;
		} else if (done < count) {
			take_turn(&turns[done++], sleep_us, spin_us, kind, schedstat);
			if (done < count)
				continue;
			tell(count);
			count = 0;
		}
	}
}
