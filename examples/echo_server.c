/* SPDX-License-Identifier: MIT */
/* A TCP echo server, one task a connection: echo_server [PORT]. Ends with the first SIGTERM or
 * SIGINT. */
#include "serving.h"

static int echo(struct lsc_stream *stream, void *arg)
{
	char data[4096];
	ssize_t n;

	(void)arg;
	while ((n = lsc_stream_read(stream, data, sizeof(data))) > 0) {
		int r = lsc_stream_write(stream, data, (size_t)n);

		if (r == 0)
			r = lsc_stream_drain(stream);
		if (r < 0)
			return r;
	}
	return (int)n;
}

int main(int argc, char **argv)
{
	return serving_main(argc, argv, echo, NULL, NULL);
}
