/* SPDX-License-Identifier: MIT */
/* Step 6: a server and its client, in one program. */
#include <loopscope/loopscope.h>
#include <stdio.h>
#include <string.h>

/* One task a connection; the stream is closed when it returns. */
static int take_orders(struct lsc_stream *stream, void *arg)
{
	const char *line;
	ssize_t n;

	(void)arg;
	while ((n = lsc_stream_read_line(stream, &line)) > 0) {
		char answer[80];
		int size =
			snprintf(answer, sizeof(answer), "one %.*s, coming up\n", (int)n - 1, line);
		int r = lsc_stream_write(stream, answer, (size_t)size);

		if (r == 0)
			r = lsc_stream_drain(stream);
		if (r < 0)
			return r;
	}
	return (int)n;
}

static int order(struct lsc_stream *stream, const char *dish)
{
	const char *line;
	int r = lsc_stream_write(stream, dish, strlen(dish));

	if (r < 0)
		return r;
	ssize_t n = lsc_stream_read_line(stream, &line);
	if (n > 0)
		printf("%.*s", (int)n, line);
	return n < 0 ? (int)n : 0;
}

static int app(void *arg)
{
	struct lsc_stream *stream = NULL;
	struct lsc_server *server;

	(void)arg;
	int r = lsc_start_server("127.0.0.1", 0, take_orders, NULL, NULL, &server);
	if (r < 0)
		return r;
	r = lsc_open_connection("127.0.0.1", lsc_server_port(server), &stream);
	if (r == 0)
		r = order(stream, "soup\n");
	if (r == 0)
		r = order(stream, "cake\n");
	lsc_stream_free(stream);
	lsc_server_close(server);
	if (r == 0)
		r = lsc_server_wait_closed(server);
	lsc_server_free(server);
	return r;
}

int main(void)
{
	return lsc_run(app, NULL) < 0;
}
