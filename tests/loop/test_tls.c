/* SPDX-License-Identifier: MIT */
/* TLS between two streams of one loop: what is agreed, and whom one trusts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"
#include "reader.h"
#include "tls_fixture.h"

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

/* ---- what is agreed ---- */

static int main_of_agreement(void *arg)
{
	static const char *const ours[] = {"h2", "http/1.1", NULL}, *const theirs[] = {"x", "h2",
										       NULL};
	struct lsc_tls_options co = {.size = sizeof(co), .alpn = theirs},
			       so = {.size = sizeof(so), .alpn = ours};
	struct lsc_tls_context *client, *server;
	struct lsc_stream *s[2];
	unsigned char *der;
	char name[64];
	int r[2];

	(void)arg;
	co.ca_file = so.ca_file = fixture_path("ca.pem");
	co.certificate_file = fixture_path("client.pem");
	so.certificate_file = fixture_path("good.pem");
	so.verify = LSC_TLS_VERIFY_REQUIRED;
	assert_int_equal(lsc_tls_context_new(LSC_TLS_CLIENT, &co, &client), 0);
	assert_int_equal(lsc_tls_context_new(LSC_TLS_SERVER, &so, &server), 0);
	fixture_pair(s);
	assert_null(lsc_tls_version(s[0]));
	assert_null(lsc_tls_alpn(s[0]));
	assert_int_equal(lsc_tls_peer_certificate(s[0], &der), -EINVAL);
	assert_int_equal(lsc_tls_peer_name(s[0], name, sizeof(name)), -EINVAL);
	fixture_shake(s, client, server, "localhost", r);
	assert_int_equal(r[0], 0);
	assert_int_equal(r[1], 0);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(lsc_tls_version(s[i]), "TLSv1.3");
		assert_memory_equal(lsc_tls_cipher(s[i]), "TLS_", 4);
		assert_string_equal(lsc_tls_alpn(s[i]), "h2");
		assert_string_equal(lsc_tls_server_name(s[i]), "localhost");
	}
	assert_int_equal(lsc_tls_peer_name(s[0], name, sizeof(name)), 0);
	assert_string_equal(name, "O=Loop,CN=localhost");
	assert_int_equal(lsc_tls_peer_name(s[0], name, 19), -ENOBUFS);
	assert_int_equal(lsc_tls_peer_name(s[1], name, sizeof(name)), 0);
	assert_string_equal(name, "CN=client");
	ssize_t size = lsc_tls_peer_certificate(s[1], &der);
	assert_true(size > 100);
	assert_int_equal(der[0], 0x30); /* a sequence */
	free(der);
	assert_int_equal(lsc_tls_start(s[0], client, "localhost"), -EALREADY);
	fixture_close(s);
	/* The client need not show a certificate where it is optional. */
	so.verify = LSC_TLS_VERIFY_OPTIONAL;
	lsc_tls_context_unref(server);
	lsc_tls_context_unref(client);
	assert_int_equal(lsc_tls_context_new(LSC_TLS_SERVER, &so, &server), 0);
	client = fixture_client("ca.pem");
	fixture_pair(s);
	fixture_shake(s, client, server, "localhost", r);
	assert_int_equal(r[1], 0);
	assert_int_equal(lsc_tls_peer_certificate(s[1], &der), -ENOENT);
	assert_null(lsc_tls_alpn(s[1]));
	fixture_close(s);
	lsc_tls_context_unref(server);
	lsc_tls_context_unref(client);
	return 0;
}

static void both_ends_know_what_was_agreed(void **state)
{
	(void)state;
	run(main_of_agreement);
}

static int main_of_versions(void *arg)
{
	struct lsc_tls_options o = {.size = sizeof(o), .only_1_3 = 1};
	struct lsc_tls_context *server, *client = fixture_client("ca.pem");
	struct lsc_stream *s[2];
	int r[2];

	(void)arg;
	o.certificate_file = fixture_path("chain.pem");
	assert_int_equal(lsc_tls_context_new(LSC_TLS_SERVER, &o, &server), 0);
	fixture_pair(s);
	fixture_shake(s, client, server, "localhost", r); /* by way of the intermediate */
	assert_int_equal(r[0], 0);
	fixture_close(s);
	lsc_tls_context_unref(server);
	lsc_tls_context_unref(client);
	return 0;
}

static void a_chain_is_shown_whole(void **state)
{
	(void)state;
	run(main_of_versions);
}

/* ---- whom one trusts ---- */

static int main_of_trust(void *arg)
{
	static const struct {
		const char *certificate, *name;
		int result;
		const char *reason;
	} cases[] = {
		{"good.pem", "localhost", 0, ""},
		{"good.pem", "127.0.0.1", 0, ""},
		{"good.pem", "127.0.0.2", -EKEYREJECTED, "IP address mismatch"},
		{"other.pem", "localhost", -EKEYREJECTED, "hostname mismatch"},
		{"expired.pem", "localhost", -EKEYEXPIRED, "certificate has expired"},
		{"lonely.pem", "localhost", -EKEYREJECTED, "self-signed certificate"},
		{"foreign.pem", "localhost", -EKEYREJECTED,
		 "unable to get local issuer certificate"},
	};
	struct lsc_tls_options any = {.size = sizeof(any), .any_name = 1};
	struct lsc_tls_context *strict = fixture_client("ca.pem"), *blind = fixture_client(NULL),
			       *lax;

	(void)arg;
	any.ca_file = fixture_path("ca.pem");
	assert_int_equal(lsc_tls_context_new(LSC_TLS_CLIENT, &any, &lax), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lsc_tls_context *server = fixture_server(cases[i].certificate);
		struct lsc_tls_context *clients[] = {strict, blind, lax};
		bool name_alone = strstr(cases[i].reason, "mismatch");
		int expected[] = {cases[i].result, 0, name_alone ? 0 : cases[i].result};

		for (int c = 0; c < 3; c++) {
			struct lsc_stream *s[2];
			int r[2];

			fixture_pair(s);
			fixture_shake(s, clients[c], server, cases[i].name, r);
			assert_int_equal(r[0], expected[c]);
			if (r[0] == 0) {
				fixture_close(s);
				continue;
			}
			/* The server is told; it says so when it reads, or before. */
			if (r[1] == 0)
				r[1] = (int)lsc_stream_read(s[1], &(char){0}, 1);
			assert_int_equal(r[1], -EPROTO);
			assert_non_null(strstr(lsc_tls_error(), "alert"));
			assert_int_equal(lsc_stream_read(s[0], &(char){0}, 1), r[0]);
			assert_int_equal(lsc_stream_write(s[0], "x", 1), r[0]);
			lsc_stream_free(s[0]);
			lsc_stream_free(s[1]);
		}
		lsc_tls_context_unref(server);
	}
	lsc_tls_context_unref(strict);
	lsc_tls_context_unref(blind);
	lsc_tls_context_unref(lax);
	return 0;
}

static void who_is_not_trusted_is_refused(void **state)
{
	(void)state;
	run(main_of_trust);
}

static int main_of_reasons(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("other.pem");
	static struct lsc_site site = {.function = "here", .file = "app.c", .line = 1};
	struct lsc_server *listening;
	struct lsc_stream *stream;

	(void)arg;
	assert_int_equal(lsc_tls_start_server_at(&site, server, "127.0.0.1", 0, fixture_echo, NULL,
						 NULL, &listening),
			 0);
	assert_int_not_equal(site.id, 0); /* the accepting task is spawned there */
	assert_int_equal(lsc_tls_open_connection(client, "127.0.0.1", lsc_server_port(listening),
						 "localhost", &stream),
			 -EKEYREJECTED);
	assert_string_equal(lsc_tls_error(), "the peer's certificate: hostname mismatch");
	assert_int_equal(lsc_tls_open_connection(client, "127.0.0.1", lsc_server_port(listening),
						 "other.test", &stream),
			 0);
	fixture_ask(stream, "hello\n");
	lsc_stream_free(stream);
	lsc_server_free(listening);
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void errors_have_reasons_in_words(void **state)
{
	(void)state;
	run(main_of_reasons);
}

static int main_of_client_certificates(void *arg)
{
	struct lsc_tls_options o = {.size = sizeof(o), .verify = LSC_TLS_VERIFY_REQUIRED};
	struct lsc_tls_context *client = fixture_client("ca.pem"), *server;
	struct lsc_stream *s[2];
	int r[2];

	(void)arg;
	o.ca_file = fixture_path("ca.pem");
	o.certificate_file = fixture_path("good.pem");
	assert_int_equal(lsc_tls_context_new(LSC_TLS_SERVER, &o, &server), 0);
	fixture_pair(s);
	fixture_shake(s, client, server, "localhost", r);
	assert_int_equal(r[1], -EPROTO);
	/* In TLS 1.3 the client learns it with its first read. */
	assert_int_equal(r[0], 0);
	assert_int_equal(lsc_stream_read(s[0], &(char){0}, 1), -EPROTO);
	assert_non_null(strstr(lsc_tls_error(), "certificate required"));
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void a_server_may_require_a_certificate(void **state)
{
	(void)state;
	run(main_of_client_certificates);
}

/* ---- contexts ---- */

static void assert_refused(enum lsc_tls_side side, const struct lsc_tls_options *o, int error,
			   const char *reason)
{
	struct lsc_tls_context *c;

	assert_int_equal(lsc_tls_context_new(side, o, &c), error);
	assert_non_null(strstr(lsc_tls_error(), reason));
}

static void a_context_says_what_is_wrong_with_it(void **state)
{
	static const char *const nothing[] = {NULL}, *const empty[] = {"", NULL};
	struct lsc_tls_options o = {.size = 1};
	struct lsc_tls_context *c;

	(void)state;
	assert_refused(LSC_TLS_CLIENT, &o, -EINVAL, "another size");
	o.size = sizeof(o);
	assert_refused(LSC_TLS_SERVER, NULL, -EINVAL, "needs a certificate");
	o.certificate_file = "/nonexistent.pem";
	assert_refused(LSC_TLS_SERVER, &o, -ENOENT, "/nonexistent.pem");
	o.certificate_file = fixture_path("nonsense.pem");
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "no start line");
	o.certificate_file = fixture_path("good.pem");
	o.key_file = fixture_path("client.key");
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "key values mismatch");
	o.key_file = fixture_path("locked.key");
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "locked.key");
	o.key_password = "wrong";
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "locked.key");
	o.key_password = "secret";
	assert_int_equal(lsc_tls_context_new(LSC_TLS_SERVER, &o, &c), 0);
	lsc_tls_context_unref(c);
	o.verify = LSC_TLS_VERIFY_REQUIRED;
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "authorities");
	o.ca_file = fixture_path("nonsense.pem");
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "nonsense.pem");
	o.ca_file = NULL;
	o.verify = (enum lsc_tls_verify)9;
	assert_refused(LSC_TLS_CLIENT, &o, -EINVAL, "no such");
	o.verify = LSC_TLS_VERIFY_NONE;
	o.alpn = nothing;
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "ALPN");
	o.alpn = empty;
	assert_refused(LSC_TLS_SERVER, &o, -EINVAL, "ALPN");
	assert_null(lsc_tls_context_unref(NULL));
	/* The system's authorities. */
	assert_int_equal(lsc_tls_context_new(LSC_TLS_CLIENT, NULL, &c), 0);
	lsc_tls_context_unref(c);
}

static int main_of_misuse(void *arg)
{
	struct lsc_tls_context *client = fixture_client("ca.pem"),
			       *server = fixture_server("good.pem");
	struct lsc_server_options so = {.size = 1};
	struct lsc_server *listening;
	struct lsc_stream *s[2], *none;

	(void)arg;
	assert_int_equal(lsc_tls_open_connection(server, "127.0.0.1", 1, NULL, &none), -EINVAL);
	assert_int_equal(
		lsc_tls_start_server(client, NULL, 0, fixture_echo, NULL, NULL, &listening),
		-EINVAL);
	assert_int_equal(lsc_tls_start_server(server, NULL, 0, fixture_echo, NULL, &so, &listening),
			 -EINVAL);
	assert_int_equal(
		lsc_tls_start_server(server, "192.0.2.1", 0, fixture_echo, NULL, NULL, &listening),
		-EADDRNOTAVAIL);
	fixture_pair(s);
	assert_int_equal(lsc_tls_start(s[0], client, NULL), -EINVAL);
	lsc_stream_abort(s[0]);
	assert_int_equal(lsc_tls_start(s[0], client, "localhost"), -EBADF);
	lsc_stream_free(s[0]);
	lsc_stream_free(s[1]);
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return 0;
}

static void sides_and_streams_must_fit(void **state)
{
	(void)state;
	run(main_of_misuse);
}

/* ---- the record ---- */

static int main_of_record(void *arg)
{
	struct lsc_stream *s[2];

	fixture_tls_pair(s);
	reader_open(arg);
	fixture_close(s);
	return 0;
}

static void a_handshake_is_recorded_as_a_wait_for_its_descriptor(void **state)
{
	struct reader r;
	unsigned waits = 0;

	(void)state;
	assert_int_equal(lsc_run(main_of_record, &r), 0);
	uint32_t task = reader_task(&r, "shaking-server");
	for (size_t at = 0; (at = reader_next(&r, at, LSC_REC_TASK_SUSPEND, task)) < r.count;
	     at++) {
		assert_int_equal(r.records[at].arg8, LSC_WAIT_FD);
		assert_int_equal(r.records[at].arg64 >> 32, POLLIN);
		waits++;
	}
	assert_true(waits > 0);
	reader_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_know_what_was_agreed),
		cmocka_unit_test(a_chain_is_shown_whole),
		cmocka_unit_test(who_is_not_trusted_is_refused),
		cmocka_unit_test(errors_have_reasons_in_words),
		cmocka_unit_test(a_server_may_require_a_certificate),
		cmocka_unit_test(a_context_says_what_is_wrong_with_it),
		cmocka_unit_test(sides_and_streams_must_fit),
		cmocka_unit_test(a_handshake_is_recorded_as_a_wait_for_its_descriptor),
	};
	return cmocka_run_group_tests_name("tls", tests, fixture_make, fixture_remove);
}
