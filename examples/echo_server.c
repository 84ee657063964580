/* SPDX-License-Identifier: MIT */
/* A TCP echo server, one task a connection: echo_server [PORT]. Ends with the first SIGTERM or
 * SIGINT. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopscope/loopscope.h"

/* Sends all of it, waiting where the socket is full. */
static int send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n < 0) {
			int r = lsc_wait_fd(fd, POLLOUT);
			if (r < 0)
				return r;
			continue;
		}
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int echo(void *arg)
{
	int fd = (int)(intptr_t)arg, r = 0;
	char data[4096];

	while (r >= 0) {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		if (n == 0)
			break;
		if (n > 0)
			r = send_all(fd, data, (size_t)n);
		else
			r = errno == EAGAIN ? lsc_wait_fd(fd, POLLIN) : -errno;
	}
	close(fd);
	return r < 0 ? r : 0;
}

static int accept_clients(void *arg)
{
	int listener = *(int *)arg;

	for (;;) {
		struct sockaddr_in peer;
		socklen_t size = sizeof(peer);
		char name[32];

		int r = lsc_wait_fd(listener, POLLIN);
		if (r < 0)
			return r;
		int fd = accept4(listener, (struct sockaddr *)&peer, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		snprintf(name, sizeof(name), "client-%u", ntohs(peer.sin_port));
		struct lsc_future *client = lsc_spawn(echo, (void *)(intptr_t)fd, name);
		if (!client)
			close(fd);
		lsc_unref(client);
	}
}

static int serve(void *arg)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	int fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct lsc_future *accepting = lsc_spawn(accept_clients, arg, "accept");
	int r = accepting ? lsc_wait_fd(fd, POLLIN) : -ENOMEM;
	lsc_unref(accepting);
	close(fd);
	return r;
}

static int listen_on(uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*ret_port = ntohs(address.sin_port);
	return fd;
}

int main(int argc, char **argv)
{
	char *end = "";
	unsigned long wanted = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
	uint16_t port = 0;

	if (argc > 2 || *end || wanted > UINT16_MAX) {
		fputs("usage: echo_server [PORT]\n", stderr);
		return 2;
	}
	int listener = listen_on((uint16_t)wanted, &port);
	if (listener < 0) {
		errno = -listener;
		perror("echo_server");
		return 1;
	}
	printf("listening on 127.0.0.1:%u\n", port);
	fflush(stdout);
	int r = lsc_run(serve, &listener);
	close(listener);
	return r < 0 ? 1 : 0;
}
