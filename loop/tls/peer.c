/* SPDX-License-Identifier: MIT */
/* What was agreed, and with whom. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tls.h"

const char *lsc_tls_version(const struct lsc_stream *stream)
{
	const struct tls *t = tls_of(stream);

	return t ? SSL_get_version(t->ssl) : NULL;
}

const char *lsc_tls_cipher(const struct lsc_stream *stream)
{
	const struct tls *t = tls_of(stream);

	return t ? SSL_get_cipher_name(t->ssl) : NULL;
}

const char *lsc_tls_alpn(const struct lsc_stream *stream)
{
	const struct tls *t = tls_of(stream);

	return t && t->alpn[0] ? t->alpn : NULL;
}

const char *lsc_tls_server_name(const struct lsc_stream *stream)
{
	const struct tls *t = tls_of(stream);

	return t ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

/* Borrowed. 0 or -errno. */
static int certificate_of(const struct lsc_stream *stream, X509 **ret)
{
	const struct tls *t = tls_of(stream);

	if (!t)
		return -EINVAL;
	*ret = SSL_get0_peer_certificate(t->ssl);
	return *ret ? 0 : -ENOENT;
}

ssize_t lsc_tls_peer_certificate(const struct lsc_stream *stream, unsigned char **ret_der)
{
	X509 *certificate;
	int r = certificate_of(stream, &certificate);

	if (r < 0)
		return r;
	int size = i2d_X509(certificate, NULL);
	unsigned char *der = size > 0 ? malloc((size_t)size) : NULL, *at = der;
	if (!der || i2d_X509(certificate, &at) != size) {
		ERR_clear_error();
		free(der);
		return -ENOMEM;
	}
	*ret_der = der;
	return size;
}

int lsc_tls_peer_name(const struct lsc_stream *stream, char *buffer, size_t size)
{
	X509 *certificate;
	char *text;
	int r = certificate_of(stream, &certificate);

	if (r < 0)
		return r;
	BIO *bio = BIO_new(BIO_s_mem());
	if (!bio ||
	    X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) {
		ERR_clear_error();
		BIO_free(bio);
		return -ENOMEM;
	}
	size_t length = (size_t)BIO_get_mem_data(bio, &text);
	if (length < size) {
		memcpy(buffer, text, length);
		buffer[length] = '\0';
	}
	BIO_free(bio);
	return length < size ? 0 : -ENOBUFS;
}
