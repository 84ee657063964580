/* SPDX-License-Identifier: MIT */
/* Which backend a loop gets, and what is said when it is not the one that was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"

static int say_name(void *arg)
{
	(void)arg;
	/* The loop works, whichever it is. */
	int r = lsc_sleep(1000000);
	printf("%s\n", lsc_loop_current()->backend->name);
	fflush(stdout);
	return r;
}

/* io_uring_setup(2) fails with EPERM from here on, as in many containers. */
static void forbid_io_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

/* What two loops, one after the other, say in a process with this LSC_BACKEND, on both streams. */
static void run_with(const char *backend, bool forbidden, char output[256])
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		if (backend)
			setenv("LSC_BACKEND", backend, 1);
		else
			unsetenv("LSC_BACKEND");
		if (forbidden)
			forbid_io_uring();
		_exit(lsc_run(say_name, NULL) != 0 || lsc_run(say_name, NULL) != 0);
	}
	close(ends[1]);
	size_t n = 0;
	ssize_t r;
	while ((r = read(ends[0], output + n, 255 - n)) > 0)
		n += (size_t)r;
	output[n] = '\0';
	close(ends[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void epoll_is_the_default(void **state)
{
	char output[256];

	(void)state;
	run_with(NULL, false, output);
	assert_string_equal(output, "epoll\nepoll\n");
	run_with("", false, output);
	assert_string_equal(output, "epoll\nepoll\n");
	run_with("epoll", false, output);
	assert_string_equal(output, "epoll\nepoll\n");
}

static void what_cannot_be_had_is_said_once(void **state)
{
	char output[256];

	(void)state;
	run_with("nonsense", false, output);
	assert_string_equal(output,
			    "loopscope: LSC_BACKEND=nonsense: no such backend; using epoll\n"
			    "epoll\nepoll\n");
	run_with("io_uring", true, output);
	assert_string_equal(
		output, "loopscope: LSC_BACKEND=io_uring: Operation not permitted; using epoll\n"
			"epoll\nepoll\n");
}

static void io_uring_is_taken_where_it_works(void **state)
{
	char output[256];

	(void)state;
	run_with("io_uring", false, output);
	if (strstr(output, "; using epoll")) {
		print_message("io_uring is not to be had here: %s", output);
		skip();
	}
	assert_string_equal(output, "io_uring\nio_uring\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epoll_is_the_default),
		cmocka_unit_test(what_cannot_be_had_is_said_once),
		cmocka_unit_test(io_uring_is_taken_where_it_works),
	};
	return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
