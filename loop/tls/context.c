/* SPDX-License-Identifier: MIT */
/* Contexts: what connections have in common. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "tls.h"

#define HANDSHAKE_NS (60ull * 1000000000)
#define SHUTDOWN_NS  (30ull * 1000000000)

struct lsc_tls_context *context_ref(struct lsc_tls_context *context)
{
	__atomic_fetch_add(&context->refs, 1, __ATOMIC_RELAXED);
	return context;
}

struct lsc_tls_context *lsc_tls_context_unref(struct lsc_tls_context *context)
{
	if (!context || __atomic_sub_fetch(&context->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	SSL_CTX_free(context->ssl);
	BIO_meth_free(context->bio);
	free(context->alpn);
	free(context);
	return NULL;
}

/* ---- ALPN ---- */

static int make_alpn(struct lsc_tls_context *c, const char *const *names)
{
	size_t size = 0;

	for (const char *const *n = names; *n; n++) {
		if (**n == '\0' || strlen(*n) >= ALPN_MAX)
			return error_set(-EINVAL, "ALPN: '%s' is no name of a protocol", *n);
		size += 1 + strlen(*n);
	}
	if (size == 0 || size > UINT16_MAX)
		return error_set(-EINVAL, "ALPN: no names, or too many");
	c->alpn = malloc(size);
	if (!c->alpn)
		return -ENOMEM;
	for (; *names; names++) {
		size_t length = strlen(*names);

		c->alpn[c->alpn_size++] = (unsigned char)length;
		memcpy(c->alpn + c->alpn_size, *names, length);
		c->alpn_size += (unsigned)length;
	}
	return 0;
}

/* Of a server: its first name that the client has, too. Without one the connection goes on. */
static int select_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
		       const unsigned char *offered, unsigned size, void *arg)
{
	const struct lsc_tls_context *c = arg;
	unsigned char *found;

	(void)ssl;
	if (SSL_select_next_proto(&found, ret_size, c->alpn, c->alpn_size, offered, size) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret = found;
	return SSL_TLSEXT_ERR_OK;
}

static int set_alpn(struct lsc_tls_context *c, const char *const *names)
{
	int r = make_alpn(c, names);

	if (r < 0)
		return r;
	if (c->side == LSC_TLS_SERVER)
		SSL_CTX_set_alpn_select_cb(c->ssl, select_alpn, c);
	else if (SSL_CTX_set_alpn_protos(c->ssl, c->alpn, c->alpn_size) != 0)
		return error_take(-EINVAL, "ALPN");
	return 0;
}

/* ---- files ---- */

/* OpenSSL would ask on the terminal. */
static int give_password(char *buffer, int size, int writing, void *arg)
{
	const char *password = arg;
	size_t length = password ? strlen(password) : 0;

	(void)writing;
	if (length > (size_t)size)
		return -1;
	if (length > 0)
		memcpy(buffer, password, length);
	return (int)length;
}

static int load_certificate(SSL_CTX *ssl, const struct lsc_tls_options *o)
{
	const char *key = o->key_file ? o->key_file : o->certificate_file;

	SSL_CTX_set_default_passwd_cb(ssl, give_password);
	SSL_CTX_set_default_passwd_cb_userdata(ssl, (void *)(uintptr_t)o->key_password);
	if (SSL_CTX_use_certificate_chain_file(ssl, o->certificate_file) != 1)
		return error_take(-EINVAL, o->certificate_file);
	if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ssl) != 1)
		return error_take(-EINVAL, key);
	SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
	return 0;
}

static int load_authorities(struct lsc_tls_context *c, const struct lsc_tls_options *o)
{
	STACK_OF(X509_NAME) * names;

	if (!o->ca_file) {
		if (SSL_CTX_set_default_verify_paths(c->ssl) != 1)
			return error_take(-EINVAL, "the system's authorities");
		return 0;
	}
	if (SSL_CTX_load_verify_locations(c->ssl, o->ca_file, NULL) != 1)
		return error_take(-EINVAL, o->ca_file);
	if (c->side == LSC_TLS_CLIENT)
		return 0;
	/* A client is told whose certificates are wanted. */
	names = SSL_load_client_CA_file(o->ca_file);
	if (!names)
		return error_take(-EINVAL, o->ca_file);
	SSL_CTX_set_client_CA_list(c->ssl, names);
	return 0;
}

/* ---- a context ---- */

static int check(enum lsc_tls_side side, const struct lsc_tls_options *o)
{
	if (o->size < sizeof(*o))
		return error_set(-EINVAL, "options of another size");
	if ((unsigned)o->verify > LSC_TLS_VERIFY_REQUIRED || (unsigned)side > LSC_TLS_SERVER)
		return error_set(-EINVAL, "no such side, or no such verification");
	if (side == LSC_TLS_SERVER && !o->certificate_file)
		return error_set(-EINVAL, "a server needs a certificate");
	if (side == LSC_TLS_SERVER && o->verify > LSC_TLS_VERIFY_NONE && !o->ca_file)
		return error_set(-EINVAL, "a server that verifies needs its own authorities");
	return 0;
}

static int mode_of(enum lsc_tls_side side, enum lsc_tls_verify verify)
{
	if (verify == LSC_TLS_VERIFY_NONE ||
	    (verify == LSC_TLS_VERIFY_DEFAULT && side == LSC_TLS_SERVER))
		return SSL_VERIFY_NONE;
	if (verify == LSC_TLS_VERIFY_OPTIONAL)
		return SSL_VERIFY_PEER;
	return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

static int configure(struct lsc_tls_context *c, const struct lsc_tls_options *o)
{
	static const unsigned char sessions[] = "loopscope";
	int mode = mode_of(c->side, o->verify), r = 0;

	c->verifies = mode != SSL_VERIFY_NONE;
	c->checks_name = c->side == LSC_TLS_CLIENT && c->verifies && !o->any_name;
	c->handshake_ns = o->handshake_timeout_ns ? o->handshake_timeout_ns : HANDSHAKE_NS;
	c->shutdown_ns = o->shutdown_timeout_ns ? o->shutdown_timeout_ns : SHUTDOWN_NS;
	SSL_CTX_set_verify(c->ssl, mode, NULL);
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS);
	/* Clients keep their sessions themselves, in tickets. */
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_session_id_context(c->ssl, sessions, sizeof(sessions) - 1) != 1 ||
	    SSL_CTX_set_min_proto_version(c->ssl, o->only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) !=
		    1)
		return error_take(-EINVAL, "TLS");
	if (o->certificate_file)
		r = load_certificate(c->ssl, o);
	if (r == 0 && c->verifies)
		r = load_authorities(c, o);
	if (r == 0 && o->alpn)
		r = set_alpn(c, o->alpn);
	return r;
}

int lsc_tls_context_new(enum lsc_tls_side side, const struct lsc_tls_options *options,
			struct lsc_tls_context **ret)
{
	static const struct lsc_tls_options defaults = {.size = sizeof(defaults)};
	const struct lsc_tls_options *o = options ? options : &defaults;
	int r = check(side, o);

	if (r < 0)
		return r;
	struct lsc_tls_context *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->refs = 1;
	c->side = side;
	ERR_clear_error();
	c->bio = tls_bio_new();
	c->ssl = c->bio ? SSL_CTX_new(side == LSC_TLS_SERVER ? TLS_server_method()
							     : TLS_client_method())
			: NULL;
	r = c->ssl ? configure(c, o) : error_take(-ENOMEM, "TLS");
	if (r < 0) {
		lsc_tls_context_unref(c);
		return r;
	}
	*ret = c;
	return 0;
}
