/* SPDX-License-Identifier: MIT */
/*
 * Load on a server of lines: load PORT CONNECTIONS DEPTH REST_US REQUEST keeps DEPTH requests under
 * way on each connection and rests for a while after each round. "\n" and "\r" in REQUEST are what
 * they are in C. What an answer's length is, the first one says.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int dial(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void ask(int fd, const char *request, size_t n)
{
	if (send(fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
		die("send");
}

static size_t unescape(char *s)
{
	char *to = s;

	for (const char *from = s; *from; from++, to++) {
		*to = *from;
		if (from[0] == '\\' && (from[1] == 'n' || from[1] == 'r'))
			*to = *++from == 'n' ? '\n' : '\r';
	}
	return (size_t)(to - s);
}

int main(int argc, char **argv)
{
	static struct pollfd p[CONNECTIONS_MAX];
	static size_t got[CONNECTIONS_MAX];
	static char in[65536];

	if (argc != 6)
		return 2;
	int connections = atoi(argv[2]), depth = atoi(argv[3]), rest_us = atoi(argv[4]);
	size_t length = unescape(argv[5]);
	if (connections > CONNECTIONS_MAX)
		return 2;
	for (int i = 0; i < connections; i++)
		p[i] = (struct pollfd){.fd = dial(atoi(argv[1])), .events = POLLIN};
	ask(p[0].fd, argv[5], length);
	usleep(100000);
	ssize_t answer = recv(p[0].fd, in, sizeof(in), 0);
	if (answer <= 0)
		die("recv");
	for (int i = 0; i < connections; i++)
		for (int k = 0; k < depth; k++)
			ask(p[i].fd, argv[5], length);
	printf("running\n");
	fflush(stdout);
	for (;;) {
		if (poll(p, (nfds_t)connections, -1) < 0)
			die("poll");
		for (int i = 0; i < connections; i++) {
			if (!p[i].revents)
				continue;
			ssize_t n = recv(p[i].fd, in, sizeof(in), MSG_DONTWAIT);
			if (n <= 0)
				die("recv");
			for (got[i] += (size_t)n; got[i] >= (size_t)answer;
			     got[i] -= (size_t)answer)
				ask(p[i].fd, argv[5], length);
		}
		if (rest_us)
			usleep((useconds_t)rest_us);
	}
}
