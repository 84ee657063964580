/* SPDX-License-Identifier: MIT */
/* See serving.h. */
#include "serving.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct serving {
	uint16_t port;
	lsc_client_fn client;
	void *arg;
	void (*goodbye)(void *arg);
};

static int serve(void *arg)
{
	const struct serving *s = arg;
	struct lsc_server *server;

	int r = lsc_start_server("127.0.0.1", s->port, s->client, s->arg, NULL, &server);
	if (r < 0)
		return r;
	printf("listening on 127.0.0.1:%u\n", lsc_server_port(server));
	fflush(stdout);
	r = lsc_server_serve_forever(server);
	if (s->goodbye) {
		s->goodbye(s->arg);
		int closed = lsc_server_wait_closed(server);
		r = r < 0 ? r : closed;
	}
	lsc_server_free(server);
	return r;
}

int serving_main(int argc, char **argv, lsc_client_fn client, void *arg, void (*goodbye)(void *arg))
{
	char *end = "";
	unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
	struct serving s = {(uint16_t)port, client, arg, goodbye};

	if (argc > 2 || *end || port > UINT16_MAX) {
		fprintf(stderr, "usage: %s [PORT]\n", argv[0]);
		return 2;
	}
	int r = lsc_run(serve, &s);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], strerror(-r));
	return r < 0;
}
