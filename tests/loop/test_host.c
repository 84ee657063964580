/* SPDX-License-Identifier: MIT */
/* What the host does beside the loop stays the host's: forks, programs, signals, errno,
 * descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "life.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "reader.h"

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
		_exit(r == 0 && reader_find() < 0 && lsc_run(life, NULL) == LIFE_RECORDED ? 0 : 1);
	assert_int_equal(r, 0);
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#endif

/* Into another program nothing goes along: no descriptor of the loop's. */
static int main_that_execs(void *arg)
{
	char *argv[] = {"/bin/sh", "-c", "ls -l /proc/$$/fd | grep -c -e loopscope -e anon_inode",
			NULL};
	int status;

	(void)arg;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(99);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 1 << 8); /* grep's: no line */
	return 0;
}

static void another_program_inherits_no_descriptor(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_that_execs, NULL), 0);
}

/* The child runs in the parent's memory until it is another program. */
static int main_that_vforks(void *arg)
{
	struct reader before, after;
	int status;

	(void)arg;
	reader_open(&before);
	pid_t child = vfork();
	if (child == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(99);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	reader_open(&after);
	assert_int_equal(after.header.head, before.header.head);
	reader_close(&before);
	reader_close(&after);
	lsc_yield();
	reader_open(&after); /* and the parent goes on recording */
	assert_int_equal(after.records[after.count - 1].kind, LSC_REC_TASK_RUN);
	reader_close(&after);
	return 0;
}

static void a_vfork_leaves_the_ring_to_the_parent(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_that_vforks, NULL), 0);
}

/* ---- what the program has set ---- */

static int main_of_errno(void *arg)
{
	(void)arg;
	errno = EDOM;
	lsc_trace_mark("a mark");
	lsc_trace_counter("a counter", 1);
	return errno;
}

static void marks_leave_errno_alone(void **state)
{
	(void)state;
	errno = EDOM;
	lsc_trace_mark("without a loop");
	lsc_trace_counter("without a loop", 1);
	assert_int_equal(errno, EDOM);
	assert_int_equal(lsc_run(main_of_errno, NULL), EDOM);
}

static void on_signal(int number)
{
	(void)number;
}

/* Handlers and mask: SIGPIPE, SIGCHLD and the like are the program's; SIGSEGV only where it has a
 * handler of its own. */
static void signals_are_as_they_were_before_the_run(void **state)
{
	struct sigaction before[NSIG], after, own = {.sa_handler = on_signal};
	sigset_t mask, mask_after;

	(void)state;
	assert_int_equal(sigaction(SIGUSR2, &own, NULL), 0);
	for (int n = 1; n < NSIG; n++)
		if (sigaction(n, NULL, &before[n]) < 0)
			before[n].sa_handler = SIG_ERR;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(lsc_run(life, NULL), LIFE_RECORDED);
	sigprocmask(SIG_SETMASK, NULL, &mask_after);
	for (int n = 1; n < NSIG; n++) {
		if (before[n].sa_handler == SIG_ERR)
			continue;
		assert_int_equal(sigaction(n, NULL, &after), 0);
		assert_ptr_equal(after.sa_handler, before[n].sa_handler);
		assert_int_equal(after.sa_flags, before[n].sa_flags);
		assert_int_equal(sigismember(&mask_after, n), sigismember(&mask, n));
	}
	signal(SIGUSR2, SIG_DFL);
}

#define STORM_US 200

/* Each wait of the loop is interrupted many times, without SA_RESTART. */
static int main_in_a_storm(void *arg)
{
	uint64_t begin_ns = lsc_time();
	int pair[2];
	char c;

	(void)arg;
	assert_int_equal(pipe2(pair, O_NONBLOCK), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(lsc_sleep(2 * LSC_NS_PER_MS), 0);
		assert_int_equal(lsc_write(pair[1], "x", 1), 1);
		assert_int_equal(lsc_read(pair[0], &c, 1), 1);
	}
	assert_int_equal(lsc_close(pair[0]), 0);
	assert_int_equal(lsc_close(pair[1]), 0);
	assert_true(lsc_time() - begin_ns >= 40 * LSC_NS_PER_MS);
	return 0;
}

static void a_storm_of_signals_ends_no_wait(void **state)
{
	struct sigaction own = {.sa_handler = on_signal}, before;
	struct itimerval storm = {{0, STORM_US}, {0, STORM_US}}, calm = {{0, 0}, {0, 0}};

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &own, &before), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &storm, NULL), 0);
	int r = lsc_run(main_in_a_storm, NULL);
	assert_int_equal(setitimer(ITIMER_REAL, &calm, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
	assert_int_equal(r, 0);
}

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
	assert_int_equal(lsc_run(life, NULL), LIFE_RECORDED);
	assert_int_equal(reader_find(), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forked_child_does_not_write_into_the_ring),
#if !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(a_forked_child_can_close_the_loop),
#endif
		cmocka_unit_test(another_program_inherits_no_descriptor),
		cmocka_unit_test(a_vfork_leaves_the_ring_to_the_parent),
		cmocka_unit_test(marks_leave_errno_alone),
		cmocka_unit_test(signals_are_as_they_were_before_the_run),
		cmocka_unit_test(a_storm_of_signals_ends_no_wait),
		cmocka_unit_test(a_loop_that_cannot_wait_unwinds_its_tasks),
		cmocka_unit_test(the_ring_is_gone_after_the_run),
	};
	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
