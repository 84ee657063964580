/* SPDX-License-Identifier: MIT */
/* A TCP echo server, one task a connection: echo_server [PORT]. Ends with the first SIGTERM or
 * SIGINT. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loopscope/loopscope.h"

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

static int serve(void *arg)
{
	const uint16_t *port = arg;
	struct lsc_server *server;
	sigset_t ends;

	int r = lsc_start_server("127.0.0.1", *port, echo, NULL, NULL, &server);
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
		fputs("usage: echo_server [PORT]\n", stderr);
		return 2;
	}
	int r = lsc_run(serve, &port);
	if (r < 0)
		fprintf(stderr, "echo_server: %s\n", strerror(-r));
	return r < 0;
}
