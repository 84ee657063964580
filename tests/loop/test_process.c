/* SPDX-License-Identifier: MIT */
/* Children: started, talked to, waited for, killed; and signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
	/* Nothing is left behind, zombies neither. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static const struct lsc_process_options pipes = {
	.size = sizeof(pipes),
	.stdio = {LSC_STDIO_PIPE, LSC_STDIO_PIPE, LSC_STDIO_PIPE},
};

static struct lsc_process *shell(const char *command, const struct lsc_process_options *options)
{
	char *argv[] = {"/bin/sh", "-c", (char *)command, NULL};
	struct lsc_process *p = NULL;

	assert_int_equal(lsc_process_start(argv, options, &p), 0);
	return p;
}

static int status_of(struct lsc_process *p)
{
	int status = -1;

	assert_int_equal(lsc_process_wait(p, &status), 0);
	return status;
}

/* ---- ends ---- */

static int main_of_status(void *arg)
{
	struct lsc_process *p = shell("exit 7", NULL);

	(void)arg;
	assert_true(lsc_process_pid(p) > 0);
	assert_null(lsc_process_stream(p, 0));
	assert_null(lsc_process_stream(p, 3));
	int status = status_of(p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(status_of(p), status); /* as often as you like */
	assert_int_equal(lsc_process_kill(p, SIGTERM), -ESRCH);
	lsc_process_free(p);
	p = shell("exec sleep 100", NULL);
	assert_int_equal(lsc_process_kill(p, 1000), -EINVAL);
	assert_int_equal(lsc_process_kill(p, SIGTERM), 0);
	status = status_of(p);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	lsc_process_free(p);
	/* One that nobody waits for. */
	lsc_process_free(shell("exec sleep 100", NULL));
	return 0;
}

static int wait_for(void *arg)
{
	int status;

	return lsc_process_wait(arg, &status);
}

static int main_of_waiters(void *arg)
{
	struct lsc_process *p = shell("read line; exit 3", &pipes);
	struct lsc_future *f[3];

	(void)arg;
	for (int i = 0; i < 3; i++)
		f[i] = lsc_spawn(wait_for, p, NULL);
	lsc_yield();
	lsc_cancel(f[1]);
	assert_int_equal(lsc_await(f[1]), -ECANCELED);
	assert_int_equal(lsc_is_done(f[0]), 0);
	assert_int_equal(lsc_stream_write(lsc_process_stream(p, 0), "x\n", 2), 0);
	assert_int_equal(lsc_await(f[0]), 0);
	assert_int_equal(lsc_await(f[2]), 0);
	for (int i = 0; i < 3; i++)
		lsc_unref(f[i]);
	lsc_process_free(p);
	return 0;
}

static void a_child_is_waited_for_and_killed(void **state)
{
	(void)state;
	run(main_of_status);
	run(main_of_waiters);
}

/* ---- pipes ---- */

#define MUCH 500000

static int main_of_communicate(void *arg)
{
	struct lsc_process_output out, err;
	char *input = malloc(MUCH);
	int status;

	(void)arg;
	assert_non_null(input);
	for (int i = 0; i < MUCH; i++)
		input[i] = (char)('a' + i % 26);
	/* More than pipes hold, both ways at once. */
	struct lsc_process *p = shell("echo problem >&2; cat; exit 2", &pipes);
	assert_int_equal(lsc_process_communicate(p, input, MUCH, 1 << 20, &out, &err, &status), 0);
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_int_equal(out.length, MUCH);
	assert_memory_equal(out.data, input, MUCH);
	assert_string_equal(err.data, "problem\n");
	free(out.data);
	free(err.data);
	lsc_process_free(p);
	/* A child that does not read. */
	p = shell("echo done", &pipes);
	assert_int_equal(lsc_process_communicate(p, input, MUCH, 1 << 20, &out, NULL, &status), 0);
	assert_string_equal(out.data, "done\n");
	free(out.data);
	lsc_process_free(p);
	/* One that says too much. */
	p = shell("exec cat /dev/zero", &pipes);
	assert_int_equal(lsc_process_communicate(p, NULL, 0, 100000, &out, &err, &status),
			 -EMSGSIZE);
	lsc_process_free(p);
	free(input);
	return 0;
}

static int communicate(void *arg)
{
	int status;

	return lsc_process_communicate(arg, NULL, 0, 1000, NULL, NULL, &status);
}

static int main_of_cancelled(void *arg)
{
	struct lsc_process *p = shell("exec sleep 100", &pipes);
	struct lsc_future *f = lsc_spawn(communicate, p, NULL);

	(void)arg;
	for (int i = 0; i < 5; i++)
		lsc_yield();
	lsc_cancel(f);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	assert_int_equal(lsc_process_kill(p, SIGKILL), 0); /* it still ran */
	status_of(p);
	lsc_process_free(p);
	return 0;
}

static void all_pipes_are_served_at_once(void **state)
{
	(void)state;
	run(main_of_communicate);
	run(main_of_cancelled);
}

static int main_of_stdio(void *arg)
{
	char *const env[] = {"LSC_GREETING=hello there", NULL};
	struct lsc_process_options o = {.size = sizeof(o)};
	struct lsc_process_output out;
	char path[] = "/tmp/loopscope-test-process-XXXXXX", data[64] = {0};
	int status, fd = mkstemp(path);

	(void)arg;
	assert_true(fd >= 0);
	unlink(path);
	o.stdio[0] = LSC_STDIO_NULL;
	o.stdio[1] = LSC_STDIO_PIPE;
	o.stdio[2] = LSC_STDIO_STDOUT;
	o.env = env;
	o.directory = "/";
	struct lsc_process *p = shell("echo $LSC_GREETING; pwd >&2; wc -c", &o);
	assert_null(lsc_process_stream(p, 2));
	assert_int_equal(lsc_process_communicate(p, NULL, 0, 1000, &out, NULL, &status), 0);
	assert_string_equal(out.data, "hello there\n/\n0\n");
	free(out.data);
	lsc_process_free(p);
	o = (struct lsc_process_options){.size = sizeof(o)};
	o.stdio[1] = LSC_STDIO_FD;
	o.fd[1] = fd;
	o.stdio[2] = LSC_STDIO_STDOUT;
	p = shell("echo one; echo two >&2", &o);
	status_of(p);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 8);
	assert_string_equal(data, "one\ntwo\n");
	lsc_process_free(p);
	/* Signals that are blocked here are not blocked there. */
	sigset_t set, before;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	p = shell("kill -TERM $$; exit 0", NULL);
	assert_int_equal(WTERMSIG(status_of(p)), SIGTERM);
	lsc_process_free(p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(fd);
	return 0;
}

static void the_childs_descriptors_environment_and_signals_are_as_asked(void **state)
{
	(void)state;
	run(main_of_stdio);
}

/* ---- misuse ---- */

static int main_of_misuse(void *arg)
{
	char *none[] = {NULL}, *missing[] = {"/nonexistent/program", NULL}, *sh[] = {"sh", NULL};
	struct lsc_process_options o = {.size = 1};
	struct lsc_process *p;

	(void)arg;
	assert_int_equal(lsc_process_start(none, NULL, &p), -EINVAL);
	assert_int_equal(lsc_process_start(missing, NULL, &p), -ENOENT);
	assert_int_equal(lsc_process_start(missing, &pipes, &p), -ENOENT);
	assert_int_equal(lsc_process_start(sh, &o, &p), -EINVAL);
	o = (struct lsc_process_options){.size = sizeof(o), .stdio = {LSC_STDIO_STDOUT}};
	assert_int_equal(lsc_process_start(sh, &o, &p), -EINVAL);
	o.stdio[0] = 99;
	assert_int_equal(lsc_process_start(sh, &o, &p), -EINVAL);
	o.stdio[0] = LSC_STDIO_FD;
	o.fd[0] = 9999;
	assert_int_equal(lsc_process_start(sh, &o, &p), -EBADF);
	o = (struct lsc_process_options){.size = sizeof(o), .directory = "/nonexistent"};
	assert_int_equal(lsc_process_start(sh, &o, &p), -ENOENT);
	assert_null(lsc_process_free(NULL));
	return 0;
}

/* ---- without standard descriptors ---- */

static int main_without_standard(void *arg)
{
	static const struct lsc_process_options joined = {
		.size = sizeof(joined),
		.stdio = {LSC_STDIO_PIPE, LSC_STDIO_PIPE, LSC_STDIO_STDOUT}};
	char *argv[] = {"/bin/cat", NULL};
	struct lsc_process_output out;
	struct lsc_process *p;
	int status;

	(void)arg;
	int r = lsc_process_start(argv, &joined, &p);
	if (r < 0)
		return r;
	r = lsc_process_communicate(p, "hello", 5, 100, &out, NULL, &status);
	if (r == 0) {
		r = status != 0 ? -EIO : strcmp(out.data, "hello") != 0 ? -EPROTO : 0;
		free(out.data);
	}
	lsc_process_free(p);
	return r;
}

static void a_program_without_standard_descriptors_has_children_with_them(void **state)
{
	int status;

	(void)state;
	for (int closed = 1; closed < 8; closed++) { /* each set of them */
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			for (int fd = 0; fd < 3; fd++)
				if (closed & 1 << fd)
					close(fd);
			_exit(-lsc_run(main_without_standard, NULL));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static void what_cannot_be_started_is_an_error(void **state)
{
	char *sh[] = {"sh", NULL};
	struct lsc_process *p;

	(void)state;
	run(main_of_misuse);
	assert_int_equal(lsc_process_start(sh, NULL, &p), -EPERM);
}

/* ---- signals ---- */

static void note(int signo, void *arg)
{
	((int *)arg)[signo]++;
}

static int main_of_signals(void *arg)
{
	static int came[NSIG];
	struct sigaction before, after;

	(void)arg;
	assert_int_equal(sigaction(SIGUSR1, NULL, &before), 0);
	assert_int_equal(lsc_signal_add(SIGUSR1, note, came), 0);
	assert_int_equal(lsc_signal_add(SIGUSR2, note, came), 0);
	raise(SIGUSR1);
	raise(SIGUSR1);
	assert_int_equal(came[SIGUSR1], 0); /* not in the midst of things */
	while (!came[SIGUSR1])
		assert_int_equal(lsc_sleep(LSC_NS_PER_MS), 0);
	assert_int_equal(came[SIGUSR1], 1);
	assert_int_equal(came[SIGUSR2], 0);
	assert_int_equal(lsc_signal_remove(SIGUSR1), 0);
	assert_int_equal(lsc_signal_remove(SIGUSR1), -ENOENT);
	assert_int_equal(sigaction(SIGUSR1, NULL, &after), 0);
	assert_ptr_equal(after.sa_handler, before.sa_handler);
	assert_int_equal(lsc_signal_add(0, note, came), -EINVAL);
	assert_int_equal(lsc_signal_add(NSIG, note, came), -EINVAL);
	assert_int_equal(lsc_signal_add(SIGKILL, note, came), -EINVAL);
	assert_int_equal(lsc_signal_remove(-1), -ENOENT);
	return 0; /* SIGUSR2 ends with the loop */
}

static int other_loop(void *arg)
{
	int came[NSIG];

	(void)arg;
	return lsc_signal_add(SIGUSR2, note, came);
}

static void *run_other_loop(void *ret)
{
	*(int *)ret = lsc_run(other_loop, NULL);
	return NULL;
}

static int wait_signal(void *arg)
{
	return lsc_signal_wait(arg);
}

static int main_of_waiting(void *arg)
{
	sigset_t set;
	pthread_t thread;
	int r = 0;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	struct lsc_future *f = lsc_spawn(wait_signal, &set, NULL);
	lsc_yield();
	assert_int_equal(lsc_signal_wait(&set), -EBUSY);
	assert_int_equal(pthread_create(&thread, NULL, run_other_loop, &r), 0);
	pthread_join(thread, NULL);
	assert_int_equal(r, -EBUSY);
	raise(SIGUSR2);
	raise(SIGUSR1);
	r = lsc_await(f);
	assert_true(r == SIGUSR1 || r == SIGUSR2);
	lsc_unref(f);
	assert_int_equal(lsc_signal_wait(&set), SIGUSR1 + SIGUSR2 - r); /* the other one */
	f = lsc_spawn(wait_signal, &set, NULL);
	lsc_yield();
	lsc_cancel(f);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	sigaddset(&set, SIGSTOP);
	assert_int_equal(lsc_signal_wait(&set), -EINVAL);
	return 0;
}

static void signals_are_calls_of_the_loop(void **state)
{
	sigset_t set;
	struct sigaction after;

	(void)state;
	run(main_of_signals);
	assert_int_equal(sigaction(SIGUSR2, NULL, &after), 0);
	assert_ptr_equal(after.sa_handler, SIG_DFL);
	run(main_of_waiting);
	assert_int_equal(sigaction(SIGUSR1, NULL, &after), 0);
	assert_ptr_equal(after.sa_handler, SIG_DFL);
	assert_int_equal(lsc_signal_add(SIGUSR1, note, NULL), -EPERM);
	assert_int_equal(lsc_signal_remove(SIGUSR1), -ENOENT);
	sigemptyset(&set);
	assert_int_equal(lsc_signal_wait(&set), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_is_waited_for_and_killed),
		cmocka_unit_test(all_pipes_are_served_at_once),
		cmocka_unit_test(the_childs_descriptors_environment_and_signals_are_as_asked),
		cmocka_unit_test(a_program_without_standard_descriptors_has_children_with_them),
		cmocka_unit_test(what_cannot_be_started_is_an_error),
		cmocka_unit_test(signals_are_calls_of_the_loop),
	};
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
