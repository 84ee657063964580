/* SPDX-License-Identifier: MIT */
/* Asks the keeper for crews and takes them. All sockets are non-blocking. */
#include "inspect/crew.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "inspect/keeper.h"

#define START_NS	  (2 * LSC_NS_PER_S) /* for a crew to come up */
#define BACKOFF_NS	  (10 * LSC_NS_PER_MS)
#define BACKOFF_SHIFT_MAX 7

static int watch(struct crew *c, int fd)
{
	struct epoll_event e = {.events = EPOLLIN};

	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static void drop(struct crew *c)
{
	lsc_closep(&c->broker);
	lsc_closep(&c->worker);
	c->broker = c->worker = -1;
	c->pids = (struct message_crew){0};
}

static void lose(struct crew *c)
{
	drop(c);
	lsc_closep(&c->keeper);
	c->keeper = -1;
	c->state = CREW_LOST;
}

static void ask(struct crew *c, uint64_t now_ns)
{
	int r = keeper_ask(c->keeper);

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
		ask(c, now_ns);
		return;
	}
	c->state = CREW_NONE;
	c->at_ns = now_ns + (BACKOFF_NS << (n < BACKOFF_SHIFT_MAX ? n : BACKOFF_SHIFT_MAX));
}

/* Takes the sockets when the keeper has sent them; the newest of several crews counts. */
static void take(struct crew *c, uint64_t now_ns)
{
	struct message_crew pids;
	int broker, worker, r;

	while ((r = keeper_take(c->keeper, &pids, &broker, &worker)) == 0) {
		drop(c);
		c->broker = broker;
		c->worker = worker;
		c->pids = pids;
		if (watch(c, broker) < 0 || watch(c, worker) < 0)
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
	take(c, now_ns);
	if (c->state == CREW_NONE && now_ns >= c->at_ns)
		ask(c, now_ns);
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

int crew_start(struct crew *c, struct lsc_err *err)
{
	*c = (struct crew){.epoll = -1, .keeper = -1, .broker = -1, .worker = -1};
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	int r = c->epoll < 0 ? -errno : keeper_start(&c->keeper_pid, &c->keeper);
	if (r == 0)
		r = watch(c, c->keeper);
	if (r < 0) {
		crew_end(c);
		return lsc_err_set(err, r, "cannot start the inspector: %s", strerror(-r));
	}
	uint64_t now = lsc_now_ns(), end = now + START_NS;
	ask(c, now);
	while (c->state == CREW_ASKED && c->failures == 0 && now < end) {
		struct pollfd p = {.fd = c->epoll, .events = POLLIN};
		poll(&p, 1, (int)((end - now) / LSC_NS_PER_MS) + 1);
		now = lsc_now_ns();
		crew_step(c, now);
	}
	if (c->state != CREW_UP) {
		crew_end(c);
		return lsc_err_set(
			err, -EIO,
			"cannot start the inspector: its worker did not enter its sandbox");
	}
	return 0;
}

void crew_end(struct crew *c)
{
	drop(c);
	if (c->keeper >= 0)
		shutdown(c->keeper, SHUT_RDWR); /* some fork of ours may hold it too */
	lsc_closep(&c->keeper);
	lsc_closep(&c->epoll);
	c->keeper = c->epoll = -1;
	if (c->keeper_pid > 0)
		while (waitpid(c->keeper_pid, NULL, 0) < 0 && errno == EINTR)
			;
	c->keeper_pid = 0;
	c->state = CREW_LOST;
}
