/* SPDX-License-Identifier: MIT */
/*
 * N processes of one name, each an epoll loop that turns a few times a second. Says "running" when
 * all of them turn. A line of input "INDEX MICROSECONDS" has that one sleep in a turn, "-1
 * MICROSECONDS" all of them; for each a line of JSON tells by its own clock how long it took and
 * when it was over. "more N" adds N of them. They die with the one that was started.
 *
 *   many_processes N NAME
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MOST	8192
#define TURN_MS 250

struct answer { /* ns 0: it turns */
	int pid, pad;
	uint64_t ns, end_ns;
};

static int orders[MOST]; /* an eventfd each: microseconds */
static int answers[2];
static int count;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void answer(uint64_t ns, uint64_t end_ns)
{
	struct answer a = {.pid = getpid(), .ns = ns, .end_ns = end_ns};

	if (write(answers[1], &a, sizeof(a)) != sizeof(a))
		_exit(1);
}

static void turn(int order)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, order, &ev) < 0)
		_exit(1);
	answer(0, 0);
	for (;;) {
		uint64_t us = 0;
		int n = epoll_wait(epoll, &ev, 1, TURN_MS);
		if (n < 0 && errno != EINTR)
			_exit(1);
		if (n <= 0 || read(order, &us, sizeof(us)) != sizeof(us))
			continue;
		uint64_t begin = now_ns();
		usleep((useconds_t)us);
		uint64_t end = now_ns();
		answer(end - begin, end);
	}
}

static void next_answer(struct answer *ret)
{
	if (read(answers[0], ret, sizeof(*ret)) != sizeof(*ret))
		exit(1);
}

static void add(int n, const char *name)
{
	struct answer a;

	for (int i = 0; i < n && count < MOST; i++) {
		orders[count] = eventfd(0, EFD_CLOEXEC);
		if (orders[count] < 0)
			exit(1);
		pid_t pid = fork();
		if (pid < 0)
			exit(1);
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, name);
			int order = dup(orders[count]); /* not all the others' */
			close_range(3, (unsigned)answers[1] - 1, 0);
			close_range((unsigned)answers[1] + 1, (unsigned)order - 1, 0);
			turn(order);
		}
		count++;
		next_answer(&a);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct answer a;
	char line[64];

	if (argc != 3 || pipe(answers) < 0)
		return 2;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	add(atoi(argv[1]), argv[2]);
	printf("running\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		int index, all;
		long us, sent = 0;
		if (sscanf(line, "more %d", &index) == 1) {
			add(index, argv[2]);
			printf("more\n");
		} else if (sscanf(line, "%d %ld", &index, &us) == 2 && index < count) {
			uint64_t value = (uint64_t)us;
			all = index < 0;
			for (int i = all ? 0 : index; i < (all ? count : index + 1); i++)
				sent += write(orders[i], &value, sizeof(value)) == sizeof(value);
			for (long i = 0; i < sent; i++) {
				next_answer(&a);
				printf("{\"pid\":%d,\"ns\":%llu,\"end_ns\":%llu}\n", a.pid,
				       (unsigned long long)a.ns, (unsigned long long)a.end_ns);
			}
		}
		fflush(stdout);
	}
	return 0;
}
