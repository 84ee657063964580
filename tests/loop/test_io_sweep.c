/* SPDX-License-Identifier: MIT */
/*
 * The allocation sweep of everything that does input and output: the first, second, ... call that
 * can fail does so. Each failure comes back as an error or does no harm; nothing hangs, nothing
 * leaks (the asan preset looks), and no descriptor is left open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "descriptors.h"
#include "loopscope/loopscope.h"
#include "on_valgrind.h"
#include "wrap.h"

/* Each returns 0 or an error. */
typedef int (*scenario)(void *arg);

static int echo(struct lsc_stream *stream, void *arg)
{
	const char *line;
	ssize_t n;

	(void)arg;
	while ((n = lsc_stream_read_line(stream, &line)) > 0) {
		int r = lsc_stream_write(stream, line, (size_t)n);

		if (r < 0)
			return r;
	}
	return (int)n;
}

static int ask(struct lsc_stream *stream)
{
	static char large[200000];
	const char *line;

	int r = lsc_stream_write(stream, "hello\n", 6);
	if (r < 0)
		return r;
	ssize_t n = lsc_stream_read_line(stream, &line);
	if (n <= 0)
		return n < 0 ? (int)n : -ENODATA;
	/* More than the socket takes at once. */
	memset(large, 'x', sizeof(large));
	r = lsc_stream_write(stream, large, sizeof(large));
	return r < 0 ? r : 0;
}

static int serve_and_ask(void *arg)
{
	char name[64];

	snprintf(name, sizeof(name), "@loopscope-test-io-sweep-%d", getpid());
	struct lsc_server *server = NULL;
	struct lsc_stream *stream = NULL;
	int r = arg ? lsc_start_unix_server(name, echo, NULL, NULL, &server)
		    : lsc_start_server("127.0.0.1", 0, echo, NULL, NULL, &server);

	if (r == 0)
		r = arg ? lsc_open_unix_connection(name, &stream)
			: lsc_open_connection("127.0.0.1", lsc_server_port(server), &stream);
	if (r == 0)
		r = ask(stream);
	lsc_stream_free(stream);
	lsc_server_free(server);
	return r;
}

static int over_tcp(void *arg)
{
	(void)arg;
	return serve_and_ask(NULL);
}

static int over_unix(void *arg)
{
	(void)arg;
	return serve_and_ask("unix");
}

static int datagrams(void *arg)
{
	int fd = lsc_open_udp("127.0.0.1", 0, NULL, 0);

	(void)arg;
	if (fd < 0)
		return fd;
	int r = lsc_wait_fd(fd, POLLOUT);
	lsc_close(fd);
	return r < 0 ? r : 0;
}

static int answer(void *arg)
{
	return *(int *)arg;
}

static int threads_and_names(void *arg)
{
	struct addrinfo *found;
	int zero = 0;

	(void)arg;
	int r = lsc_to_thread(answer, &zero);
	if (r < 0)
		return r;
	struct lsc_future *f = lsc_thread_start(answer, &zero, NULL);
	r = f ? lsc_await(f) : -ENOMEM;
	lsc_unref(f);
	if (r == 0)
		r = lsc_getaddrinfo("localhost", NULL, NULL, &found);
	if (r == 0)
		freeaddrinfo(found);
	return r;
}

static int files(void *arg)
{
	char path[] = "/tmp/loopscope-test-sweep-XXXXXX";
	int fd = mkstemp(path);

	(void)arg;
	assert_true(fd >= 0);
	unlink(path);
	ssize_t n = lsc_write(fd, "hello", 5);
	lsc_close(fd);
	return n < 0 ? (int)n : 0;
}

static int children(void *arg)
{
	static const struct lsc_process_options pipes = {
		.size = sizeof(pipes),
		.stdio = {LSC_STDIO_PIPE, LSC_STDIO_PIPE, LSC_STDIO_PIPE},
	};
	char *argv[] = {"/bin/cat", NULL};
	struct lsc_process_output out;
	struct lsc_process *p;
	int status;

	(void)arg;
	int r = lsc_process_start(argv, &pipes, &p);
	if (r < 0)
		return r;
	r = lsc_process_communicate(p, "hello", 5, 100, &out, NULL, &status);
	if (r == 0) {
		assert_string_equal(out.data, "hello");
		free(out.data);
	}
	lsc_process_free(p);
	return r;
}

/* ---- what is read in pieces, opened by name, handed over ---- */

static int read_pieces(struct lsc_stream *stream)
{
	const char *piece;
	char three[3], *rest;

	ssize_t n = lsc_stream_read_exactly(stream, three, sizeof(three));
	if (n >= 0)
		n = lsc_stream_read_until(stream, "end", 3, &piece);
	if (n >= 0)
		n = lsc_stream_read_line(stream, &piece);
	if (n >= 0)
		n = lsc_stream_read_all(stream, 100, &rest);
	if (n < 0)
		return (int)n;
	assert_string_equal(rest, "and the rest");
	free(rest);
	return 0;
}

static int pieces(void *arg)
{
	struct lsc_stream *streams[2] = {NULL, NULL};
	int pair[2], r = 0;

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 2 && r == 0; i++)
		r = lsc_stream_open(pair[i], &streams[i]);
	if (r == 0)
		r = lsc_stream_write(streams[1], "abc to the end\nand the rest", 27);
	if (r == 0)
		r = lsc_stream_write_eof(streams[1]);
	if (r == 0)
		r = read_pieces(streams[0]);
	for (int i = 0; i < 2; i++) {
		if (!streams[i])
			lsc_close(pair[i]);
		lsc_stream_free(streams[i]);
	}
	return r;
}

static int by_path(void *arg)
{
	char path[64], back[5] = "";
	struct statx about;

	(void)arg;
	snprintf(path, sizeof(path), "/tmp/loopscope-test-sweep-%d", getpid());
	int fd = lsc_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	ssize_t n = lsc_pwrite(fd, "hello", 5, 0);
	if (n >= 0)
		n = lsc_fdatasync(fd);
	if (n >= 0)
		n = lsc_fsync(fd);
	if (n >= 0)
		n = lsc_pread(fd, back, sizeof(back), 0);
	if (n >= 0)
		n = lsc_statx(AT_FDCWD, path, 0, STATX_SIZE, &about);
	assert_true(n < 0 || (memcmp(back, "hello", 5) == 0 && about.stx_size == 5));
	lsc_close(fd);
	unlink(path);
	return n < 0 ? (int)n : 0;
}

static int name_of_address(void *arg)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
	char host[64], service[16];

	(void)arg;
	return lsc_getnameinfo((struct sockaddr *)&address, sizeof(address), host, sizeof(host),
			       service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV);
}

static int given_socket(void *arg)
{
	struct lsc_server *server = NULL;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct lsc_stream *stream = NULL;

	(void)arg;
	if (fd < 0)
		return -errno;
	assert_int_equal(listen(fd, 1), 0);
	int r = lsc_start_server_on(fd, echo, NULL, &server);
	if (r < 0)
		close(fd); /* stays ours */
	if (r == 0)
		r = lsc_open_connection("127.0.0.1", lsc_server_port(server), &stream);
	if (r == 0)
		r = ask(stream);
	lsc_stream_free(stream);
	lsc_server_free(server);
	return r;
}

static int answer_signal(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, *(int *)arg);
	return lsc_signal_wait(&set);
}

static int a_signal(void *arg)
{
	struct lsc_task_options o = {.size = sizeof(o), .name = "waits", .stack_size = 1 << 18};
	int signo = SIGUSR1;
	struct lsc_future *task = lsc_spawn_with(answer_signal, &signo, &o);

	(void)arg;
	if (!task)
		return -ENOMEM;
	while (!lsc_is_done(task)) {
		struct sigaction now;

		assert_int_equal(sigaction(signo, NULL, &now), 0);
		if (now.sa_handler != SIG_DFL)
			raise(signo);
		if (lsc_yield() < 0)
			break;
	}
	int r = lsc_await(task);
	lsc_unref(task);
	return r == signo ? 0 : r;
}

/* An error that a lack of memory, or the peer's, explains. */
static bool is_expected(int r)
{
	return r == 0 || r == -ENOMEM || r == -EAGAIN || r == -ENODATA || r == -ECONNRESET ||
	       r == -EPIPE || r == -ECONNREFUSED;
}

static void sweep(scenario fn)
{
	int failures = 0, r, before = descriptors_open();

	for (unsigned nth = 1;; nth++) {
		wrap_fail_at(nth);
		r = lsc_run(fn, NULL);
		bool failed = wrap_has_failed();
		wrap_fail_at(0);
		if (!is_expected(r))
			fail_msg("call number %u failed, and the result is %d", nth, r);
		assert_int_equal(descriptors_open(), before);
		if (!failed)
			break;
		failures += r != 0;
		assert_in_range(nth, 1, 300);
	}
	assert_int_equal(r, 0);
	assert_true(failures >= 5);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void servers_and_connections_survive_a_lack_of_memory(void **state)
{
	(void)state;
	sweep(over_tcp);
	sweep(over_unix);
}

static void threads_names_files_and_datagrams_survive_it(void **state)
{
	(void)state;
	sweep(threads_and_names);
	sweep(files);
	sweep(datagrams);
}

static void what_is_read_opened_and_handed_over_survives_it(void **state)
{
	(void)state;
	sweep(pieces);
	sweep(by_path);
	sweep(name_of_address);
	sweep(given_socket);
	sweep(a_signal);
}

static void children_survive_it(void **state)
{
	(void)state;
	skip_on_valgrind(NO_PIDFD);
	sweep(children);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_and_connections_survive_a_lack_of_memory),
		cmocka_unit_test(threads_names_files_and_datagrams_survive_it),
		cmocka_unit_test(what_is_read_opened_and_handed_over_survives_it),
		cmocka_unit_test(children_survive_it),
	};
	return cmocka_run_group_tests_name("io_sweep", tests, NULL, NULL);
}
