/* SPDX-License-Identifier: MIT */
/* Errors that documentation promises and that no other test meets: those of the system, of other
 * users, of peers that do not answer. Some calls are wrapped by the linker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"

static int refuse_accept, refuse_names;

int __real_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
	if (!refuse_accept)
		return __real_accept4(fd, peer, size, flags);
	errno = refuse_accept;
	return -1;
}

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret)
{
	return refuse_names ? refuse_names : __real_getaddrinfo(host, service, hints, ret);
}

static int listen_somewhere(struct sockaddr_in *ret, int backlog)
{
	socklen_t size = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
	return fd;
}

static int main_of_full_tables(void *arg)
{
	struct sockaddr_in address;
	int fd = listen_somewhere(&address, 1);
	int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)arg;
	assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof(address)), 0);
	refuse_accept = ENFILE;
	assert_int_equal(lsc_accept(fd, NULL, NULL), -ENFILE);
	refuse_accept = EMFILE;
	assert_int_equal(lsc_accept(fd, NULL, NULL), -EMFILE);
	refuse_accept = 0;
	int end = lsc_accept(fd, NULL, NULL); /* it was in the backlog all the time */
	assert_true(end >= 0);
	assert_int_equal(lsc_close(end), 0);
	assert_int_equal(lsc_close(peer), 0);
	assert_int_equal(lsc_close(fd), 0);
	return 0;
}

static void accepting_says_that_tables_are_full_and_loses_no_connection(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_full_tables, NULL), 0);
}

/* The backlog is full: the kernel drops what asks for more, until its patience ends. */
static int main_of_silence(void *arg)
{
	enum { FULL = 3, PATIENCE_MS = 300 };
	struct sockaddr_in address;
	int fd = listen_somewhere(&address, 0), peers[FULL], patience = PATIENCE_MS;

	(void)arg;
	for (int i = 0; i < FULL; i++) {
		peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(peers[i], (struct sockaddr *)&address, sizeof(address));
	}
	int last = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		setsockopt(last, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof(patience)), 0);
	assert_int_equal(lsc_connect(last, (struct sockaddr *)&address, sizeof(address)),
			 -ETIMEDOUT);
	lsc_close(last);
	for (int i = 0; i < FULL; i++)
		lsc_close(peers[i]);
	lsc_close(fd);
	return 0;
}

static void connecting_to_silence_times_out(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_silence, NULL), 0);
}

static int main_of_names(void *arg)
{
	static const struct {
		int eai, error;
	} cases[] = {
		{EAI_FAIL, -EIO},      {EAI_AGAIN, -EAGAIN},   {EAI_NONAME, -ENOENT},
		{EAI_MEMORY, -ENOMEM}, {EAI_SERVICE, -EINVAL},
	};
	struct addrinfo *found = NULL;

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		refuse_names = cases[i].eai;
		assert_int_equal(lsc_getaddrinfo("name.invalid", NULL, NULL, &found),
				 cases[i].error);
		assert_null(found);
	}
	refuse_names = 0;
	return 0;
}

static void what_a_resolver_says_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_names, NULL), 0);
}

static int main_of_programs(void *arg)
{
	char *argv[] = {"/etc/passwd", NULL};
	struct lsc_process *p = NULL;

	(void)arg;
	assert_int_equal(lsc_process_start(argv, NULL, &p), -EACCES);
	assert_null(p);
	return 0;
}

static void a_file_that_is_no_program_is_refused(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_programs, NULL), 0);
}

static int serve_nobody(struct lsc_stream *stream, void *arg)
{
	(void)stream;
	(void)arg;
	return 0;
}

static int main_of_low_ports(void *arg)
{
	struct lsc_server *server = NULL;
	int r = lsc_start_server("127.0.0.1", 1, serve_nobody, NULL, NULL, &server);

	(void)arg;
	lsc_server_free(server);
	return r == -EACCES ? 0 : 1;
}

static void a_port_of_the_systems_is_refused_to_others(void **state)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
	int first = 1024, status;

	(void)state;
	if (f) {
		assert_int_equal(fscanf(f, "%d", &first), 1);
		fclose(f);
	}
	if (first <= 1) {
		print_message("skipped: every port is everybody's here\n");
		skip();
	}
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (geteuid() == 0 &&
		    (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
			_exit(99);
		_exit(lsc_run(main_of_low_ports, NULL));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static int main_of_terminals(void *arg)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct lsc_stream *stream;

	(void)arg;
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(lsc_stream_open(master, &stream), 0);
	assert_int_equal(lsc_stream_write_eof(stream), -EPROTOTYPE);
	lsc_stream_free(stream);
	return 0;
}

static void a_terminal_has_no_half_to_close(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_terminals, NULL), 0);
}

static int main_of_buffers(void *arg)
{
	static char data[1 << 20];
	struct lsc_stream *stream;
	int pair[2];

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(lsc_stream_open(pair[0], &stream), 0);
	assert_int_equal(lsc_stream_buffered(stream), 0);
	assert_int_equal(lsc_stream_write(stream, data, sizeof(data)), 0);
	assert_in_range(lsc_stream_buffered(stream), 1, sizeof(data) - 1);
	lsc_stream_abort(stream);
	assert_int_equal(lsc_stream_buffered(stream), 0);
	assert_int_equal(lsc_stream_write(stream, "x", 1), -EBADF);
	lsc_stream_free(stream);
	close(pair[1]);
	return 0;
}

static void what_the_peer_does_not_take_is_buffered_and_dropped_at_an_abort(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_buffers, NULL), 0);
}

/* ---- what bindings use ---- */

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

static int main_of_sites(void *arg)
{
	static struct lsc_site site = {"binding", "binding.py", 12, 0, 0};
	struct lsc_future *task = lsc_spawn_at(&site, seven, NULL, "bound");

	(void)arg;
	assert_non_null(task);
	assert_ptr_equal(lsc_ref(task), task);
	lsc_unref(task);
	assert_int_equal(lsc_await(task), 7); /* the second reference holds it */
	lsc_unref(task);
	struct lsc_group *group = lsc_group_new();
	task = lsc_group_spawn_at(group, &site, seven, NULL, NULL);
	assert_non_null(task);
	assert_int_equal(lsc_await(task), 7);
	lsc_unref(task);
	return lsc_group_end(group, 0);
}

static void tasks_of_sites_that_others_made(void **state)
{
	static struct lsc_site site = {"binding", "binding.py", 13, 0, 0};

	(void)state;
	assert_int_equal(lsc_run(main_of_sites, NULL), 0);
	assert_null(lsc_spawn_at(&site, seven, NULL, NULL)); /* no loop */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepting_says_that_tables_are_full_and_loses_no_connection),
		cmocka_unit_test(connecting_to_silence_times_out),
		cmocka_unit_test(what_a_resolver_says_is_an_error),
		cmocka_unit_test(a_file_that_is_no_program_is_refused),
		cmocka_unit_test(a_port_of_the_systems_is_refused_to_others),
		cmocka_unit_test(a_terminal_has_no_half_to_close),
		cmocka_unit_test(what_the_peer_does_not_take_is_buffered_and_dropped_at_an_abort),
		cmocka_unit_test(tasks_of_sites_that_others_made),
	};
	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
