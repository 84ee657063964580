/* SPDX-License-Identifier: MIT */
/*
 * A task forks while the loop is in the midst of everything: waits for descriptors, a call in a
 * worker, a child, a server, a stream with bytes to send. The child ends its copy of the loop, task
 * by task; the parent notices nothing of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"

#define UNSENT (1 << 20) /* bytes: more than a socket takes at once */

static int wake_up(void *arg)
{
	(void)arg;
	return lsc_sleep(LSC_NS_PER_MS);
}

/* ThreadSanitizer forgets, in a child forked on a fiber, that the fiber ran before its thread went
 * on, and reports every byte the two share. */
#if !defined(__SANITIZE_THREAD__)
struct midst {
	pid_t parent;
	int pair[2];	 /* somebody reads from the first */
	int stream[2];	 /* the first is the stream's */
	int received;	 /* what the reader got */
	sem_t begun, go; /* of the call in a worker */
	int called;
	struct lsc_stream *full;
	struct lsc_process *sleeper;
	struct lsc_server *server;
	struct lsc_future *reader, *caller, *call;
	char path[64];
};

static int read_one(void *arg)
{
	struct midst *m = arg;
	char byte = 0;
	ssize_t n = lsc_read(m->pair[0], &byte, 1);

	m->received = byte;
	/* As a program does that unwinds: in the child it must not end the parent's wait. */
	lsc_close(m->pair[0]);
	return (int)n;
}

static int work(void *arg)
{
	struct midst *m = arg;

	sem_post(&m->begun);
	while (sem_wait(&m->go) < 0)
		;
	m->called++;
	return 7;
}

static int call_work(void *arg)
{
	return lsc_to_thread(work, arg);
}

static int greet(struct lsc_stream *stream, void *arg)
{
	(void)arg;
	int r = lsc_stream_write(stream, "hello\n", 6);
	return r < 0 ? r : lsc_stream_drain(stream);
}

static void begin(struct midst *m)
{
	static const struct lsc_process_options inherit = {.size = sizeof(inherit)};
	static char data[UNSENT];
	char *argv[] = {"/bin/sleep", "3600", NULL};

	m->parent = getpid();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, m->pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, m->stream), 0);
	assert_int_equal(lsc_stream_open(m->stream[0], &m->full), 0);
	memset(data, 'd', sizeof(data));
	assert_int_equal(lsc_stream_write(m->full, data, sizeof(data)), 0);
	assert_true(lsc_stream_buffered(m->full) > 0);
	snprintf(m->path, sizeof(m->path), "/tmp/loopscope-test-fork-%d", getpid());
	assert_int_equal(lsc_start_unix_server(m->path, greet, NULL, NULL, &m->server), 0);
	assert_int_equal(lsc_process_start(argv, &inherit, &m->sleeper), 0);
	sem_init(&m->begun, 0, 0);
	sem_init(&m->go, 0, 0);
	m->reader = lsc_spawn(read_one, m, "reads");
	m->caller = lsc_spawn(call_work, m, "calls");
	m->call = lsc_thread_start(work, m, NULL);
	assert_true(m->reader && m->caller && m->call);
	lsc_yield();
	for (int i = 0; i < 2; i++)
		while (sem_wait(&m->begun) < 0)
			;
	/* Longer than waits are looked at whether they are in vain. */
	assert_int_equal(lsc_sleep(250 * LSC_NS_PER_MS), 0);
}

/* Everything of the parent's goes on. */
static int go_on(struct midst *m, pid_t child)
{
	struct lsc_stream *stream;
	struct lsc_timeout limit;
	const char *line;
	char *data;
	int status;

	/* A plain child of the test's own. */
	while (waitpid(child, &status, WNOHANG) == 0)
		assert_int_equal(lsc_sleep(LSC_NS_PER_MS), 0);
	assert_int_equal(status, 0);
	assert_int_equal(lsc_timeout_begin(&limit, 20 * LSC_NS_PER_S), 0);
	assert_int_equal(write(m->pair[1], "x", 1), 1);
	assert_int_equal(lsc_await(m->reader), 1);
	assert_int_equal(m->received, 'x');
	sem_post(&m->go);
	sem_post(&m->go);
	assert_int_equal(lsc_await(m->caller), 7);
	assert_int_equal(lsc_await(m->call), 7);
	assert_int_equal(m->called, 2);
	assert_int_equal(kill(lsc_process_pid(m->sleeper), 0), 0);
	assert_int_equal(lsc_process_kill(m->sleeper, SIGTERM), 0);
	assert_int_equal(lsc_process_wait(m->sleeper, &status), 0);
	assert_int_equal(WTERMSIG(status), SIGTERM); /* and not the child's SIGKILL */
	assert_int_equal(lsc_open_unix_connection(m->path, &stream), 0);
	assert_int_equal(lsc_stream_read_line(stream, &line), 6);
	lsc_stream_free(stream);
	/* Each byte once. */
	struct lsc_stream *peer;
	assert_int_equal(lsc_stream_open(m->stream[1], &peer), 0);
	lsc_stream_free(m->full);
	assert_int_equal(lsc_stream_read_all(peer, 2 * UNSENT, &data), UNSENT);
	free(data);
	lsc_stream_free(peer);
	return lsc_timeout_end(&limit, 0);
}

static void end(struct midst *m)
{
	lsc_unref(m->reader);
	lsc_unref(m->caller);
	lsc_unref(m->call);
	lsc_process_free(m->sleeper);
	lsc_server_free(m->server);
	sem_destroy(&m->begun);
	sem_destroy(&m->go);
	close(m->pair[1]);
}

static int main_that_forks(void *arg)
{
	struct midst *m = arg;

	begin(m);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* What is let go of here is the parent's still. */
		lsc_stream_free(m->full);
		lsc_process_free(m->sleeper);
		lsc_server_free(m->server);
		return 3;
	}
	int r = go_on(m, child);
	end(m);
	return r;
}

static void a_child_that_ends_the_loop_leaves_its_parents_alone(void **state)
{
	struct midst m = {0};

	(void)state;
	int r = lsc_run(main_that_forks, &m);
	if (m.parent != getpid())
		_exit(r == 3 && lsc_run(wake_up, NULL) == 0 ? 0 : 1);
	assert_int_equal(r, 0);
	assert_int_equal(access(m.path, F_OK), -1);
}

/* ---- a child that goes on ---- */

static int main_that_goes_on(void *arg)
{
	int status;

	(void)arg;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* What needs no wait works; what needs one ends, and says why. */
		char byte;
		int pair[2], r = lsc_yield();

		if (r < 0 || pipe(pair) < 0)
			_exit(1);
		if (lsc_wait_fd(pair[0], POLLIN) != -ECHILD ||
		    lsc_read(pair[0], &byte, 1) != -ECHILD)
			_exit(2);
		if (lsc_to_thread(wake_up, NULL) != -EAGAIN)
			_exit(3);
		if (lsc_sleep(LSC_NS_PER_S) != -ECANCELED)
			_exit(4);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return wake_up(NULL);
}

static void a_child_cannot_wait_with_its_parents_loop(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_that_goes_on, NULL), 0);
}

#endif

static void a_loop_that_runs_in_a_child_says_why_it_cannot(void **state)
{
	struct lsc_loop *loop;
	int status;

	(void)state;
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(lsc_loop_run(loop) == -ECHILD && lsc_loop_free(loop) == 0 ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	struct lsc_future *task = lsc_spawn(wake_up, NULL, NULL);
	assert_int_equal(lsc_loop_run_until(loop, task), 0);
	lsc_unref(task);
	assert_int_equal(lsc_loop_free(loop), 0);
}

/* ---- other processes that a task makes ---- */

static int main_of_programs(void *arg)
{
	int status;

	(void)arg;
	/* system(3) and a task's fork and exec, with SIGCHLD ignored by the loop, which has no use
	 * for it. */
	assert_int_equal(system("exit 3"), 3 << 8);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", "exit 4", (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 4 << 8);
	return wake_up(NULL);
}

static void a_task_may_start_programs_by_itself(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_programs, NULL), 0);
}

/* Somebody else takes the children's ends: SIGCHLD is ignored, so that none is kept. */
static int main_of_lost_children(void *arg)
{
	char *argv[] = {"/bin/true", NULL};
	struct lsc_process *p;
	int status = -1;

	(void)arg;
	assert_int_equal(lsc_process_start(argv, NULL, &p), 0);
	assert_int_equal(lsc_process_wait(p, &status), -ECHILD);
	assert_int_equal(lsc_process_wait(p, &status), -ECHILD);
	assert_int_equal(lsc_process_kill(p, SIGTERM), -ESRCH);
	assert_int_equal(status, -1);
	lsc_process_free(p);
	return 0;
}

static void a_childs_end_that_is_lost_is_an_error(void **state)
{
	(void)state;
	assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	int r = lsc_run(main_of_lost_children, NULL);
	assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(a_child_that_ends_the_loop_leaves_its_parents_alone),
		cmocka_unit_test(a_child_cannot_wait_with_its_parents_loop),
#endif
		cmocka_unit_test(a_loop_that_runs_in_a_child_says_why_it_cannot),
		cmocka_unit_test(a_task_may_start_programs_by_itself),
		cmocka_unit_test(a_childs_end_that_is_lost_is_an_error),
	};
	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
