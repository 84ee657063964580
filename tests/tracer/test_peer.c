/* SPDX-License-Identifier: MIT */
/* tracer/peer: who holds the other end of a pipe, and nobody where that is not certain. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "peer.h"

static int children[8], nchildren;

/* A child that keeps one end and closes the other, and says so. */
static int keep(const int pipe_fds[2], int kept, const char *name)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	int pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		close(pipe_fds[!kept]);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	children[nchildren++] = pid;
	return pid;
}

static int end_children(void **state)
{
	(void)state;
	while (nchildren) {
		kill(children[--nchildren], SIGKILL);
		waitpid(children[nchildren], NULL, 0);
	}
	return 0;
}

static void a_child_with_the_other_end_is_named(void **state)
{
	(void)state;
	int p[2];
	char comm[16];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(peer_of_pipe(getpid(), p[0], comm), 0); /* this process has both */
	keep(p, 0, "reader");
	int writer = keep(p, 1, "writer");
	assert_int_equal(peer_of_pipe(getpid(), p[0], comm), writer);
	assert_string_equal(comm, "writer");
	close(p[0]);
	close(p[1]);
}

static void a_sibling_and_a_parent_are_named(void **state)
{
	(void)state;
	int p[2];
	char comm[16];

	assert_int_equal(pipe(p), 0);
	int reader = keep(p, 0, "reader"), writer = keep(p, 1, "writer");
	close(p[0]);
	assert_int_equal(peer_of_pipe(writer, p[1], comm), reader);
	assert_int_equal(peer_of_pipe(reader, p[0], comm), 0); /* its sibling, and its parent */
	close(p[1]);
	assert_int_equal(peer_of_pipe(reader, p[0], comm), writer);
}

static void several_are_nobody(void **state)
{
	(void)state;
	int p[2];
	char comm[16];

	assert_int_equal(pipe(p), 0);
	keep(p, 1, "writer");
	keep(p, 1, "writer");
	assert_int_equal(peer_of_pipe(getpid(), p[0], comm), 0);
	close(p[0]);
	close(p[1]);
}

static void what_is_not_there_is_nobody(void **state)
{
	(void)state;
	char comm[16];

	assert_int_equal(peer_of_pipe(getpid(), -1, comm), 0);
	assert_int_equal(peer_of_pipe(getpid(), 1 << 20, comm), 0);
	assert_int_equal(peer_of_pipe(0x7fffffff, 0, comm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_child_with_the_other_end_is_named, end_children),
		cmocka_unit_test_teardown(a_sibling_and_a_parent_are_named, end_children),
		cmocka_unit_test_teardown(several_are_nobody, end_children),
		cmocka_unit_test(what_is_not_there_is_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
