/* SPDX-License-Identifier: MIT */
/* Connections and servers that speak TLS from their first byte. */
#include <errno.h>

#include "loopscope/connection.h"
#include "loopscope/stream.h"
#include "tls.h"

int lsc_tls_open_connection(struct lsc_tls_context *context, const char *host, uint16_t port,
			    const char *server_name, struct lsc_stream **ret)
{
	struct lsc_stream *stream;

	if (context->side != LSC_TLS_CLIENT)
		return error_set(-EINVAL, "not a client's context");
	int r = lsc_open_connection(host, port, &stream);
	if (r < 0)
		return r;
	r = lsc_tls_start(stream, context, server_name ? server_name : host);
	if (r < 0) {
		lsc_stream_free(stream);
		return r;
	}
	*ret = stream;
	return 0;
}

static int start(struct lsc_stream *stream, void *arg)
{
	return lsc_tls_start(stream, arg, NULL);
}

static void release(void *arg)
{
	lsc_tls_context_unref(arg);
}

int lsc_tls_start_server_at(struct lsc_site *site, struct lsc_tls_context *context,
			    const char *host, uint16_t port, lsc_client_fn fn, void *arg,
			    const struct lsc_server_options *options, struct lsc_server **ret)
{
	struct lsc_server_options o = {.size = sizeof(o)};

	if (context->side != LSC_TLS_SERVER)
		return error_set(-EINVAL, "not a server's context");
	if (options && (options->size < sizeof(*options) || options->start))
		return error_set(-EINVAL, "options of another size, or with a start");
	if (options)
		o = *options;
	o.start = start;
	o.start_arg = context_ref(context);
	o.release_arg = release;
	int r = lsc_start_server_at(site, host, port, fn, arg, &o, ret);
	if (r < 0)
		lsc_tls_context_unref(context);
	return r;
}
