/* SPDX-License-Identifier: MIT */
/*
 * The load of an echo server on a Unix socket, or on a TCP port of this machine: N connections,
 * each sending 64 bytes as soon as the last ones came back. The number of answers is kept in a
 * mapped file, so that reading it costs neither side anything: bench_echo_client SOCKET|PORT
 * CONNECTIONS COUNT-FILE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE 64

static int fail(const char *what)
{
	fprintf(stderr, "bench_echo_client: %s: %s\n", what, strerror(errno));
	return 1;
}

static int connect_to_port(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int connect_to(const char *path)
{
	if (atoi(path) > 0)
		return connect_to_port(atoi(path));
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static _Atomic uint64_t *map_counter(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) < 0)
		return NULL;
	void *p = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

int main(int argc, char **argv)
{
	char message[MESSAGE] = {'x'}, answer[4 * MESSAGE];
	size_t seen[1024] = {0}; /* bytes that came back, by descriptor */

	if (argc != 4)
		return fprintf(stderr, "usage: %s SOCKET|PORT CONNECTIONS COUNT-FILE\n", argv[0]),
		       2;
	_Atomic uint64_t *answers = map_counter(argv[3]);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	if (!answers || ep < 0)
		return fail(argv[3]);
	for (int i = 0; i < atoi(argv[2]); i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = connect_to(argv[1])};
		if (ev.data.fd < 0 || ev.data.fd >= 1024 ||
		    epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev) < 0 ||
		    write(ev.data.fd, message, MESSAGE) != MESSAGE)
			return fail(argv[1]);
	}
	for (;;) {
		struct epoll_event ev[64];
		int n = epoll_wait(ep, ev, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			ssize_t got = read(fd, answer, sizeof(answer));
			if (got <= 0)
				return got < 0 ? fail("read") : 0;
			seen[fd] += (size_t)got;
			if (seen[fd] < MESSAGE)
				continue;
			seen[fd] = 0;
			atomic_fetch_add_explicit(answers, 1, memory_order_relaxed);
			if (write(fd, message, MESSAGE) != MESSAGE)
				return fail("write");
		}
	}
}
