/* SPDX-License-Identifier: MIT */
/* Certificates and contexts for the tests of TLS. */
#ifndef LSC_TESTS_LOOP_TLS_FIXTURE_H
#define LSC_TESTS_LOOP_TLS_FIXTURE_H

#include "loopscope/tls.h"

/* Of a group of tests: makes the certificates in a directory of their own, and removes it. */
int fixture_make(void **state);
int fixture_remove(void **state);

/* The path of a file there; valid for the next seven calls. */
const char *fixture_path(const char *name);

/* Contexts of nothing but these; the test fails when there is none. ca NULL: nobody is verified. */
struct lsc_tls_context *fixture_client(const char *ca);
struct lsc_tls_context *fixture_server(const char *certificate);

/* One end of a connection, that is to begin with TLS; name as of lsc_tls_start(). */
struct fixture_side {
	struct lsc_stream *stream;
	struct lsc_tls_context *context;
	const char *name;
};

/* The body of a task: begins with TLS on a struct fixture_side. */
int fixture_start(void *arg);

/* Both ends of a socket, without TLS so far. */
void fixture_pair(struct lsc_stream *ret[2]);

/* Starts TLS at both ends, [0] as a client of name. What each says is in ret. */
void fixture_shake(struct lsc_stream *streams[2], struct lsc_tls_context *client,
		   struct lsc_tls_context *server, const char *name, int ret[2]);

/* A pair that has shaken hands. */
void fixture_tls_pair(struct lsc_stream *ret[2]);

/* Closes both in an orderly way, and frees them. */
void fixture_close(struct lsc_stream *streams[2]);

/* Answers each line with the same. */
int fixture_echo(struct lsc_stream *stream, void *arg);

/* Writes the text, and reads the same. */
void fixture_ask(struct lsc_stream *stream, const char *text);

#endif
