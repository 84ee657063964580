/* SPDX-License-Identifier: MIT */
/* What counts as a version. That it is the right one is checked against the programs themselves
 * (tests/e2e/test_ps.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/version.h"

#define VERSION(a, b, c) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8)

static void a_version_is_what_a_program_says_and_says_alone(void **state)
{
	static const struct {
		const char text[80];
		uint32_t version;
	} cases[] = {
		{"xx nginx/1.2.3\n", VERSION(1, 2, 3)},
		{"nginx/1.22.1", VERSION(1, 22, 1)},
		{"nginx/1.22.1 (Ubuntu)", VERSION(1, 22, 1)},
		{"nginx/1.22.1\nnginx/1.22.1\n", VERSION(1, 22, 1)},
		{"nginx/1.22.1\nnginx/1.22.2\n", 0},
		{"nginx/1.22.1\nnginx/\n", 0},
		{"nginx/1.22.1-dev", 0},
		{"nginx/1.22", 0},
		{"nginx/1.22.", 0},
		{"nginx/1.-2.3", 0},
		{"nginx/1.256.3", 0},
		{"nginx/99999999999999999999999.1.1", 0},
		{"nginx/", 0},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = cases[i].text;
		assert_int_equal(version_in_text(text, sizeof(cases[i].text), "nginx/"),
				 cases[i].version);
	}
	/* nothing behind the end is read (ASan) */
	static const char cut[] = {'n', 'g', 'i', 'n', 'x', '/', '1', '.', '2', '.', '3'};
	assert_int_equal(version_in_text(cut, sizeof(cut), "nginx/"), VERSION(1, 2, 3));
	assert_int_equal(version_in_text(cut, sizeof(cut) - 1, "nginx/"), 0);
	assert_int_equal(version_in_text(cut, 0, "nginx/"), 0);
}

static void a_function_that_does_anything_else_returns_no_version(void **state)
{
	static const uint8_t plain[10] = {0xb8, 2, 0x2c, 1, 0, 0xc3},
			     branch[10] = {0xf3, 0x0f, 0x1e, 0xfa, 0xb8, 2, 0x2c, 1, 0, 0xc3},
			     jump[10] = {0xe9, 2, 0x2c, 1, 0, 0xc3},
			     more[10] = {0xb8, 2, 0x2c, 1, 0, 0x0f, 0xc8, 0xc3};
	uint32_t n = 0;

	(void)state;
	assert_true(version_returned(plain, &n));
	assert_int_equal(n, 0x12c02);
	n = 0;
	assert_true(version_returned(branch, &n));
	assert_int_equal(n, 0x12c02);
	assert_false(version_returned(jump, &n));
	assert_false(version_returned(more, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_is_what_a_program_says_and_says_alone),
		cmocka_unit_test(a_function_that_does_anything_else_returns_no_version),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
