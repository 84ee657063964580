/* SPDX-License-Identifier: MIT */
/*
 * The allocation sweep of TLS: allocations fail, of the library's and of OpenSSL's own, one a run.
 * Each failure comes back as an error or does no harm; nothing hangs, nothing leaks
 * (the asan preset looks), and no descriptor is left open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "descriptors.h"
#include "loopscope/loopscope.h"
#include "tls_fixture.h"
#include "wrap.h"

static void *allocate(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(size);
}

static void *reallocate(void *data, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return realloc(data, size);
}

static void release(void *data, const char *file, int line)
{
	(void)file;
	(void)line;
	free(data);
}

static int ask(struct lsc_stream *stream)
{
	unsigned char *der;
	const char *line;
	char name[64];

	int r = lsc_stream_write(stream, "hello\n", 6);
	if (r < 0)
		return r;
	ssize_t n = lsc_stream_read_line(stream, &line);
	if (n <= 0)
		return n < 0 ? (int)n : -ENODATA;
	n = lsc_tls_peer_certificate(stream, &der);
	if (n < 0)
		return (int)n;
	free(der);
	return lsc_tls_peer_name(stream, name, sizeof(name));
}

static int main_of_sweep(void *arg)
{
	static const char *const names[] = {"echo", NULL};
	struct lsc_tls_options co = {.size = sizeof(co), .alpn = names},
			       so = {.size = sizeof(so), .alpn = names};
	struct lsc_tls_context *client = NULL, *server = NULL;
	struct lsc_server *listening = NULL;
	struct lsc_stream *stream = NULL;

	(void)arg;
	co.ca_file = fixture_path("ca.pem");
	so.certificate_file = fixture_path("good.pem");
	int r = lsc_tls_context_new(LSC_TLS_CLIENT, &co, &client);
	if (r == 0)
		r = lsc_tls_context_new(LSC_TLS_SERVER, &so, &server);
	if (r == 0)
		r = lsc_tls_start_server(server, "127.0.0.1", 0, fixture_echo, NULL, NULL,
					 &listening);
	if (r == 0)
		r = lsc_tls_open_connection(client, "127.0.0.1", lsc_server_port(listening),
					    "localhost", &stream);
	if (r == 0)
		r = ask(stream);
	lsc_stream_free(stream);
	lsc_server_free(listening);
	lsc_tls_context_unref(client);
	lsc_tls_context_unref(server);
	return r;
}

/* Of some ten thousand allocations one of 24, at random, or each of them. */
static bool each;

static void tls_survives_a_lack_of_memory(void **state)
{
	unsigned seed = (unsigned)lsc_time(), failures = 0, plain = 0, tries = 0, nth = 0;
	bool failed;

	(void)state;
	assert_int_equal(lsc_run(main_of_sweep, NULL),
			 0); /* OpenSSL keeps things from the first use */
	int before = descriptors_open();
	if (!each)
		print_message("seed %u\n", seed);
	do {
		nth += each ? 1 : 1 + (unsigned)rand_r(&seed) % 47;
		tries++;
		wrap_fail_at(nth);
		int r = lsc_run(main_of_sweep, NULL);
		failed = wrap_has_failed();
		wrap_fail_at(0);
		if (r > 0 || r <= -4096 || (!failed && r != 0))
			fail_msg("call number %u failed, and the result is %d", nth, r);
		failures += r != 0;
		plain += r == -ENOMEM;
		assert_int_equal(descriptors_open(), before);
	} while (failed);
	print_message("%u of %u allocations failed, %u errors\n", tries - 1, nth, failures);
	assert_true(failures >= 30);
	assert_true(plain >= 10); /* most say what it is */
}

/* With "each" as argument: takes minutes, so only with LSC_FULL=1. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_survives_a_lack_of_memory),
	};
	const char *full = getenv("LSC_FULL");

	each = argc > 1 && strcmp(argv[1], "each") == 0;
	if (each && (!full || strcmp(full, "1") != 0)) {
		puts("skipped: it takes minutes: LSC_FULL=1 runs it");
		return 77;
	}
	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
		return 1;
	return cmocka_run_group_tests_name("tls_sweep", tests, fixture_make, fixture_remove);
}
