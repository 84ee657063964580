/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"

struct wait {
	int fd;
	uint32_t events;
	int result;
};

static int wait_for(void *arg)
{
	struct wait *w = arg;

	w->result = lsc_wait_fd(w->fd, w->events);
	return w->result;
}

static int main_of_socket(void *arg)
{
	int pair[2];
	char byte;

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct wait reader = {pair[0], POLLIN, 0};
	struct lsc_future *f = lsc_spawn(wait_for, &reader, NULL);
	for (int i = 0; i < 3; i++)
		lsc_yield();
	assert_int_equal(lsc_is_done(f), 0);
	assert_int_equal(lsc_wait_fd(pair[1], POLLOUT), POLLOUT);
	assert_int_equal(write(pair[1], "a", 1), 1);
	assert_int_equal(lsc_await(f), POLLIN);
	lsc_unref(f);
	/* What is ready already still passes through the loop; the byte is there until it is read.
	 */
	assert_int_equal(lsc_wait_fd(pair[0], POLLIN), POLLIN);
	assert_int_equal(lsc_wait_fd(pair[0], POLLIN | POLLOUT), POLLIN | POLLOUT);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	close(pair[1]);
	assert_int_equal(lsc_wait_fd(pair[0], POLLOUT) & POLLHUP, POLLHUP);
	close(pair[0]);
	return 0;
}

static void a_socket_wakes_its_reader_and_its_writer(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_socket, NULL), 0);
}

static int main_of_two_waiters(void *arg)
{
	int pair[2];

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct wait w[3] = {{pair[0], POLLIN, 0}, {pair[0], POLLOUT, 0}, {pair[0], POLLIN, 0}};
	struct lsc_future *f[3];
	for (int i = 0; i < 3; i++)
		f[i] = lsc_spawn(wait_for, &w[i], NULL);
	assert_int_equal(lsc_await(f[1]), POLLOUT);
	/* The others go on waiting, and one of them can leave without harm to the other. */
	assert_int_equal(lsc_is_done(f[0]) || lsc_is_done(f[2]), 0);
	lsc_cancel(f[0]);
	assert_int_equal(lsc_await(f[0]), -ECANCELED);
	assert_int_equal(write(pair[1], "a", 1), 1);
	assert_int_equal(lsc_await(f[2]), POLLIN);
	for (int i = 0; i < 3; i++)
		lsc_unref(f[i]);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void tasks_may_share_a_descriptor(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_two_waiters, NULL), 0);
}

static int main_of_reuse(void *arg)
{
	int last = -1;

	(void)arg;
	for (int i = 0; i < 10; i++) {
		int pair[2];

		assert_int_equal(pipe(pair), 0);
		assert_true(last < 0 || pair[0] == last); /* the same number, another pipe */
		last = pair[0];
		struct wait reader = {pair[0], POLLIN, 0};
		struct lsc_future *f = lsc_spawn(wait_for, &reader, NULL);
		lsc_yield();
		assert_int_equal(write(pair[1], "a", 1), 1);
		assert_int_equal(lsc_await(f), POLLIN);
		lsc_unref(f);
		close(pair[0]);
		close(pair[1]);
	}
	return 0;
}

static void a_descriptor_number_may_be_used_again(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_reuse, NULL), 0);
}

static int main_of_misuse(void *arg)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	assert_true(fd >= 0);
	assert_int_equal(lsc_wait_fd(fd, POLLIN), -EPERM);
	assert_int_equal(lsc_wait_fd(fd, 0), -EINVAL);
	assert_int_equal(lsc_wait_fd(fd, POLLPRI), -EINVAL);
	close(fd);
	assert_int_equal(lsc_wait_fd(fd, POLLIN), -EBADF);
	assert_int_equal(lsc_wait_fd(-1, POLLIN), -EBADF);
	assert_int_equal(lsc_wait_fd(INT_MAX, POLLIN), -EBADF);
	return 0;
}

static void what_cannot_be_waited_for_is_refused(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_misuse, NULL), 0);
	assert_int_equal(lsc_wait_fd(0, POLLIN), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_wakes_its_reader_and_its_writer),
		cmocka_unit_test(tasks_may_share_a_descriptor),
		cmocka_unit_test(a_descriptor_number_may_be_used_again),
		cmocka_unit_test(what_cannot_be_waited_for_is_refused),
	};
	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
