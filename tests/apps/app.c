/* SPDX-License-Identifier: MIT */
/* The part that all apps share: see app.h. */
#include "app.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POOL_WORKERS 3
#define INPUT_BYTES  65536

struct conn {
	int fd;
	size_t used;
	char input[INPUT_BYTES];
};

struct truth { /* about what is planted, see app.h */
	uint64_t callback_ns, begin_ns, end_ns, delay_ns;
};

struct app_slot app_slots[1024];

static bool over;
static struct {
	int fd[APP_BURST_MAX];
	int left;
	uint64_t each_ns;
	struct truth truth;
	int answer_to;
} burst = {.answer_to = -1};

void app_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t app_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool app_is_over(void)
{
	return over;
}

/* ---- blocks ---- */

static void rest(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u),
			      .tv_nsec = (long)(ns % 1000000000u)};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static void spin(uint64_t ns)
{
	uint64_t until = app_now_ns() + ns;

	while (app_now_ns() < until)
		;
}

static pthread_mutex_t contended = PTHREAD_MUTEX_INITIALIZER;

/* Ends another thread's wait after a while. */
struct helper {
	uint64_t ns;
	int fd; /* written to; -1: the lock is let go */
	pthread_barrier_t holds;
};

static void *help(void *arg)
{
	struct helper *h = arg;

	if (h->fd < 0)
		pthread_mutex_lock(&contended);
	pthread_barrier_wait(&h->holds);
	rest(h->ns);
	if (h->fd < 0)
		pthread_mutex_unlock(&contended);
	else if (write(h->fd, "x", 1) != 1)
		app_die("write");
	return NULL;
}

static void wait_on(const char *kind, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	int set;
	char c;

	if (fd < 0) {
		pthread_mutex_lock(&contended);
		pthread_mutex_unlock(&contended);
		return;
	}
	if (!strcmp(kind, "poll") && poll(&p, 1, -1) != 1)
		app_die("poll");
	if (!strcmp(kind, "epoll")) {
		set = epoll_create1(EPOLL_CLOEXEC);
		if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) < 0)
			app_die("epoll");
		while (epoll_wait(set, &ev, 1, -1) != 1)
			if (errno != EINTR) /* io_uring interrupts it for its own work */
				app_die("epoll_wait");
		close(set);
	}
	if (read(fd, &c, 1) != 1)
		app_die("read");
}

static void wait_for_helper(const char *kind, uint64_t ns, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct helper h = {.ns = ns, .fd = -1};
	int ends[2] = {-1, -1}, r = 0;
	pthread_t thread;

	if (!strcmp(kind, "pipe") || !strcmp(kind, "poll"))
		r = pipe(ends);
	else if (strcmp(kind, "mutex"))
		r = socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	h.fd = ends[1];
	if (r < 0 || pthread_barrier_init(&h.holds, NULL, 2) ||
	    pthread_create(&thread, NULL, help, &h))
		app_die("helper");
	pthread_barrier_wait(&h.holds);
	*ret_begin = app_now_ns();
	wait_on(kind, ends[0]);
	*ret_end = app_now_ns();
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&h.holds);
	if (ends[0] >= 0) {
		close(ends[0]);
		close(ends[1]);
	}
}

static void wait_for_child(uint64_t ns, uint64_t *ret_begin, uint64_t *ret_end)
{
	pid_t child = fork();

	if (child < 0)
		app_die("fork");
	if (!child) {
		rest(ns);
		_exit(0);
	}
	*ret_begin = app_now_ns();
	if (waitpid(child, NULL, 0) != child)
		app_die("waitpid");
	*ret_end = app_now_ns();
}

/* The time for which this thread was runnable and had no CPU. */
static uint64_t run_delay_ns(void)
{
	unsigned long long delay;
	FILE *file = fopen("/proc/thread-self/schedstat", "re");

	if (!file || fscanf(file, "%*u %llu", &delay) != 1)
		app_die("schedstat");
	fclose(file);
	return delay;
}

static struct truth truth_begin(void)
{
	return (struct truth){.delay_ns = run_delay_ns(), .callback_ns = app_now_ns()};
}

static void truth_answer(const struct truth *t, int fd)
{
	uint64_t all = app_now_ns() - t->callback_ns, ns = t->end_ns - t->begin_ns;

	dprintf(fd,
		"{\"begin_ns\": %llu, \"ns\": %llu, \"unsure_ns\": %llu, \"delay_ns\": %llu, "
		"\"tid\": %d}\n",
		(unsigned long long)t->begin_ns, (unsigned long long)ns,
		(unsigned long long)(all - ns), (unsigned long long)(run_delay_ns() - t->delay_ns),
		gettid());
}

static void block(const char *kind, uint64_t ns, int answer_to)
{
	struct truth t = truth_begin();

	if (!strcmp(kind, "child")) {
		wait_for_child(ns, &t.begin_ns, &t.end_ns);
	} else if (!strcmp(kind, "sleep") || !strcmp(kind, "spin")) {
		t.begin_ns = app_now_ns();
		(kind[1] == 'l' ? rest : spin)(ns);
		t.end_ns = app_now_ns();
	} else { /* mutex pipe poll epoll socket */
		wait_for_helper(kind, ns, &t.begin_ns, &t.end_ns);
	}
	truth_answer(&t, answer_to);
}

/* ---- many callbacks in one turn ---- */

static void start_burst(int count, uint64_t ns, int answer_to)
{
	if (count < 1 || count > APP_BURST_MAX)
		app_die("burst");
	burst.left = count;
	burst.each_ns = ns;
	burst.truth.begin_ns = 0;
	burst.answer_to = answer_to;
	for (int i = 0; i < count; i++)
		if (eventfd_write(burst.fd[i], 1) < 0)
			app_die("eventfd");
}

void app_burst_step(void)
{
	eventfd_t n;

	if (!burst.left)
		return;
	burst.left--;
	for (int i = 0; i < APP_BURST_MAX && !burst.left; i++)
		eventfd_read(burst.fd[i], &n); /* level-triggered: read when all have run */
	if (!burst.truth.begin_ns) {
		burst.truth = truth_begin();
		burst.truth.begin_ns = app_now_ns();
	}
	spin(burst.each_ns);
	burst.truth.end_ns = app_now_ns();
	if (!burst.left)
		truth_answer(&burst.truth, burst.answer_to);
}

static void burst_step(void *arg)
{
	(void)arg;
	app_burst_step();
}

__attribute__((weak)) void app_watch_burst(int index, int fd)
{
	(void)index;
	app_watch(fd, burst_step, NULL);
}

/* ---- the protocol ---- */

static void obey(struct conn *c, const char *line)
{
	unsigned long long ns;
	char kind[16];
	int count;

	if (!strncmp(line, "echo ", 5)) {
		dprintf(c->fd, "%s\n", line + 5);
	} else if (sscanf(line, "block %15s %llu", kind, &ns) == 2) {
		block(kind, ns, c->fd);
	} else if (sscanf(line, "burst %d %llu", &count, &ns) == 2) {
		start_burst(count, ns, c->fd);
	} else if (!strcmp(line, "end")) {
		over = true;
	} else {
		errno = EINVAL;
		app_die(line);
	}
}

static void serve(void *arg)
{
	struct conn *c = arg;
	ssize_t n = recv(c->fd, c->input + c->used, sizeof(c->input) - c->used - 1, MSG_DONTWAIT);

	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		app_unwatch(c->fd);
		close(c->fd);
		free(c);
		return;
	}
	c->used += (size_t)n;
	c->input[c->used] = '\0';
	char *line = c->input;
	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		obey(c, line);
	}
	c->used -= (size_t)(line - c->input);
	memmove(c->input, line, c->used);
}

static void admit(void *arg)
{
	int fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
	struct conn *c = calloc(1, sizeof(*c));

	if (fd < 0 || !c)
		app_die("accept");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->fd = fd;
	app_watch(fd, serve, c);
}

/* ---- timers and bystanders ---- */

static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t jobs_some = PTHREAD_COND_INITIALIZER;
static unsigned int jobs;

static pthread_mutex_t loops_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t loops_some = PTHREAD_COND_INITIALIZER;
static unsigned int loops;

static void *work(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&jobs_lock);
		while (!jobs)
			pthread_cond_wait(&jobs_some, &jobs_lock);
		jobs--;
		pthread_mutex_unlock(&jobs_lock);
		rest(25000000);
	}
	return NULL;
}

/* Asks over one socket and waits in poll() for the answer, again and again. */
static void *be_client(void *arg)
{
	struct pollfd p = {.fd = *(int *)arg, .events = POLLIN};
	char c = 0;

	while (send(p.fd, &c, 1, 0) == 1 && poll(&p, 1, -1) == 1 && recv(p.fd, &c, 1, 0) == 1)
		rest(5000000);
	return NULL;
}

static void *answer(void *arg)
{
	int fd = *(int *)arg;
	char c;

	while (recv(fd, &c, 1, 0) == 1) {
		rest(30000000);
		send(fd, &c, 1, 0);
	}
	return NULL;
}

static bool nests;

/* A timer that does nothing, or waits in a loop of its own within. */
static void tick(void *arg)
{
	struct epoll_event ev;
	int set;

	(void)arg;
	if (!nests)
		return;
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0 || epoll_wait(set, &ev, 1, 6) != 0)
		app_die("epoll");
	close(set);
}

static void give_work(void *arg)
{
	tick(arg);
	pthread_mutex_lock(&jobs_lock);
	jobs++;
	pthread_cond_signal(&jobs_some);
	pthread_mutex_unlock(&jobs_lock);
}

static void start_bystanders(void)
{
	static int ends[2];
	pthread_t thread;
	int r = socketpair(AF_UNIX, SOCK_STREAM, 0, ends);

	r |= pthread_create(&thread, NULL, be_client, &ends[0]);
	r |= pthread_create(&thread, NULL, answer, &ends[1]);
	for (int i = 0; i < POOL_WORKERS; i++)
		r |= pthread_create(&thread, NULL, work, NULL);
	if (r)
		app_die("bystanders");
}

struct timer {
	int fd;
	app_fn *fn;
};

static void on_timerfd(void *arg)
{
	struct timer *t = arg;
	uint64_t n;

	if (read(t->fd, &n, sizeof(n)) == sizeof(n))
		t->fn(NULL);
}

void app_every_timerfd(unsigned int ms, app_fn *fn)
{
	struct timer *t = calloc(1, sizeof(*t));
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l};
	struct itimerspec every = {ts, ts};

	if (!t)
		app_die("timer");
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	t->fn = fn;
	if (t->fd < 0 || timerfd_settime(t->fd, 0, &every, NULL) < 0)
		app_die("timerfd");
	app_watch(t->fd, on_timerfd, t);
}

/* ---- the loop's life ---- */

static bool ask_to_start(void)
{
	return getchar() == '\n';
}

/* A worker of a pool: each job of it turns the loop until "end". */
static void *run_jobs(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&loops_lock);
		while (!loops)
			pthread_cond_wait(&loops_some, &loops_lock);
		loops--;
		pthread_mutex_unlock(&loops_lock);
		over = false;
		app_run();
	}
	return NULL;
}

/* Turns the loop where the mode says:
 *   job     in a thread of a pool, once for each line on stdin
 *   start   in main(), after waits for other things until a line comes on stdin
 *   nested  in main(); each of its timers waits for a while in a loop of its own */
static void live(const char *mode)
{
	struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = -1}};
	pthread_t thread;

	if (!strcmp(mode, "job")) {
		if (pthread_create(&thread, NULL, run_jobs, NULL))
			app_die("pthread_create");
		while (ask_to_start()) {
			pthread_mutex_lock(&loops_lock);
			loops++;
			pthread_cond_signal(&loops_some);
			pthread_mutex_unlock(&loops_lock);
		}
		return;
	}
	nests = !strcmp(mode, "nested");
	if (!strcmp(mode, "start")) {
		while (poll(p, 2, 30) == 0)
			;
		ask_to_start();
	}
	app_run();
	pthread_mutex_lock(&contended);
	pthread_mutex_lock(&contended); /* the loop is over: waits for ever */
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&a, size) < 0 ||
	    listen(listener, 128) < 0 || getsockname(listener, (struct sockaddr *)&a, &size) < 0)
		app_die("listen");
	signal(SIGPIPE, SIG_IGN);
	app_init(argc, argv);
	app_watch(listener, admit, &listener);
	for (int i = 0; i < APP_BURST_MAX; i++) {
		burst.fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		app_watch_burst(i, burst.fd[i]);
	}
	app_every(50, give_work);
	app_every(17, tick);
	app_every(1000, tick);
	start_bystanders();
	printf("{\"port\": %d}\n", ntohs(a.sin_port));
	fflush(stdout);
	live(argc > 1 ? argv[1] : "");
}
