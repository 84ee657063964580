/* SPDX-License-Identifier: MIT */
/*
 * TLS through OpenSSL, in libloopscope-tls: streams whose bytes are encrypted. After one of the
 * calls that start TLS, a stream is read, written and closed as any other (stream.h), but for this:
 *
 *  - The peer's end must be said in TLS (close_notify). A connection that ends without that may
 *    have been cut by somebody else: -ECONNABORTED in place of the end of the stream.
 *  - Closing says so to the peer, and waits for its end: lsc_tls_options.shutdown_timeout_ns at
 *    most, and in a task of its own.
 *
 * Errors, besides those of streams; lsc_tls_error() has the reason in words:
 *   -EPROTO        what came is no TLS, or not what was agreed; or the peer refused (an alert)
 *   -EKEYREJECTED  the peer's certificate is not trusted, or of another name
 *   -EKEYEXPIRED   it has expired, or is not valid yet
 *   -ECONNABORTED  the connection ended without the peer having said so
 *   -ETIMEDOUT     the handshake, or the wait for the peer's end, took too long
 *
 * A handshake computes for a millisecond or so and holds the loop meanwhile; keys on elliptic
 * curves take a fraction of RSA's time.
 */
#ifndef LOOPSCOPE_TLS_H
#define LOOPSCOPE_TLS_H

#include "loopscope/server.h"

LSC_BEGIN

struct lsc_stream;

/* What connections have in common: keys, certificates, rules. Counted references; may be used by
 * the loops of several threads. */
struct lsc_tls_context;

enum lsc_tls_side {
	LSC_TLS_CLIENT,
	LSC_TLS_SERVER,
};

enum lsc_tls_verify {
	LSC_TLS_VERIFY_DEFAULT = 0, /* clients: required; servers: none */
	LSC_TLS_VERIFY_NONE,	    /* anybody may be the peer */
	LSC_TLS_VERIFY_OPTIONAL,    /* servers: a client may show a certificate, a good one */
	LSC_TLS_VERIFY_REQUIRED,
};

/* Files are PEM. Everything is borrowed by lsc_tls_context_new() alone. */
struct lsc_tls_options {
	uint32_t size; /* sizeof(struct lsc_tls_options), so that fields can be added */
	enum lsc_tls_verify verify;
	/* Nonzero: a client does not check that the certificate is of the name it connects to. */
	int any_name;
	/* Nonzero: TLS 1.3 is the oldest version that is spoken, in place of 1.2. */
	int only_1_3;
	/* Whom to trust. NULL: for clients the system's authorities; servers that verify need it.
	 */
	const char *ca_file;
	/* Our certificate, and behind it those up to the authority's. NULL: none; servers need it.
	 */
	const char *certificate_file;
	const char *key_file;	  /* its key; NULL: in certificate_file */
	const char *key_password; /* of the key; NULL: none, and nobody is asked for it */
	/* Protocols by ALPN ("h2", "http/1.1"), the most wanted first, ended by NULL; NULL: none.
	 */
	const char *const *alpn;
	uint64_t handshake_timeout_ns; /* 0: 60 s */
	uint64_t shutdown_timeout_ns;  /* 0: 30 s */
};

/* Makes a context and gives *ret, one reference. options (borrowed) may be NULL for a client. Reads
 * files, so make it before serving, or in a thread. -EINVAL: options of another size, a server
 * without a certificate, a file that is not what it should be, a key that does not fit; -ENOENT and
 * the like of files; -ENOMEM. */
LSC_API int lsc_tls_context_new(enum lsc_tls_side side, const struct lsc_tls_options *options,
				struct lsc_tls_context **ret);

/* Drops the caller's reference (NULL is allowed); servers and streams hold their own. Returns NULL.
 */
LSC_API struct lsc_tls_context *lsc_tls_context_unref(struct lsc_tls_context *context);

/* ---- starting ---- */

/* lsc_open_connection(), and TLS on it as a client. server_name is what the certificate has to be
 * of, and what the server is told; NULL: host. Suspends. */
LSC_API int lsc_tls_open_connection(struct lsc_tls_context *context, const char *host,
				    uint16_t port, const char *server_name,
				    struct lsc_stream **ret);

/* lsc_start_server(), with TLS on each connection before fn gets it. Where the handshake fails fn
 * is not called; a mark in the record says why. options.start must be NULL (-EINVAL). */
#define lsc_tls_start_server(context, host, port, fn, arg, options, ret)                           \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = LSC_SITE_HERE_;                                 \
		lsc_tls_start_server_at(&lsc_site_, (context), (host), (port), (fn), (arg),        \
					(options), (ret));                                         \
	}))

/* The same for bindings that make their own sites, as lsc_start_server_at(). */
LSC_API int lsc_tls_start_server_at(struct lsc_site *site, struct lsc_tls_context *context,
				    const char *host, uint16_t port, lsc_client_fn fn, void *arg,
				    const struct lsc_server_options *options,
				    struct lsc_server **ret);

/* Starts TLS on a stream that was used without (asyncio's start_tls), as the context's side.
 * server_name as above, for a client; NULL needs any_name or no verification. What was written is
 * sent before; what was read ahead counts as TLS. Suspends. 0, or an error, after which the stream
 * is of no use; -EALREADY, -EBUSY, -EBADF as lsc_filter_set() says. */
LSC_API int lsc_tls_start(struct lsc_stream *stream, struct lsc_tls_context *context,
			  const char *server_name);

/* Why the latest call of this thread failed that returned one of the errors above; "" when none
 * did. Until the next call that suspends or fails. Borrowed. Never fails. */
LSC_API const char *lsc_tls_error(void);

/* ---- what was agreed ---- */

/* The version, as "TLSv1.3"; the cipher, as "TLS_AES_256_GCM_SHA384"; the protocol by ALPN; what
 * the client called the server. NULL without TLS, and of the latter two also where there is none;
 * borrowed, while the stream lives. */
LSC_API const char *lsc_tls_version(const struct lsc_stream *stream);
LSC_API const char *lsc_tls_cipher(const struct lsc_stream *stream);
LSC_API const char *lsc_tls_alpn(const struct lsc_stream *stream);
LSC_API const char *lsc_tls_server_name(const struct lsc_stream *stream);

/* Gives *ret_der, the peer's certificate in DER, to be released with free(), and returns its
 * length. -ENOENT when it showed none; -EINVAL without TLS; -ENOMEM. */
LSC_API ssize_t lsc_tls_peer_certificate(const struct lsc_stream *stream, unsigned char **ret_der);

/* The certificate's subject, as "CN=example.org,O=Example" (RFC 4514), NUL-terminated. 0, or
 * -ENOBUFS when it does not fit into size bytes, or errors as above. */
LSC_API int lsc_tls_peer_name(const struct lsc_stream *stream, char *buffer, size_t size);

LSC_END

#endif
