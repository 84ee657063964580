/* SPDX-License-Identifier: MIT */
/* Asks the keeper for crews and takes them. All sockets are non-blocking. */
#include "inspect/crew.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "inspect/keeper.h"

#define START_NS	  (2 * LSC_NS_PER_S) /* for a crew to come up */
#define BACKOFF_NS	  (10 * LSC_NS_PER_MS)
#define BACKOFF_SHIFT_MAX 7

static int watch(struct crew *c, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

void crew_listen(int epoll)
{
	struct epoll_event e[3 * CREWS_MAX];
	int n = epoll_wait(epoll, e, LSC_ARRAY_LEN(e), 0);

	for (int i = 0; i < n; i++)
		((struct crew *)e[i].data.ptr)->heard = true;
}

static uint64_t cpu_ns_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	return pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0
		       ? 0
		       : (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t crew_cpu_ns(const struct crew *c)
{
	return c->past_ns + cpu_ns_of(c->pids.broker) + cpu_ns_of(c->pids.worker);
}

static void drop_worker(struct crew *c)
{
	c->past_ns += cpu_ns_of(c->pids.worker);
	lsc_closep(&c->worker);
	lsc_closep(&c->at_work.account);
	c->worker = -1;
	c->pids.worker = 0;
	c->at_work = deadline_child(0);
}

static void drop(struct crew *c)
{
	drop_worker(c);
	c->past_ns += cpu_ns_of(c->pids.broker);
	lsc_closep(&c->broker);
	c->broker = -1;
	c->pids = (struct message_crew){0};
}

static void lose(struct crew *c)
{
	drop(c);
	lsc_closep(&c->keeper);
	c->keeper = -1;
	c->state = CREW_LOST;
}

static void ask(struct crew *c, enum keeper_call what, uint64_t now_ns)
{
	int r = keeper_ask(c->keeper, what);

	/* A full socket: the keeper has not come round to earlier questions; it will answer those.
	 */
	if (r < 0 && r != -EAGAIN) {
		lose(c);
		return;
	}
	c->state = CREW_ASKED;
	c->at_ns = now_ns + START_NS;
}

void crew_replace(struct crew *c, uint64_t now_ns)
{
	if (c->state == CREW_LOST)
		return;
	drop(c);
	unsigned int n = c->failures++;
	if (n == 0) {
		ask(c, KEEPER_CREW, now_ns);
		return;
	}
	c->state = CREW_NONE;
	c->at_ns = now_ns + (BACKOFF_NS << (n < BACKOFF_SHIFT_MAX ? n : BACKOFF_SHIFT_MAX));
}

void crew_renew_worker(struct crew *c, uint64_t now_ns)
{
	drop_worker(c);
	ask(c, KEEPER_MATE, now_ns);
}

/* Takes both; the broker is given the other end of the worker's socket. */
static void take_mate(struct crew *c, const struct message_crew *pids, int between, int worker,
		      uint64_t now_ns)
{
	const struct message_status m = {.kind = MESSAGE_MATE};
	int r = c->broker < 0 ? -EPIPE
			      : message_send(c->broker, &m, sizeof(m), NULL, 0, &between, 1,
					     MSG_DONTWAIT);

	lsc_closep(&between);
	if (r == 0)
		r = watch(c, worker);
	if (r < 0) {
		lsc_closep(&worker);
		c->at_ns = now_ns; /* no mate: a whole crew is to come */
		return;
	}
	drop_worker(c);
	c->worker = worker;
	c->pids = *pids;
	c->at_work = deadline_child(pids->worker);
}

/* Takes the sockets when the keeper has sent them; the newest of several crews counts. */
static void take(struct crew *c, uint64_t now_ns)
{
	struct message_crew pids;
	int broker, worker, r;

	while ((r = keeper_take(c->keeper, &pids, &broker, &worker)) == 0) {
		if (pids.kind == MESSAGE_MATE) {
			take_mate(c, &pids, broker, worker, now_ns);
			continue;
		}
		drop(c);
		c->broker = broker;
		c->worker = worker;
		c->pids = pids;
		c->at_work = deadline_child(pids.worker);
		if ((broker >= 0 && watch(c, broker) < 0) || watch(c, worker) < 0)
			drop(c);
	}
	if (r == -EPIPE)
		lose(c);
	else if (r != -EAGAIN)
		crew_replace(c, now_ns);
}

void crew_step(struct crew *c, uint64_t now_ns)
{
	struct message_status hello;

	if (c->state == CREW_LOST)
		return;
	if (c->heard)
		take(c, now_ns);
	if (c->state == CREW_NONE && now_ns >= c->at_ns)
		ask(c, KEEPER_CREW, now_ns);
	if (c->state != CREW_ASKED)
		return;
	ssize_t n = c->worker < 0
			    ? -EAGAIN
			    : message_recv(c->worker, &hello, sizeof(hello), NULL, 0, MSG_DONTWAIT);
	if (n == sizeof(hello) && hello.kind == MESSAGE_HELLO && hello.value == 0)
		c->state = CREW_UP;
	else if (n != -EAGAIN || now_ns >= c->at_ns)
		crew_replace(c, now_ns);
}

uint64_t crew_deadline_ns(const struct crew *c)
{
	return c->state == CREW_NONE || c->state == CREW_ASKED ? c->at_ns : UINT64_MAX;
}

int crew_init(struct crew *c, int epoll, int keeper)
{
	*c = (struct crew){.state = CREW_NONE,
			   .at_ns = UINT64_MAX,
			   .epoll = epoll,
			   .keeper = keeper,
			   .broker = -1,
			   .worker = -1,
			   .at_work = deadline_child(0)};
	return watch(c, keeper);
}

void crew_call(struct crew *c, uint64_t now_ns)
{
	if (c->state == CREW_NONE && c->at_ns == UINT64_MAX)
		ask(c, KEEPER_CREW, now_ns);
}

bool crew_await(struct crew *c)
{
	uint64_t now = lsc_now_ns(), end = now + START_NS;

	while (c->state == CREW_ASKED && c->failures == 0 && now < end) {
		struct pollfd p = {.fd = c->epoll, .events = POLLIN};
		poll(&p, 1, (int)((end - now) / LSC_NS_PER_MS) + 1);
		now = lsc_now_ns();
		crew_listen(c->epoll);
		crew_step(c, now);
	}
	return c->state == CREW_UP;
}

void crew_end(struct crew *c)
{
	drop(c);
	if (c->keeper >= 0)
		shutdown(c->keeper, SHUT_RDWR); /* some fork of ours may hold it too */
	lsc_closep(&c->keeper);
	c->keeper = -1;
	c->state = CREW_LOST;
}
