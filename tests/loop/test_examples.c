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

/* ---- servers that talk ---- */

static uint16_t port_of(const char *first)
{
	const char *colon = strrchr(first, ':');

	assert_non_null(colon);
	return (uint16_t)atoi(colon + 1);
}

static void tell(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

/* Reads exactly what is expected. */
static void hear(int fd, const char *expected)
{
	char data[4096];
	size_t size = strlen(expected);

	assert_int_equal(recv(fd, data, size, MSG_WAITALL), size);
	assert_memory_equal(data, expected, size);
}

static void end_server(pid_t child)
{
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(finish(child), 0);
}

static void the_chat_server_tells_everybody_else(void **state)
{
	char *argv[] = {CHAT_SERVER, NULL}, first[128], byte;

	(void)state;
	pid_t child = start(argv, first);
	uint16_t port = port_of(first);
	int anna = connect_to(port), ben = connect_to(port), cleo = connect_to(port);
	tell(anna, "Anna\n");
	hear(anna, "welcome\n"); /* she is in */
	tell(ben, "Ben\r\n");
	hear(ben, "welcome\n");
	hear(anna, "Ben is here\n");
	tell(cleo, "Cleo\n");
	hear(cleo, "welcome\n");
	hear(anna, "Cleo is here\n");
	hear(ben, "Cleo is here\n");
	tell(anna, "hello\nall\n");
	hear(ben, "Anna: hello\nAnna: all\n");
	hear(cleo, "Anna: hello\nAnna: all\n");
	close(ben);
	hear(cleo, "Ben is gone\n");
	hear(anna, "Ben is gone\n");
	end_server(child);
	assert_int_equal(recv(anna, &byte, 1, 0), 0);
	close(anna);
	close(cleo);
}

/* The status of the next answer, which is read whole. */
static int status_of_answer(int fd)
{
	char head[1024];
	size_t n = 0;

	while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) {
		assert_in_range(n, 0, sizeof(head) - 2);
		assert_int_equal(recv(fd, head + n, 1, 0), 1);
		n++;
	}
	head[n] = '\0';
	assert_memory_equal(head, "HTTP/1.1 ", 9);
	const char *length = strstr(head, "Content-Length: ");
	assert_non_null(length);
	if (strncmp(length + 16, "13\r", 3) == 0)
		hear(fd, "Hello, world\n");
	else
		assert_memory_equal(length + 16, "0\r", 2);
	return atoi(head + 9);
}

static void assert_closed(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

static void the_http_server_keeps_connections(void **state)
{
	static const struct {
		const char *request;
		int status;
	} last[] = {
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200},
		{"GET / HTTP/1.0\r\n\r\n", 200},
		{"nonsense\r\n\r\n", 400},
		{"GET / HTTP/1.1 \r\n\r\n", 400},
		{"GET /\r\n\r\n", 400},
		{"GET / HTTP/1.1\nHost: x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\nConnection: close\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
	};
	char *argv[] = {HTTP_SERVER, NULL}, first[128], large[9000];

	(void)state;
	pid_t child = start(argv, first);
	uint16_t port = port_of(first);
	int fd = connect_to(port);
	tell(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(status_of_answer(fd), 200);
	/* Three at once, one of them in two pieces, one with a body. */
	tell(fd, "GET / HTTP/1.1\r\n\r\nPOST /x HTTP/1.1\r\ncontent-length: 5\r\n\r\n12345GET /no");
	assert_int_equal(status_of_answer(fd), 200);
	assert_int_equal(status_of_answer(fd), 405);
	tell(fd, "where HTTP/1.1\r\n\r\n");
	assert_int_equal(status_of_answer(fd), 404);
	close(fd);
	for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
		fd = connect_to(port);
		tell(fd, last[i].request);
		assert_int_equal(status_of_answer(fd), last[i].status);
		assert_closed(fd);
	}
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	memcpy(large, "GET / HTTP/1.1\r\nX: ", 19);
	fd = connect_to(port);
	tell(fd, large);
	assert_int_equal(status_of_answer(fd), 431);
	close(fd);
	fd = connect_to(port); /* one that says nothing more does not keep the server */
	tell(fd, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(status_of_answer(fd), 200); /* it is accepted */
	end_server(child);
	assert_closed(fd);
}

/* ---- restaurant ---- */

static double number_behind(const char *line, const char *key)
{
	const char *found = strstr(line, key);

	assert_non_null(found);
	return atof(found + strlen(key));
}

static void the_restaurant_starves_its_tables_when_the_waiter_cooks(void **state)
{
	char *argv[] = {RESTAURANT,  "--tables", "6",  "--courses", "2",
			"--cooking", "20",	 NULL, NULL};
	char good[128], bad[128];

	(void)state;
	assert_int_equal(finish(start(argv, good)), 0);
	argv[7] = "--waiter-cooks";
	assert_int_equal(finish(start(argv, bad)), 0);
	assert_int_equal(atoi(good), 12);
	assert_int_equal(atoi(bad), 12);
	/* Twelve dishes one after the other; the last table to be seen waited for six. */
	assert_true(number_behind(bad, "dishes in ") >= 0.24);
	assert_true(number_behind(bad, "wait of a table ") >= 6 * 20);
	assert_true(number_behind(good, "wait of a table ") <
		    number_behind(bad, "wait of a table "));
	argv[7] = "--nonsense";
	pid_t child = fork();
	if (child == 0) {
		fclose(stderr);
		execv(argv[0], argv);
		_exit(127);
	}
	assert_int_equal(finish(child), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_demo_service_plants_blocks_and_tells_the_truth),
		cmocka_unit_test(the_demo_service_ends_by_time),
		cmocka_unit_test(the_echo_server_returns_what_it_gets),
		cmocka_unit_test(the_chat_server_tells_everybody_else),
		cmocka_unit_test(the_http_server_keeps_connections),
		cmocka_unit_test(the_restaurant_starves_its_tables_when_the_waiter_cooks),
	};
	return cmocka_run_group_tests_name("examples", tests, NULL, NULL);
}
