/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP/1.1 server with keep-alive and pipelining: http_server [PORT]. GET / greets, GET
 * /slow does so after a second, GET /blocking holds the whole loop for 100 ms (let loopscope find
 * it). Ends with the first SIGTERM or SIGINT.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "serving.h"

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

/* Takes a word of at most size - 1 bytes off the line, and the space behind it. */
static bool take_word(const char **line, const char *end, char *buf, size_t size)
{
	const char *space = memchr(*line, ' ', (size_t)(end - *line));
	size_t n = space ? (size_t)(space - *line) : 0;

	if (n == 0 || n >= size)
		return false;
	memcpy(buf, *line, n);
	buf[n] = '\0';
	*line = space + 1;
	return true;
}

/* "GET /path HTTP/1.1" */
static bool parse_request_line(const char *line, const char *end, struct request *ret)
{
	static const char version[] = "HTTP/1.";
	const size_t n = sizeof(version) - 1;

	if (!take_word(&line, end, ret->method, sizeof(ret->method)) ||
	    !take_word(&line, end, ret->path, sizeof(ret->path)) || (size_t)(end - line) != n + 1 ||
	    memcmp(line, version, n) != 0 || line[n] < '0' || line[n] > '9')
		return false;
	ret->keep_alive = line[n] > '0';
	return true;
}

/* The value of a header field that has this name (with its colon), or NULL. */
static const char *field(const char *line, size_t size, const char *name)
{
	size_t n = strlen(name);

	/* Most fields are told apart by their first letter. */
	if (size < n || ((*line ^ *name) & ~0x20) != 0 || strncasecmp(line, name, n) != 0)
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

/* Where the line ends, at its "\r\n"; NULL when it ends otherwise. */
static const char *line_end(const char *line, const char *end)
{
	const char *newline = memchr(line, '\n', (size_t)(end - line));

	return newline && newline > line && newline[-1] == '\r' ? newline - 1 : NULL;
}

/* A head that ends with an empty line. The status of an error, or 0. */
static int parse(const char *head, size_t size, struct request *ret)
{
	const char *last = head + size, *end = line_end(head, last);

	*ret = (struct request){.keep_alive = false};
	if (!end || memchr(head, '\0', size) || !parse_request_line(head, end, ret))
		return 400;
	for (const char *line = end + 2; line < last - 2; line = end + 2) {
		end = line_end(line, last);
		int status = end ? parse_field(line, (size_t)(end - line), ret) : 400;
		if (status != 0)
			return status;
	}
	return 0;
}

/* ---- answers ---- */

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "200 OK";
	case 400:
		return "400 Bad Request";
	case 404:
		return "404 Not Found";
	case 405:
		return "405 Method Not Allowed";
	case 413:
		return "413 Content Too Large";
	case 431:
		return "431 Request Header Fields Too Large";
	default:
		return "501 Not Implemented";
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

/* Appends the number at `at`; returns its end. */
static char *put_number(char *at, size_t n)
{
	char digits[20];
	size_t count = 0;

	do
		digits[count++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

/* A body is a short text; printf() would take longer than all the rest of a request. */
static int answer(struct lsc_stream *stream, int status, const char *body, bool keep_alive)
{
	char text[512], *at = text;

	at = stpcpy(at, "HTTP/1.1 ");
	at = stpcpy(at, status_text(status));
	at = stpcpy(at, "\r\nDate: ");
	at = stpcpy(at, date());
	at = stpcpy(at, "\r\nContent-Type: text/plain\r\nContent-Length: ");
	at = put_number(at, strlen(body));
	at = stpcpy(at, "\r\nConnection: ");
	at = stpcpy(at, keep_alive ? "keep-alive" : "close");
	at = stpcpy(at, "\r\n\r\n");
	at = stpcpy(at, body);
	return lsc_stream_write(stream, text, (size_t)(at - text));
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

int main(int argc, char **argv)
{
	return serving_main(argc, argv, serve_client, NULL, NULL);
}
