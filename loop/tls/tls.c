/* SPDX-License-Identifier: MIT */
/*
 * The engine of a stream: a filter that hands bytes to OpenSSL and takes them from it. OpenSSL sees
 * no descriptor but memory: what it writes goes to the stream at once (which buffers, and never
 * suspends), what it wants to read must have been received before. So a task suspends only between
 * two calls of OpenSSL, never within one.
 */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "loopscope/mark.h"
#include "loopscope/task.h"
#include "loopscope/timeout.h"

#define IN_SIZE (5u + 16384 + 256) /* a record of the largest kind */

/* ---- OpenSSL's side ---- */

static int bio_read(BIO *bio, char *data, int size)
{
	struct tls *t = BIO_get_data(bio);
	size_t n = t->end - t->begin;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)size)
		n = (size_t)size;
	memcpy(data, t->in + t->begin, n);
	t->begin += n;
	return (int)n;
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	t->send_error = lsc_filter_send(t->stream, data, (size_t)size);
	return t->send_error < 0 ? -1 : size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_MEM, "loopscope stream");

	if (m) {
		BIO_meth_set_read(m, bio_read);
		BIO_meth_set_write(m, bio_write);
		BIO_meth_set_ctrl(m, bio_control);
	}
	return m;
}

/* ---- between its calls ---- */

/* Receives more for OpenSSL to read. 0 or -errno. */
static int receive(struct tls *t)
{
	ssize_t n = lsc_filter_receive(t->stream, t->in, IN_SIZE);

	if (n <= 0)
		return n < 0 ? (int)n
			     : error_set(-ECONNABORTED,
					 "the connection ended without close_notify");
	t->begin = 0;
	t->end = (size_t)n;
	return 0;
}

static bool is_expired(long verdict)
{
	return verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID;
}

/* OpenSSL failed for good: why. */
static int fail(struct tls *t, const char *doing)
{
	long verdict = SSL_get_verify_result(t->ssl);
	int code = -EPROTO;

	if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		ERR_clear_error();
		code = error_set(is_expired(verdict) ? -EKEYEXPIRED : -EKEYREJECTED,
				 "the peer's certificate: %s",
				 X509_verify_cert_error_string(verdict));
	} else if (t->send_error < 0) {
		ERR_clear_error();
		code = error_set(t->send_error, "%s: %s", doing, strerrordesc_np(-t->send_error));
	} else {
		code = error_take(code, doing);
	}
	return t->error = code;
}

/* After a call that was not successful: 0 when it is to be made again, 1 at the peer's end, or
 * -errno. May suspend. */
static int settle(struct tls *t, int result, const char *doing)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return receive(t);
	case SSL_ERROR_ZERO_RETURN:
		return 1;
	default:
		return fail(t, doing);
	}
}

/* OpenSSL's errors are the thread's: what others left there is not ours. */
static void prepare(struct tls *t)
{
	ERR_clear_error();
	t->send_error = 0;
}

/* ---- the filter ---- */

static int shake_hands(struct tls *t)
{
	int r;

	do {
		prepare(t);
		r = SSL_do_handshake(t->ssl);
		if (r == 1)
			return 0;
		r = settle(t, r, "handshake");
	} while (r == 0);
	return r < 0 ? r : error_set(-ECONNABORTED, "handshake: the peer left");
}

static void remember_alpn(struct tls *t)
{
	const unsigned char *name;
	unsigned size;

	SSL_get0_alpn_selected(t->ssl, &name, &size);
	if (size > 0 && size < ALPN_MAX)
		memcpy(t->alpn, name, size);
}

static int start_filter(struct lsc_stream *stream, void *data)
{
	struct lsc_timeout timeout;
	struct tls *t = data;

	(void)stream;
	lsc_timeout_begin(&timeout, t->context->handshake_ns);
	int r = shake_hands(t);
	bool late = lsc_timeout_expired(&timeout);
	r = lsc_timeout_end(&timeout, r);
	if (r == -ETIMEDOUT && late)
		error_set(r, "handshake: not finished in time");
	if (r == 0)
		remember_alpn(t);
	else
		t->error = r;
	return r;
}

static ssize_t read_filter(struct lsc_stream *stream, void *data, void *buffer, size_t size)
{
	struct tls *t = data;
	size_t n;
	int r = t->error;

	(void)stream;
	while (r == 0) {
		prepare(t);
		if (SSL_read_ex(t->ssl, buffer, size, &n) == 1)
			return (ssize_t)n;
		r = settle(t, 0, "reading");
	}
	return r < 0 ? r : 0;
}

static int write_filter(struct lsc_stream *stream, void *data, const void *bytes, size_t size)
{
	struct tls *t = data;
	size_t n;

	(void)stream;
	if (t->error < 0)
		return t->error;
	if (!SSL_is_init_finished(t->ssl))
		return -EBUSY;
	prepare(t);
	return SSL_write_ex(t->ssl, bytes, size, &n) == 1 ? 0 : fail(t, "writing");
}

static int finish_filter(struct lsc_stream *stream, void *data)
{
	struct tls *t = data;

	(void)stream;
	if (t->error < 0 || !SSL_is_init_finished(t->ssl))
		return t->error;
	prepare(t);
	return SSL_shutdown(t->ssl) < 0 ? fail(t, "closing") : 0;
}

/* What still comes is of no interest, but unread data would make the kernel reset the connection,
 * and the peer lose what we sent. */
static int linger_filter(struct lsc_stream *stream, void *data)
{
	struct lsc_timeout timeout;
	struct tls *t = data;
	char rest[4096];
	ssize_t n;

	lsc_timeout_begin(&timeout, t->context->shutdown_ns);
	do {
		n = read_filter(stream, t, rest, sizeof(rest));
		if (n > 0 && lsc_yield() < 0)
			n = -ECANCELED;
	} while (n > 0);
	return lsc_timeout_end(&timeout, (int)n);
}

static void free_filter(void *data)
{
	struct tls *t = data;

	SSL_free(t->ssl);
	lsc_tls_context_unref(t->context);
	free(t->in);
	free(t);
}

static const struct lsc_filter filter = {
	.start = start_filter,
	.read = read_filter,
	.write = write_filter,
	.finish = finish_filter,
	.linger = linger_filter,
	.free = free_filter,
};

struct tls *tls_of(const struct lsc_stream *stream)
{
	return lsc_filter_data(stream, &filter);
}

/* ---- starting ---- */

/* The name that the peer has to have, and is told. 0 or -errno. */
static int set_name(struct tls *t, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

	if (!name)
		return t->context->checks_name
			       ? error_set(-EINVAL, "no name to check the certificate against")
			       : 0;
	/* An address is checked as one, and not told. */
	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return t->context->checks_name || X509_VERIFY_PARAM_set1_ip(param, NULL, 0) == 1
			       ? 0
			       : error_take(-ENOMEM, name);
	ERR_clear_error();
	if (SSL_set_tlsext_host_name(t->ssl, name) != 1)
		return error_take(-EINVAL, name);
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (t->context->checks_name && SSL_set1_host(t->ssl, name) != 1)
		return error_take(-EINVAL, name);
	return 0;
}

/* Gives *ret: an engine that has not begun. 0 or -errno. */
static int make(struct lsc_stream *stream, struct lsc_tls_context *context, const char *name,
		struct tls **ret)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	ERR_clear_error();
	t->stream = stream;
	t->context = context_ref(context);
	t->in = malloc(IN_SIZE);
	t->ssl = t->in ? SSL_new(context->ssl) : NULL;
	BIO *bio = t->ssl ? BIO_new(context->bio) : NULL;
	if (!bio) {
		free_filter(t);
		return error_set(-ENOMEM, "out of memory");
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	if (context->side == LSC_TLS_SERVER)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	int r = context->side == LSC_TLS_CLIENT ? set_name(t, name) : 0;
	if (r < 0) {
		free_filter(t);
		return r;
	}
	*ret = t;
	return 0;
}

int lsc_tls_start(struct lsc_stream *stream, struct lsc_tls_context *context,
		  const char *server_name)
{
	struct tls *t = NULL;
	int r = make(stream, context, server_name, &t);

	if (r < 0)
		return r;
	r = lsc_filter_set(stream, &filter, t);
	if (r == -EPROTO || r == -EKEYREJECTED || r == -EKEYEXPIRED || r == -ECONNABORTED)
		lsc_trace_mark(lsc_tls_error());
	return r;
}
