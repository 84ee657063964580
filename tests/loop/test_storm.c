/* SPDX-License-Identifier: MIT */
/*
 * Signals all the time: every 100 us one that a handler of the program's takes, without SA_RESTART,
 * so that whatever the loop or one of its calls is in is interrupted again and again. Nothing ends
 * early, nothing fails, nothing is left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"
#include "on_valgrind.h"

#define STORM_US      100
#define SIGNALS_LEAST 200
#define ROUNDS	      30
#define LARGE	      (256 * 1024)

#define TOO_SLOW "a signal each 100 us is more than it can deliver"

static volatile sig_atomic_t came;

static void on_signal(int number)
{
	(void)number;
	came++;
}

static void storm(suseconds_t us)
{
	struct itimerval when = {{0, us}, {0, us}};

	assert_int_equal(setitimer(ITIMER_REAL, &when, NULL), 0);
}

static int run_in_storm(lsc_task_fn fn)
{
	struct sigaction own = {.sa_handler = on_signal}, before;

	came = 0;
	assert_int_equal(sigaction(SIGALRM, &own, &before), 0);
	storm(STORM_US);
	int r = lsc_run(fn, NULL);
	storm(0);
	assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
	return r;
}

/* ---- what goes on in it ---- */

static int sleep_exactly(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t due_ns = lsc_time() + 2 * LSC_NS_PER_MS;

		assert_int_equal(lsc_sleep_until(due_ns), 0);
		assert_true(lsc_time() >= due_ns);
	}
	return 0;
}

static int pipe_ends[2];

static int write_to_pipe(void *arg)
{
	static char data[LARGE];
	size_t done = 0;

	(void)arg;
	while (done < sizeof(data)) {
		ssize_t n = lsc_write(pipe_ends[1], data + done, sizeof(data) - done);

		assert_true(n > 0);
		done += (size_t)n;
	}
	return lsc_close(pipe_ends[1]);
}

/* With O_NONBLOCK or without. */
static int through_a_pipe(void *arg)
{
	static char data[4096];

	for (int i = 0; i < ROUNDS; i++) {
		size_t got = 0;
		ssize_t n;

		assert_int_equal(pipe2(pipe_ends, i % 2 ? O_NONBLOCK | O_CLOEXEC : O_CLOEXEC), 0);
		struct lsc_future *writer = lsc_spawn(write_to_pipe, arg, "writes");
		while ((n = lsc_read(pipe_ends[0], data, sizeof(data))) > 0)
			got += (size_t)n;
		assert_int_equal(n, 0);
		assert_int_equal(got, LARGE);
		assert_int_equal(lsc_await(writer), 0);
		lsc_unref(writer);
		assert_int_equal(lsc_close(pipe_ends[0]), 0);
	}
	return 0;
}

static int echo(struct lsc_stream *stream, void *arg)
{
	char data[4096];
	ssize_t n;

	(void)arg;
	while ((n = lsc_stream_read(stream, data, sizeof(data))) > 0) {
		assert_int_equal(lsc_stream_write(stream, data, (size_t)n), 0);
		assert_int_equal(lsc_stream_drain(stream), 0);
	}
	return (int)n;
}

static int over_tcp(void *arg)
{
	static char data[LARGE], back[LARGE];
	struct lsc_server *server;

	(void)arg;
	assert_int_equal(lsc_start_server("127.0.0.1", 0, echo, NULL, NULL, &server), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct lsc_stream *stream;

		memset(data, 'a' + i % 26, sizeof(data));
		assert_int_equal(lsc_open_connection("127.0.0.1", lsc_server_port(server), &stream),
				 0);
		assert_int_equal(lsc_stream_write(stream, data, sizeof(data)), 0);
		assert_int_equal(lsc_stream_read_exactly(stream, back, sizeof(back)), sizeof(back));
		assert_memory_equal(data, back, sizeof(data));
		lsc_stream_close(stream);
		assert_int_equal(lsc_stream_wait_closed(stream), 0);
		lsc_stream_free(stream);
	}
	lsc_server_close(server);
	assert_int_equal(lsc_server_wait_closed(server), 0);
	lsc_server_free(server);
	return 0;
}

static int add_one(void *arg)
{
	struct timespec left = {0, 500000};

	/* Workers are left in peace: no signal interrupts this. */
	assert_int_equal(nanosleep(&left, &left), 0);
	return ++*(int *)arg;
}

static int in_threads(void *arg)
{
	struct addrinfo *found;
	int count = 0;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(lsc_to_thread(add_one, &count), i + 1);
		assert_int_equal(lsc_getaddrinfo("localhost", "80", NULL, &found), 0);
		freeaddrinfo(found);
	}
	return 0;
}

static int in_files(void *arg)
{
	char path[] = "/tmp/loopscope-test-storm-XXXXXX";
	static char data[LARGE], back[LARGE];
	int made = mkostemp(path, O_CLOEXEC);

	(void)arg;
	assert_true(made >= 0);
	close(made);
	for (int i = 0; i < ROUNDS; i++) {
		int fd = lsc_open(path, O_RDWR, 0);

		assert_true(fd >= 0);
		memset(data, i, sizeof(data));
		assert_int_equal(lsc_pwrite(fd, data, sizeof(data), 0), sizeof(data));
		assert_int_equal(lsc_fdatasync(fd), 0);
		assert_int_equal(lsc_pread(fd, back, sizeof(back), 0), sizeof(back));
		assert_memory_equal(data, back, sizeof(data));
		assert_int_equal(lsc_close(fd), 0);
	}
	return unlink(path);
}

static int in_children(void *arg)
{
	static const struct lsc_process_options pipes = {
		.size = sizeof(pipes), .stdio = {LSC_STDIO_PIPE, LSC_STDIO_PIPE, LSC_STDIO_NULL}};
	char *argv[] = {"/bin/cat", NULL};
	static char data[LARGE];

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct lsc_process_output out;
		struct lsc_process *p;
		int status;

		memset(data, 'a' + i % 26, sizeof(data));
		assert_int_equal(lsc_process_start(argv, &pipes, &p), 0);
		assert_int_equal(lsc_process_communicate(p, data, sizeof(data), sizeof(data), &out,
							 NULL, &status),
				 0);
		assert_int_equal(status, 0);
		assert_int_equal(out.length, sizeof(data));
		assert_memory_equal(out.data, data, sizeof(data));
		free(out.data);
		lsc_process_free(p);
	}
	return 0;
}

static int main_of_everything(void *arg)
{
	static const lsc_task_fn all[] = {sleep_exactly, through_a_pipe, over_tcp,
					  in_threads,	 in_files,	 in_children};
	enum { N = sizeof(all) / sizeof(all[0]) };
	struct lsc_future *tasks[N], *together;
	int results[N];

	for (int i = 0; i < N; i++)
		assert_non_null(tasks[i] = lsc_spawn(all[i], arg, "in a storm"));
	together = lsc_gather(tasks, N, 0);
	assert_int_equal(lsc_await(together), 0);
	assert_int_equal(lsc_gather_results(together, results, N), N);
	lsc_unref(together);
	for (int i = 0; i < N; i++)
		lsc_unref(tasks[i]);
	return 0;
}

static void everything_goes_on_in_a_storm_of_signals(void **state)
{
	(void)state;
	skip_on_valgrind(TOO_SLOW);
	assert_int_equal(run_in_storm(main_of_everything), 0);
	print_message("%d signals\n", (int)came);
	assert_true(came >= SIGNALS_LEAST);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* ---- children at the end of the loop ---- */

static int main_that_leaves_a_child(void *arg)
{
	char *argv[] = {"/bin/sleep", "3600", NULL};
	struct lsc_process *p;

	(void)arg;
	assert_int_equal(lsc_process_start(argv, NULL, &p), 0);
	lsc_process_free(p);
	return 0;
}

static void a_killed_child_is_reaped_whatever_interrupts(void **state)
{
	(void)state;
	skip_on_valgrind(TOO_SLOW);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(run_in_storm(main_that_leaves_a_child), 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
	}
}

/* The child runs, and there is no descriptor to watch it by: it is ended, and no zombie. */
static int main_without_descriptors(void *arg)
{
	char *argv[] = {"/bin/sleep", "3600", NULL};
	struct lsc_process *p = NULL;
	struct rlimit before, none;

	(void)arg;
	int lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	assert_true(lowest >= 0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){(rlim_t)lowest, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int r = lsc_process_start(argv, NULL, &p);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_null(p);
	return r;
}

static void a_child_that_cannot_be_watched_is_reaped_whatever_interrupts(void **state)
{
	(void)state;
	skip_on_valgrind(TOO_SLOW);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(run_in_storm(main_without_descriptors), -EMFILE);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_goes_on_in_a_storm_of_signals),
		cmocka_unit_test(a_killed_child_is_reaped_whatever_interrupts),
		cmocka_unit_test(a_child_that_cannot_be_watched_is_reaped_whatever_interrupts),
	};
	return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
