/* SPDX-License-Identifier: MIT */
/* What the broker answers where something of a target cannot be opened. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "inspect/broker.h"
#include "inspect/message.h"

struct place {
	pid_t pid;
	int collector, worker; /* our ends */
};

/* So many more may be opened. */
static bool limit_descriptors(int more)
{
	int fds[64], last = -1;

	for (int i = 0; i < more; i++)
		last = fds[i] = dup(STDERR_FILENO);
	for (int i = 0; i < more; i++)
		close(fds[i]);
	const struct rlimit limit = {(rlim_t)last + 1, (rlim_t)last + 1};
	return last >= 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* A broker that may have so many descriptors more than it begins with. */
static void start(struct place *p, int more)
{
	int to_collector[2], to_worker[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, to_collector), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, to_worker), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		close(to_collector[0]);
		close(to_worker[0]);
		if (limit_descriptors(more))
			broker_run(to_collector[1], to_worker[1]);
		_exit(0);
	}
	close(to_collector[1]);
	close(to_worker[1]);
	p->collector = to_collector[0];
	p->worker = to_worker[0];
}

static void stop(struct place *p)
{
	close(p->collector);
	close(p->worker);
	assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
}

/* The status of an answer about a file of our own. */
static int ask(const struct place *p)
{
	const struct message_file m = {
		.kind = MESSAGE_FILE, .pid = getpid(), .tid = getpid(), .file = {.inode = 1}};
	static const char path[] = "/nowhere";
	struct {
		struct message_file m;
		char path[sizeof(path)];
	} answer;
	int fds[2];

	assert_int_equal(
		message_send(p->collector, &m, sizeof(m), path, sizeof(path) - 1, NULL, 0, 0), 0);
	ssize_t n = message_recv(p->worker, &answer, sizeof(answer), fds, 2, 0);
	lsc_closep(&fds[0]);
	lsc_closep(&fds[1]);
	assert_int_equal(n, sizeof(m) + sizeof(path) - 1);
	assert_int_equal(answer.m.kind, MESSAGE_FILE);
	return answer.m.status;
}

static void a_root_that_cannot_be_opened_is_an_answer_and_no_end(void **state)
{
	/* room for the index, the process, its maps: and then none for its root */
	struct place p;

	(void)state;
	start(&p, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&p), -EMFILE);
	stop(&p);
}

static void a_file_that_is_not_there_is_an_answer(void **state)
{
	struct place p;

	(void)state;
	start(&p, 64);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&p), -ENOENT);
	stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_root_that_cannot_be_opened_is_an_answer_and_no_end),
		cmocka_unit_test(a_file_that_is_not_there_is_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
