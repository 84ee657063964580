/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"

void pair_open_tcp(int pair[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, size), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &size), 0);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(pair[0] >= 0);
	assert_int_equal(lsc_connect(pair[0], (struct sockaddr *)&a, size), 0);
	pair[1] = lsc_accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
	assert_int_equal(lsc_close(listener), 0);
}

void pair_close(const int pair[2])
{
	assert_int_equal(lsc_close(pair[0]), 0);
	assert_int_equal(lsc_close(pair[1]), 0);
}

int pair_wait_readable(void *fd)
{
	return lsc_wait_fd(*(int *)fd, POLLIN);
}
