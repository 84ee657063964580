/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP/1.1 server with keep-alive and pipelining: http_server [PORT]. GET / greets, GET
 * /slow does so after a second, GET /blocking holds the whole loop for 100 ms (let loopscope find
 * it). Ends with the first SIGTERM or SIGINT.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "loopscope/loopscope.h"

#define HEAD_MAX  8192
#define BODY_MAX  (1u << 20)
#define IDLE_NS	  (60ull * 1000000000)
#define SECOND_NS 1000000000ull

struct request {
	char method[8];
	char path[256];
	bool keep_alive;
	size_t body; /* bytes that follow the head */
};

/* ---- the head of a request ---- */

/* The value of a header field that has this name (with its colon), or NULL. */
static const char *field(const char *line, size_t size, const char *name)
{
	size_t n = strlen(name);

	if (size < n || strncasecmp(line, name, n) != 0)
		return NULL;
	for (line += n; *line == ' ' || *line == '\t';)
		line++;
	return line;
}

/* Of one line of the head. The status of an error, or 0. */
static int parse_field(const char *line, size_t size, struct request *ret)
{
	const char *value;
	char *end;

	if ((value = field(line, size, "Connection:"))) {
		if (strncasecmp(value, "close", 5) == 0)
			ret->keep_alive = false;
		else if (strncasecmp(value, "keep-alive", 10) == 0)
			ret->keep_alive = true;
	} else if ((value = field(line, size, "Content-Length:"))) {
		ret->body = strtoul(value, &end, 10);
		if (*value < '0' || *value > '9' || *end != '\r')
			return 400;
		if (ret->body > BODY_MAX)
			return 413;
	} else if (field(line, size, "Transfer-Encoding:")) {
		return 501;
	}
	return 0;
}

/* A head that ends with an empty line. The status of an error, or 0. */
static int parse(const char *head, size_t size, struct request *ret)
{
	const char *end = memmem(head, size, "\r\n", 2);
	int minor, used = 0;

	*ret = (struct request){.keep_alive = false};
	if (memchr(head, '\0', size))
		return 400;
	if (sscanf(head, "%7[A-Z] %255[^ \r\n] HTTP/1.%1d%n", ret->method, ret->path, &minor,
		   &used) != 3 ||
	    head + used != end)
		return 400;
	ret->keep_alive = minor >= 1;
	for (const char *line = end + 2; line < head + size - 2; line = end + 2) {
		end = memmem(line, (size_t)(head + size - line), "\r\n", 2);
		int status = parse_field(line, (size_t)(end - line), ret);
		if (status != 0)
			return status;
	}
	return 0;
}

/* ---- answers ---- */

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Not Implemented";
	}
}

/* The date in HTTP's form; made once a second. */
static const char *date(void)
{
	static char text[40];
	static time_t made;
	time_t now = time(NULL);
	struct tm tm;

	if (now != made && gmtime_r(&now, &tm)) {
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		made = now;
	}
	return text;
}

static int answer(struct lsc_stream *stream, int status, const char *body, bool keep_alive)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain\r\n"
			 "Content-Length: %zu\r\nConnection: %s\r\n\r\n%s",
			 status, reason(status), date(), strlen(body),
			 keep_alive ? "keep-alive" : "close", body);

	return lsc_stream_write(stream, text, (size_t)n);
}

/* A blocking sleep on the loop: what one must not do. */
static void hold_the_loop(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

static int respond(struct lsc_stream *stream, const struct request *request)
{
	int status = 200, r = 0;

	if (strcmp(request->method, "GET") != 0)
		status = 405;
	else if (strcmp(request->path, "/slow") == 0)
		r = lsc_sleep(SECOND_NS);
	else if (strcmp(request->path, "/blocking") == 0)
		hold_the_loop();
	else if (strcmp(request->path, "/") != 0)
		status = 404;
	if (r == 0)
		r = answer(stream, status, status == 200 ? "Hello, world\n" : "",
			   request->keep_alive);
	return r < 0 ? r : lsc_stream_drain(stream);
}

/* ---- a connection ---- */

static int skip_body(struct lsc_stream *stream, size_t size)
{
	char data[4096];

	while (size > 0) {
		ssize_t n =
			lsc_stream_read(stream, data, size < sizeof(data) ? size : sizeof(data));

		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		size -= (size_t)n;
	}
	return 0;
}

/* Reads one request; waits for it for a minute at most. */
static ssize_t read_head(struct lsc_stream *stream, const char **ret_head)
{
	struct lsc_timeout idle;

	lsc_timeout_begin(&idle, IDLE_NS);
	ssize_t n = lsc_stream_read_until(stream, "\r\n\r\n", 4, ret_head);
	int r = lsc_timeout_end(&idle, n < 0 ? (int)n : 0);
	return r < 0 ? r : n;
}

static int serve_client(struct lsc_stream *stream, void *arg)
{
	struct request request = {.keep_alive = true};
	int r = 0;

	(void)arg;
	lsc_stream_set_limits(stream, HEAD_MAX, 0, 0);
	while (r == 0 && request.keep_alive) {
		const char *head;
		ssize_t n = read_head(stream, &head);

		if (n == -EMSGSIZE)
			return answer(stream, 431, "", false);
		if (n < 0)
			return n == -ENODATA || n == -ETIMEDOUT ? 0 : (int)n;
		int status = parse(head, (size_t)n, &request);
		if (status != 0)
			return answer(stream, status, "", false);
		r = skip_body(stream, request.body);
		if (r == 0)
			r = respond(stream, &request);
	}
	return r;
}

static int serve(void *arg)
{
	const uint16_t *port = arg;
	struct lsc_server *server;
	sigset_t ends;

	int r = lsc_start_server("127.0.0.1", *port, serve_client, NULL, NULL, &server);
	if (r < 0)
		return r;
	printf("listening on 127.0.0.1:%u\n", lsc_server_port(server));
	fflush(stdout);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	r = lsc_signal_wait(&ends);
	lsc_server_free(server);
	return r;
}

int main(int argc, char **argv)
{
	char *end = "";
	unsigned long wanted = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
	uint16_t port = (uint16_t)wanted;

	if (argc > 2 || *end || wanted > UINT16_MAX) {
		fputs("usage: http_server [PORT]\n", stderr);
		return 2;
	}
	int r = lsc_run(serve, &port);
	if (r < 0)
		fprintf(stderr, "http_server: %s\n", strerror(-r));
	return r < 0;
}
