/* SPDX-License-Identifier: MIT */
/* The parts of libloopscope-tls: error.c, context.c, tls.c (a stream's engine), connection.c,
 * peer.c. */
#ifndef LSC_LOOP_TLS_H
#define LSC_LOOP_TLS_H

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#include "loopscope/filter.h"
#include "loopscope/tls.h"

#define ALPN_MAX 256 /* one name and a NUL */

struct lsc_tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	unsigned refs; /* atomic */
	enum lsc_tls_side side;
	bool verifies;
	bool checks_name;
	uint64_t handshake_ns;
	uint64_t shutdown_ns;
	unsigned char *alpn; /* as on the wire: each name behind its length */
	unsigned alpn_size;
};

/* A stream's engine. */
struct tls {
	SSL *ssl;
	struct lsc_tls_context *context;
	struct lsc_stream *stream;
	int error;	/* what ended it, or 0 */
	int send_error; /* of lsc_filter_send(), within a call of OpenSSL */
	char alpn[ALPN_MAX];
	unsigned char *in; /* what came, and OpenSSL has not taken: [begin, end) */
	size_t begin, end;
};

/* The engine of a stream, or NULL. */
struct tls *tls_of(const struct lsc_stream *stream);

/* How OpenSSL reaches an engine's bytes; NULL when out of memory. */
BIO_METHOD *tls_bio_new(void);

struct lsc_tls_context *context_ref(struct lsc_tls_context *context);

/* Remembers why, for lsc_tls_error(); returns code. */
int error_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same from OpenSSL's queue of errors, which is cleared: "doing: reason". Returns -errno of a
 * system call, -ENOMEM, or code. */
int error_take(int code, const char *doing);

#endif
