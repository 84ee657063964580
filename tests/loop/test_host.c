/* SPDX-License-Identifier: MIT */
/* The library never kills its host and never blocks it: where it cannot record, it runs unrecorded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "reader.h"

#define RECORDED   50
#define UNRECORDED 60

/* Some life, and whether a ring was there. */
static int main_of_some_life(void *arg)
{
	(void)arg;
	lsc_trace_mark("still alive");
	if (lsc_yield() < 0 || lsc_sleep(LSC_NS_PER_MS) < 0)
		return 1;
	return reader_find() >= 0 ? RECORDED : UNRECORDED;
}

/* How a child ends that prepares and then runs a loop: its exit status, or -signal. */
static int run_child(void (*prepare)(void))
{
	int status;

	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prepare();
		_exit(lsc_run(main_of_some_life, NULL));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void nothing(void)
{
}

static void limit_file_size(void)
{
	struct rlimit limit = {1024, 1024}; /* ulimit -f 1 */

	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		_exit(99);
}

static void switch_off(void)
{
	setenv("LSC_TRACE", "0", 1);
}

/* A filter that lets the syscall fail with EPERM. */
static void forbid(unsigned nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

static void forbid_memfd(void)
{
	forbid(SYS_memfd_create);
}

static void a_loop_records_by_default(void **state)
{
	(void)state;
	assert_int_equal(run_child(nothing), RECORDED);
}

static void a_file_size_limit_leaves_the_loop_unrecorded(void **state)
{
	(void)state;
	assert_int_equal(run_child(limit_file_size), UNRECORDED);
}

static void a_forbidden_memfd_create_leaves_the_loop_unrecorded(void **state)
{
	(void)state;
	assert_int_equal(run_child(forbid_memfd), UNRECORDED);
}

static void LSC_TRACE_0_switches_recording_off(void **state)
{
	(void)state;
	assert_int_equal(run_child(switch_off), UNRECORDED);
}

/* ---- fork ---- */

static int main_that_forks(void *arg)
{
	struct lsc_loop *loop = lsc_loop_current();
	int status;

	(void)arg;
	struct reader before, after;
	reader_open(&before);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* The inherited loop still turns, and says nothing in the parent's ring. */
		lsc_trace_mark("from the child");
		lsc_yield();
		_exit(loop->trace.ring.producer->slots ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	reader_open(&after);
	assert_int_equal(after.header.head, before.header.head);
	reader_close(&before);
	reader_close(&after);
	return 0;
}

static void a_forked_child_does_not_write_into_the_ring(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_that_forks, NULL), 0);
}

/* ThreadSanitizer forgets, in a child forked on a fiber, that the fiber ran before its thread went
 * on, and reports every byte the two share. */
#if !defined(__SANITIZE_THREAD__)
static int main_whose_child_ends_it(void *arg)
{
	pid_t *child = arg;

	*child = fork();
	return 0;
}

static void a_forked_child_can_close_the_loop(void **state)
{
	pid_t child = -1;
	int status;

	(void)state;
	int r = lsc_run(main_whose_child_ends_it, &child);
	if (child == 0)
		_exit(r == 0 && reader_find() < 0 && lsc_run(main_of_some_life, NULL) == RECORDED
			      ? 0
			      : 1);
	assert_int_equal(r, 0);
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#endif

/* ---- a loop that cannot wait ---- */

static int sleep_twice(void *arg)
{
	int *cancelled = arg;

	for (int i = 0; i < 2; i++)
		*cancelled += lsc_sleep(3600 * LSC_NS_PER_S) == -ECANCELED;
	return 7;
}

static int main_that_cannot_wait(void *arg)
{
	bool uring = strcmp(lsc_loop_current()->backend->name, "io_uring") == 0;
	struct lsc_future *task = lsc_spawn(sleep_twice, arg, NULL);

	lsc_unref(task);
	lsc_yield();
	/* As a program does that closes the descriptors it does not know. */
	assert_int_equal(
		close(reader_find_link(uring ? "anon_inode:[io_uring]" : "anon_inode:[eventpoll]")),
		0);
	return lsc_sleep(3600 * LSC_NS_PER_S);
}

static void a_loop_that_cannot_wait_unwinds_its_tasks(void **state)
{
	int cancelled = 0;

	(void)state;
	assert_int_equal(lsc_run(main_that_cannot_wait, &cancelled), -ECANCELED);
	assert_int_equal(cancelled, 2);
}

static void the_ring_is_gone_after_the_run(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_some_life, NULL), RECORDED);
	assert_int_equal(reader_find(), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_records_by_default),
		cmocka_unit_test(a_file_size_limit_leaves_the_loop_unrecorded),
		cmocka_unit_test(a_forbidden_memfd_create_leaves_the_loop_unrecorded),
		cmocka_unit_test(LSC_TRACE_0_switches_recording_off),
		cmocka_unit_test(a_forked_child_does_not_write_into_the_ring),
#if !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(a_forked_child_can_close_the_loop),
#endif
		cmocka_unit_test(a_loop_that_cannot_wait_unwinds_its_tasks),
		cmocka_unit_test(the_ring_is_gone_after_the_run),
	};
	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
