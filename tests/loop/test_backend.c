/* SPDX-License-Identifier: MIT */
/* Which backend a loop gets, what is said when it is not the one that was asked for, and how it
 * waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
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

/* ---- a timer beside many events ---- */

#define EXCHANGES 10
#define SLEEP_NS  (200 * LSC_NS_PER_MS)

struct exchange {
	int ours, theirs;
};

/* Each comes a millisecond after the one before, so that it is waited for. */
static void *answer_each(void *arg)
{
	const struct exchange *x = arg;
	const struct timespec pause = {.tv_nsec = 1000000};
	char byte = 'x';

	for (int i = 0; i < EXCHANGES; i++)
		if (nanosleep(&pause, NULL) < 0 || write(x->theirs, &byte, 1) != 1 ||
		    read(x->theirs, &byte, 1) != 1)
			return "failed";
	return NULL;
}

static int exchange_bytes(void *arg)
{
	const struct exchange *x = arg;
	char byte;

	for (int i = 0; i < EXCHANGES; i++)
		if (lsc_recv(x->ours, &byte, 1, 0) != 1 || lsc_send(x->ours, &byte, 1, 0) != 1)
			return -EIO;
	return 0;
}

static bool has_timerfd(void)
{
	char path[40], target[40];

	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strcmp(target, "anon_inode:[timerfd]") == 0)
			return true;
	}
	return false;
}

static int sleep_beside(void *arg)
{
	struct lsc_future *task = lsc_spawn(exchange_bytes, arg, NULL);
	uint64_t begin_ns = lsc_time();

	assert_int_equal(lsc_sleep(SLEEP_NS), 0);
	assert_true(lsc_time() - begin_ns >= SLEEP_NS);
	assert_int_equal(lsc_await(task), 0);
	lsc_unref(task);
	/* What asks the kernel for a timer with each wait pays for each. */
	assert_int_equal(has_timerfd(), strcmp(lsc_loop_current()->backend->name, "epoll") == 0);
	return 0;
}

static void run_with_peer(void *(*peer_main)(void *exchange), int (*main_task)(void *exchange))
{
	struct exchange x;
	int ends[2];
	pthread_t peer;
	void *failed;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	x = (struct exchange){ends[0], ends[1]};
	assert_int_equal(pthread_create(&peer, NULL, peer_main, &x), 0);
	assert_int_equal(lsc_run(main_task, &x), 0);
	assert_int_equal(pthread_join(peer, &failed), 0);
	assert_null(failed);
	close(ends[0]);
	close(ends[1]);
}

static void a_timer_that_outlasts_many_waits_is_set_once(void **state)
{
	(void)state;
	run_with_peer(answer_each, sleep_beside);
}

/* ---- a nearer timer than the one that many waits were told of ---- */

#define NEAR_NS (40 * LSC_NS_PER_MS)
#define FAR_NS	(400 * LSC_NS_PER_MS)

static int sleep_near(void *arg)
{
	uint64_t begin_ns = lsc_time();

	(void)arg;
	assert_int_equal(lsc_sleep(NEAR_NS), 0);
	assert_true(lsc_time() - begin_ns >= NEAR_NS);
	return 0;
}

static int sleep_far(void *arg)
{
	(void)arg;
	return lsc_sleep(FAR_NS);
}

static int sleep_near_and_far(void *arg)
{
	struct exchange x = *(const struct exchange *)arg;
	uint64_t begin_ns = lsc_time();
	struct lsc_future *far = lsc_spawn(sleep_far, NULL, NULL);

	assert_int_equal(exchange_bytes(&x), 0);
	struct lsc_future *near = lsc_spawn(sleep_near, NULL, NULL);
	assert_int_equal(exchange_bytes(&x), 0);
	/* Nothing but the timers ends a wait from here on. */
	assert_int_equal(lsc_await(near), 0);
	assert_true(lsc_time() - begin_ns < FAR_NS);
	assert_int_equal(lsc_await(far), 0);
	assert_true(lsc_time() - begin_ns >= FAR_NS);
	lsc_unref(near);
	lsc_unref(far);
	return 0;
}

static void *answer_twice_as_many(void *arg)
{
	void *failed = answer_each(arg);

	return failed ? failed : answer_each(arg);
}

static void a_nearer_timer_is_not_late(void **state)
{
	(void)state;
	run_with_peer(answer_twice_as_many, sleep_near_and_far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epoll_is_the_default),
		cmocka_unit_test(what_cannot_be_had_is_said_once),
		cmocka_unit_test(io_uring_is_taken_where_it_works),
		cmocka_unit_test(a_timer_that_outlasts_many_waits_is_set_once),
		cmocka_unit_test(a_nearer_timer_is_not_late),
	};
	return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
