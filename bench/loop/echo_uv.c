/* SPDX-License-Identifier: MIT */
/* An echo server on libuv, as its guide writes one; the buffers are pooled, not allocated. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct reply {
	uv_write_t write;
	struct reply *next;
	char data[4096];
};

static struct reply *spare;

static void on_close(uv_handle_t *handle)
{
	free(handle);
}

static void give(uv_write_t *write, int status)
{
	struct reply *reply = (struct reply *)write;

	(void)status;
	reply->next = spare;
	spare = reply;
}

static void take(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct reply *reply = spare ? spare : malloc(sizeof(*reply));

	(void)suggested;
	if (!reply)
		abort();
	spare = spare ? spare->next : NULL;
	handle->data = reply;
	*ret = uv_buf_init(reply->data, sizeof(reply->data));
}

static void on_read(uv_stream_t *client, ssize_t n, const uv_buf_t *buffer)
{
	struct reply *reply = client->data;
	uv_buf_t out = uv_buf_init(buffer->base, (unsigned)(n > 0 ? n : 0));

	if (n > 0) {
		uv_write(&reply->write, client, &out, 1, give);
		return;
	}
	give(&reply->write, 0);
	if (n < 0)
		uv_close((uv_handle_t *)client, on_close);
}

static void on_connection(uv_stream_t *server, int status)
{
	uv_tcp_t *client = malloc(sizeof(*client));

	if (status < 0 || !client)
		abort();
	uv_tcp_init(server->loop, client);
	if (uv_accept(server, (uv_stream_t *)client) < 0)
		abort();
	uv_tcp_nodelay(client, 1);
	uv_read_start((uv_stream_t *)client, take, on_read);
}

int main(void)
{
	struct sockaddr_in a;
	int size = sizeof(a);
	uv_tcp_t server;

	uv_tcp_init(uv_default_loop(), &server);
	uv_ip4_addr("127.0.0.1", 0, &a);
	if (uv_tcp_bind(&server, (struct sockaddr *)&a, 0) < 0 ||
	    uv_listen((uv_stream_t *)&server, 128, on_connection) < 0 ||
	    uv_tcp_getsockname(&server, (struct sockaddr *)&a, &size) < 0)
		return 1;
	printf("listening on 127.0.0.1:%u\n", ntohs(a.sin_port));
	fflush(stdout);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
