/* SPDX-License-Identifier: MIT */
/* Stacks that overflow, on guards of three kinds; the handler that tells whose they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"
#include "runner.h"
#include "stack.h"
#include "task.h"

static int recurse(volatile char *above, int depth)
{
	volatile char frame[1024];

	frame[0] = above ? above[0] : 0;
	if (depth > 100000)
		return 0;
	return recurse(frame, depth + 1) + frame[0];
}

static int overflow(void *arg)
{
	return recurse(arg, 0);
}

static int main_overflows(void *arg)
{
	return lsc_await(lsc_spawn(overflow, arg, "too deep"));
}

static void shallow_overflow(void)
{
	volatile char *base = loop_thread->current->runner->stack.base;

	/* As the frames of a stack that is a little too small would. */
	base[0] = 1;
}

#define MANY 500

static int yield_once(void *arg)
{
	(void)arg;
	return lsc_yield();
}

/* More tasks than may have guard pages. */
static int main_of_many(void *arg)
{
	static struct lsc_future *all[MANY];

	(void)arg;
	for (int i = 0; i < MANY; i++)
		assert_non_null(all[i] = lsc_spawn(yield_once, NULL, NULL));
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(lsc_await(all[i]), 0);
		lsc_unref(all[i]);
	}
	return 0;
}

static int main_writes_over_its_end(void *arg)
{
	main_of_many(arg);
	shallow_overflow();
	return lsc_yield();
}

/* Runs main_fn in a child; returns how it ended, and what it said on stderr. */
static int run_dying(lsc_task_fn main_fn, char said[512])
{
	int status, out[2];

	assert_int_equal(pipe(out), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(out[1], STDERR_FILENO);
		/* The sanitizers' own handlers would turn the signal into an exit and a report. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		_exit(lsc_run(main_fn, NULL));
	}
	close(out[1]);
	size_t used = 0;
	for (ssize_t n; used < 511 && (n = read(out[0], said + used, 511 - used)) > 0;)
		used += (size_t)n;
	said[used] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return WTERMSIG(status);
}

static void stack_overflow_hits_the_guard_and_names_the_task(void **state)
{
	char said[512];

	(void)state;
	if (getenv("LSC_TEST_EMULATED")) {
		print_message(
			"skipped: the emulator takes the advice of a marker, and does nothing\n");
	} else {
		assert_int_equal(run_dying(main_overflows, said), SIGSEGV);
		assert_non_null(strstr(said, "'too deep', spawned in main_overflows "
					     "(tests/loop/test_overflow.c:"));
		assert_non_null(strstr(said, "has overflowed its stack of"));
	}
	/* A kernel without guard markers: a page of no access. */
	stack_pretend(true, SIZE_MAX);
	assert_int_equal(run_dying(main_overflows, said), SIGSEGV);
	assert_non_null(strstr(said, "'too deep'"));
	/* No mapping to spare: the canary is found dead when the task suspends. */
	stack_pretend(true, 0);
	assert_int_equal(run_dying(main_writes_over_its_end, said), SIGABRT);
	assert_non_null(strstr(said, "'main'"));
	/* That there is none is told, once. */
	const char *told = strstr(said, "half of vm.max_map_count is used up by stacks");
	assert_non_null(told);
	assert_null(strstr(told + 1, "half of vm.max_map_count"));
	stack_pretend(true, 100);
	assert_int_equal(lsc_run(main_of_many, NULL), 0);
	stack_pretend(false, SIZE_MAX);
}

static void host_handler(int number)
{
	(void)number;
}

static int main_looks_at_handler(void *arg)
{
	struct sigaction now;

	assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
	return (now.sa_handler == host_handler) == (arg != NULL) ? 0 : -EPROTO;
}

static void the_hosts_own_handler_is_left_alone(void **state)
{
	struct sigaction after;

	(void)state;
	signal(SIGSEGV, host_handler);
	assert_int_equal(lsc_run(main_looks_at_handler, ""), 0);
	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(lsc_run(main_looks_at_handler, NULL), 0);
	/* Taken away with the last loop. */
	assert_int_equal(sigaction(SIGSEGV, NULL, &after), 0);
	assert_true(after.sa_handler == SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stack_overflow_hits_the_guard_and_names_the_task),
		cmocka_unit_test(the_hosts_own_handler_is_left_alone),
	};
	return cmocka_run_group_tests_name("overflow", tests, NULL, NULL);
}
