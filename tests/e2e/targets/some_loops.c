/* SPDX-License-Identifier: MIT */
/*
 * N threads of one process, each an epoll loop. Lines of input, each answered by a line of JSON
 * with the thread's id and, by its own clock, how long it took and when it was over:
 *
 *   block I US      loop I sleeps so long in a turn
 *   start           one more loop begins to turn, in a thread that has slept until then
 *   leave I         loop I is closed; its thread waits in a futex for ever
 *   hang I          the same without closing it
 *   fork US         a child process, a loop of its own, sleeps so long in a turn; then it ends
 *
 *   some_loops N
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST	64
#define TURN_MS 20
#define LEAVE	(~0ull >> 1)
#define HANG	(LEAVE - 1) /* no greater numbers of microseconds are slept */

struct loop {
	int order; /* an eventfd: microseconds to sleep, or LEAVE, or HANG */
	sem_t begin, done;
	int tid;
	uint64_t ns, end_ns;
};

static struct loop loops[MOST];
static sem_t never;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Until it has done `most` orders, or left. */
static void turn(struct loop *l, int most)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t us;

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, l->order, &ev) < 0)
		abort();
	for (int turns = 0; most;) {
		int n = epoll_wait(epoll, &ev, 1, TURN_MS);
		if (n < 0 && errno != EINTR)
			abort();
		if (++turns == 3)
			sem_post(&l->done);
		if (n <= 0 || read(l->order, &us, sizeof(us)) != sizeof(us))
			continue;
		uint64_t begin = now_ns();
		if (us < HANG)
			usleep((useconds_t)us);
		l->end_ns = now_ns();
		l->ns = l->end_ns - begin;
		sem_post(&l->done);
		if (us == HANG)
			return;
		if (us == LEAVE)
			break;
		most--;
	}
	close(epoll);
}

static void *live(void *arg)
{
	struct loop *l = arg;

	l->tid = (int)syscall(SYS_gettid);
	sem_wait(&l->begin);
	turn(l, -1);
	for (;;)
		sem_wait(&never);
	return NULL;
}

static void add(struct loop *l)
{
	pthread_t t;

	l->order = eventfd(0, EFD_CLOEXEC);
	sem_init(&l->begin, 0, 0);
	sem_init(&l->done, 0, 0);
	if (l->order < 0 || pthread_create(&t, NULL, live, l))
		abort();
}

/* Not in a futex: the main thread must not look like a loop that parks there. */
static void wait_done(struct loop *l)
{
	while (sem_trywait(&l->done) < 0)
		usleep(1000);
}

static void start(struct loop *l)
{
	sem_post(&l->begin);
	wait_done(l);
}

static void order(struct loop *l, uint64_t us)
{
	if (write(l->order, &us, sizeof(us)) != sizeof(us))
		abort();
}

static void tell(const struct loop *l)
{
	printf("{\"tid\":%d,\"ns\":%llu,\"end_ns\":%llu}\n", l->tid, (unsigned long long)l->ns,
	       (unsigned long long)l->end_ns);
	fflush(stdout);
}

/* Its turns confirm where it idles; then the order comes. */
static void fork_loop(uint64_t us)
{
	struct loop l = {.order = eventfd(0, EFD_CLOEXEC)};
	pid_t pid = l.order < 0 ? -1 : fork();

	if (pid < 0)
		abort();
	if (pid == 0) {
		l.tid = getpid();
		sem_init(&l.done, 0, 0);
		turn(&l, 1);
		tell(&l);
		turn(&l, 1);
		_exit(0);
	}
	for (int i = 0; i < 2; i++) {
		usleep(10000 * TURN_MS);
		order(&l, i ? 1 : us);
	}
	while (waitpid(pid, NULL, WNOHANG) == 0)
		usleep(1000);
	close(l.order);
}

int main(int argc, char **argv)
{
	int n = argc == 2 ? atoi(argv[1]) : 0, i;
	unsigned long us;
	char line[64];

	if (n < 1 || n >= MOST)
		return 2;
	sem_init(&never, 0, 0);
	for (i = 0; i <= n; i++) /* one in reserve */
		add(&loops[i]);
	for (i = 0; i < n; i++)
		start(&loops[i]);
	printf("running\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "block %d %lu", &i, &us) == 2 && i >= 0 && i < n) {
			order(&loops[i], us);
			wait_done(&loops[i]);
			tell(&loops[i]);
		} else if ((sscanf(line, "leave %d", &i) == 1 || sscanf(line, "hang %d", &i) == 1) &&
			   i >= 0 && i < n) {
			order(&loops[i], line[0] == 'l' ? LEAVE : HANG);
			wait_done(&loops[i]);
			tell(&loops[i]);
		} else if (!strncmp(line, "start", 5) && n + 1 < MOST) {
			start(&loops[n]);
			tell(&loops[n++]);
			add(&loops[n]);
		} else if (sscanf(line, "fork %lu", &us) == 1) {
			fork_loop(us);
		}
	}
	return 0;
}
