/* SPDX-License-Identifier: MIT */
/* What a loop is measured against: an echo server written by hand on epoll, with nothing that it
 * does not need. */
#include <sys/epoll.h>
#include <unistd.h>

#include "by_hand.h"

static void add(int ep, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void echo(int fd)
{
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data), 0);

	if (n <= 0)
		close(fd);
	else if (send(fd, data, (size_t)n, MSG_NOSIGNAL) != n)
		die("send");
}

int main(void)
{
	int listener = listen_anywhere(), ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[256];

	add(ep, listener);
	for (;;) {
		int n = epoll_wait(ep, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd != listener) {
				echo(events[i].data.fd);
				continue;
			}
			add(ep, accept_one(listener));
		}
	}
}
