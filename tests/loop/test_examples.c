/* SPDX-License-Identifier: MIT */
/* The example programs do what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Starts argv with its output on a pipe, and reads the first line of it. */
static pid_t start(char *const argv[], char line[128])
{
	int out[2];

	assert_int_equal(pipe(out), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	assert_non_null(f);
	assert_non_null(fgets(line, 128, f));
	fclose(f);
	return child;
}

static int finish(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- demo_service ---- */

static uint64_t number_after(const char **at, const char *key)
{
	const char *found = strstr(*at, key);

	assert_non_null(found);
	*at = found + strlen(key);
	return strtoull(*at, NULL, 10);
}

static void assert_truth(const char *line, unsigned tasks)
{
	static const char culprit[] = "{\"culprit\":\"report-writer\",";
	char name[48];

	assert_memory_equal(line, culprit, strlen(culprit));
	uint64_t start_ns = number_after(&line, "\"start_ns\":");
	uint64_t end_ns = number_after(&line, "\"end_ns\":");
	assert_true(end_ns - start_ns >= 20 * LSC_NS_PER_MS);
	for (unsigned i = 1; i <= tasks; i++) {
		snprintf(name, sizeof(name), "{\"task\":\"request-%u\",", i);
		line = strstr(line, name);
		assert_non_null(line);
		uint64_t ready_ns = number_after(&line, "\"ready_ns\":");
		uint64_t run_ns = number_after(&line, "\"run_ns\":");
		/* Ready before the block, run behind it. */
		assert_true(ready_ns <= start_ns && run_ns >= end_ns);
		assert_int_equal(number_after(&line, "\"wait_ns\":"), run_ns - ready_ns);
	}
	assert_null(strstr(line, "\"task\":"));
}

static void the_demo_service_plants_blocks_and_tells_the_truth(void **state)
{
	char path[] = "/tmp/loopscope-truth-XXXXXX", first[128];
	lsc_autofree char *line = NULL;
	size_t size = 0;
	int blocks = 0;

	(void)state;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	char *argv[] = {DEMO_SERVICE, "--period", "30ms", "--block", "20ms", "--count",
			"3",	      "--tasks",  "7",	  "--truth", path,   NULL};
	assert_int_equal(finish(start(argv, first)), 0);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	for (; getline(&line, &size, f) > 0; blocks++)
		assert_truth(line, 7);
	fclose(f);
	unlink(path);
	assert_int_equal(blocks, 3);
}

static void the_demo_service_ends_by_time(void **state)
{
	char *argv[] = {DEMO_SERVICE, "--period", "10s", "--seconds", "0.05", NULL}, first[128];

	(void)state;
	assert_int_equal(finish(start(argv, first)), 0);
	assert_non_null(strstr(first, "50 tasks"));
}

/* ---- echo_server ---- */

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void the_echo_server_returns_what_it_gets(void **state)
{
	char *argv[] = {ECHO_SERVER, NULL}, first[128], back[6000], sent[6000];
	int clients[5];

	(void)state;
	pid_t child = start(argv, first);
	assert_non_null(strrchr(first, ':'));
	uint16_t port = (uint16_t)atoi(strrchr(first, ':') + 1);
	for (int i = 0; i < 5; i++)
		clients[i] = connect_to(port);
	for (int i = 0; i < 5; i++) {
		memset(sent, 'a' + i, sizeof(sent));
		assert_int_equal(send(clients[i], sent, sizeof(sent), 0), sizeof(sent));
	}
	for (int i = 4; i >= 0; i--) {
		memset(sent, 'a' + i, sizeof(sent));
		assert_int_equal(recv(clients[i], back, sizeof(back), MSG_WAITALL), sizeof(back));
		assert_memory_equal(back, sent, sizeof(sent));
		if (i > 0) /* one client stays and is unwound */
			close(clients[i]);
	}
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(finish(child), 0);
	assert_int_equal(recv(clients[0], back, sizeof(back), 0), 0);
	close(clients[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_demo_service_plants_blocks_and_tells_the_truth),
		cmocka_unit_test(the_demo_service_ends_by_time),
		cmocka_unit_test(the_echo_server_returns_what_it_gets),
	};
	return cmocka_run_group_tests_name("examples", tests, NULL, NULL);
}
