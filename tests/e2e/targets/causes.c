/* SPDX-License-Identifier: MIT */
/*
 * A loop that loses its time to one cause at a time. Each line of input names a cause and a length
 * in ns; the loop then does that, and a line of JSON tells by the thread's own clocks what became
 * of the time: "ns" by the wall, "cpu_ns" on a CPU, "user_ns" and "system_ns" of it (coarse),
 * "delay_ns" runnable without one. Several pairs on a line are done in one turn, with "parts" for
 * each.
 *
 *   busy kernel sleep naps lock fault cold
 *
 * "cold" reads pages of a mapped file that are not in memory, until so long went by in that; the
 * file is made when its path is an argument, and "running" is followed by how many of its pages are
 * in memory nevertheless. "begin_ns" is the turn's begin on CLOCK_MONOTONIC, "faults" the pages
 * that were read from a disk. Other arguments: "poll", to idle in poll() without a timeout instead
 * of epoll_wait(), and a number of threads that compute beside the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS 20
#define NAP_NS	500000
#define PAGE	4096
#define PARTS	8
#define ONE_S	1000000000ull
#define COLD	16384 /* pages of the file */
#define STRIDE	7919  /* and from one that is read to the next */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t wanted, taken; /* the mutex, by its owner-to-be */
static uint64_t hold_ns;    /* how long the owner keeps it, or the page is withheld */
static int faults;	    /* userfaultfd */
static int use_poll;
static char *cold; /* a page that is never there at first */
static const char *cold_file;
static size_t cold_read; /* of its pages */

struct measure {
	uint64_t ns, cpu_ns, user_ns, system_ns, delay_ns, faults;
};

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * ONE_S + (uint64_t)t.tv_nsec;
}

static uint64_t time_ns(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * ONE_S + (uint64_t)t->tv_usec * 1000;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / ONE_S), .tv_nsec = (long)(ns % ONE_S)};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

static struct measure measure(void)
{
	struct measure m = {.ns = clock_ns(CLOCK_MONOTONIC),
			    .cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)};
	struct rusage u;
	char text[128] = "";
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

	must(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "schedstat");
	close(fd);
	sscanf(text, "%*u %lu", &m.delay_ns);
	getrusage(RUSAGE_THREAD, &u);
	m.user_ns = time_ns(&u.ru_utime);
	m.system_ns = time_ns(&u.ru_stime);
	m.faults = (uint64_t)u.ru_majflt;
	return m;
}

static void *own_mutex(void *arg)
{
	(void)arg;
	for (;;) {
		sem_wait(&wanted);
		pthread_mutex_lock(&mutex);
		sem_post(&taken);
		sleep_ns(hold_ns);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *serve_faults(void *arg)
{
	struct uffd_msg m;

	(void)arg;
	while (read(faults, &m, sizeof(m)) == sizeof(m)) {
		struct uffdio_zeropage z = {.range = {.start = (uintptr_t)cold, .len = PAGE}};

		sleep_ns(hold_ns);
		must(ioctl(faults, UFFDIO_ZEROPAGE, &z) == 0, "UFFDIO_ZEROPAGE");
	}
	return NULL;
}

static void make_cold_page(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register r = {.mode = UFFDIO_REGISTER_MODE_MISSING};

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	must(faults >= 0 && ioctl(faults, UFFDIO_API, &api) == 0, "userfaultfd");
	cold = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(cold != MAP_FAILED, "mmap");
	r.range.start = (uintptr_t)cold;
	r.range.len = PAGE;
	must(ioctl(faults, UFFDIO_REGISTER, &r) == 0, "UFFDIO_REGISTER");
}

/* Returns how many of its pages are in memory although they were dropped. */
static size_t make_cold_file(const char *path)
{
	static unsigned char there[COLD];
	char page[PAGE];
	size_t resident = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0, path);
	memset(page, 1, sizeof(page));
	for (size_t i = 0; i < COLD; i++)
		must(write(fd, page, sizeof(page)) == sizeof(page), path);
	must(fsync(fd) == 0 && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), path);
	cold_file = mmap(NULL, (size_t)COLD * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	must(cold_file != MAP_FAILED, "mmap");
	close(fd);
	must(!madvise((void *)cold_file, (size_t)COLD * PAGE, MADV_RANDOM) &&
		     !mincore((void *)cold_file, (size_t)COLD * PAGE, there),
	     "mincore");
	for (size_t i = 0; i < COLD; i++)
		resident += there[i] & 1;
	return resident;
}

static void read_cold_file(uint64_t ns)
{
	uint64_t spent = 0;

	must(cold_file != NULL, "no file to read");
	for (; spent < ns && cold_read < COLD; cold_read++) {
		uint64_t begin = clock_ns(CLOCK_MONOTONIC);

		*(volatile const char *)&cold_file[cold_read * STRIDE % COLD * PAGE];
		spent += clock_ns(CLOCK_MONOTONIC) - begin;
	}
}

static void lose(const char *cause, uint64_t ns)
{
	static char random[1 << 16];
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + ns;

	if (!strcmp(cause, "busy")) {
		while (clock_ns(CLOCK_MONOTONIC) < until)
			;
	} else if (!strcmp(cause, "kernel")) {
		while (clock_ns(CLOCK_MONOTONIC) < until)
			must(getrandom(random, sizeof(random), 0) > 0, "getrandom");
	} else if (!strcmp(cause, "sleep")) {
		sleep_ns(ns);
	} else if (!strcmp(cause, "naps")) {
		while (clock_ns(CLOCK_MONOTONIC) < until)
			sleep_ns(NAP_NS);
	} else if (!strcmp(cause, "lock")) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
	} else if (!strcmp(cause, "fault")) {
		*(volatile char *)cold;
	} else if (!strcmp(cause, "cold")) {
		read_cold_file(ns);
	} else {
		errno = EINVAL;
		must(0, cause);
	}
}

/* What a cause needs before its time starts. */
static void prepare(const char *cause, uint64_t ns)
{
	hold_ns = ns;
	if (!strcmp(cause, "lock")) {
		sem_post(&wanted);
		while (sem_trywait(&taken)) /* spins: a wait here would be another cause */
			;
	} else if (!strcmp(cause, "fault")) {
		madvise(cold, PAGE, MADV_DONTNEED);
	}
}

static void print_measure(const struct measure *a, const struct measure *b)
{
	printf("\"ns\":%lu,\"cpu_ns\":%lu,\"user_ns\":%lu,\"system_ns\":%lu,\"delay_ns\":%lu,"
	       "\"faults\":%lu",
	       b->ns - a->ns, b->cpu_ns - a->cpu_ns, b->user_ns - a->user_ns,
	       b->system_ns - a->system_ns, b->delay_ns - a->delay_ns, b->faults - a->faults);
}

static void obey(char *line)
{
	char *cause[PARTS], *save = NULL;
	struct measure at[PARTS + 1];
	int n = 0;

	at[0] = measure();
	for (char *word = strtok_r(line, " \n", &save); word && n < PARTS; n++) {
		char *length = strtok_r(NULL, " \n", &save);
		uint64_t ns = length ? strtoull(length, NULL, 10) : 0;

		cause[n] = word;
		prepare(word, ns);
		lose(word, ns);
		at[n + 1] = measure();
		word = strtok_r(NULL, " \n", &save);
	}
	printf("{\"begin_ns\":%lu,", at[0].ns);
	print_measure(&at[0], &at[n]);
	printf(",\"parts\":[");
	for (int i = 0; i < n; i++) {
		printf("%s{\"cause\":\"%s\",", i ? "," : "", cause[i]);
		print_measure(&at[i], &at[i + 1]);
		printf("}");
	}
	printf("]}\n");
	fflush(stdout);
}

static void *compute(void *arg)
{
	(void)arg;
	for (;;)
		__asm__ volatile("" ::: "memory");
	return NULL;
}

/* Idles until there is input. */
static void idle(int epoll)
{
	struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = epoll}};
	struct epoll_event ev;
	int n = 0;

	while (n < 1) {
		n = use_poll ? poll(p, 2, -1) : epoll_wait(epoll, &ev, 1, TURN_MS);
		must(n >= 0 || errno == EINTR, "the loop's wait");
	}
}

int main(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN};
	pthread_t t;
	char line[256];
	size_t resident = 0;

	use_poll = argc > 1 && !strcmp(argv[1], "poll");
	if (argc > 1 && argv[1][0] == '/')
		resident = make_cold_file(argv[1]);
	must(epoll >= 0 && (use_poll || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &ev) == 0), "epoll");
	make_cold_page();
	sem_init(&wanted, 0, 0);
	sem_init(&taken, 0, 0);
	must(!pthread_create(&t, NULL, own_mutex, NULL) &&
		     !pthread_create(&t, NULL, serve_faults, NULL),
	     "pthread_create");
	for (int i = argc > 1 ? atoi(argv[argc - 1]) : 0; i > 0; i--)
		must(!pthread_create(&t, NULL, compute, NULL), "pthread_create");
	printf("running %zu\n", resident);
	fflush(stdout);
	for (;;) {
		idle(epoll);
		ssize_t got = read(0, line, sizeof(line) - 1);
		if (got <= 0)
			return 0;
		line[got] = '\0';
		obey(line);
	}
}
