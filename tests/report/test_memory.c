/* SPDX-License-Identifier: MIT */
/*
 * The allocation sweep: the first allocation fails, then the second, ... until the analysis and its
 * document come through. Every failure must be reported, and leave nothing behind (ASan sees that).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "fixture.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static long left = -1; /* allocations until one fails; -1: none does */

static bool fails(void)
{
	if (left < 0)
		return false;
	return left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

static void an_analysis_survives_each_failing_allocation(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct store *s;
	long n = 0;
	int r;

	fixture_begin(&f, NULL);
	fixture_task(&f, 1, "one");
	fixture_sleeping(&f);
	fixture_end(&f);
	do {
		struct lsc_err err = {0};

		memset(&a, 0x5a, sizeof(a));
		assert_int_equal(store_open(f.path, &s, NULL), 0);
		left = n++;
		r = analysis_run(s, &a, &err);
		left = -1;
		store_close(s);
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(err.code, -ENOMEM);
			assert_int_equal(*(unsigned char *)&a, 0x5a);
		}
		assert_true(n < 10000);
	} while (r < 0);
	assert_true(n > 50);
	assert_int_equal(a.nfindings, 2);
	analysis_done(&a);
	unlink(f.path);
}

static void a_document_survives_each_failing_allocation(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	json_t *j;
	bool failed;
	long n = 0;

	fixture_begin(&f, NULL);
	fixture_task(&f, 1, "one");
	fixture_native(&f, 1, "handler", 7);
	fixture_stall(&f, 1, 1000, 300, LSC_CAUSE_SLEEP, "clock_nanosleep", 1);
	fixture_wait(&f, 1, STORE_WAIT_SOCKET, 1010, 100, 0);
	fixture_analyse(&f, &a);
	json_set_alloc_funcs(__wrap_malloc, free);
	do {
		left = n++;
		j = report_json(&a);
		failed = left == -1;
		left = -1;
		if (failed && j)
			fail_msg("allocation %ld failed and nobody noticed", n - 1);
		assert_true(n < 100000);
	} while (failed);
	assert_true(n > 500);
	assert_int_equal(json_array_size(json_object_get(j, "findings")), 2);
	json_decref(j);
	json_set_alloc_funcs(malloc, free);
	analysis_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_analysis_survives_each_failing_allocation),
		cmocka_unit_test(a_document_survives_each_failing_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
