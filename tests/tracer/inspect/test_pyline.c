/* SPDX-License-Identifier: MIT */
/* The tables of lines that code objects of CPython have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "inspect/pyline.h"

static void lines_are_those_of_the_tables(void **state)
{
	(void)state;
	/* 0-5: line 10, 6-11: 12, 12-: 11 */
	static const uint8_t lnotab[] = {0, 0, 6, 2, 6, 0xff};
	/* 0-3: line 10, 4-5: none, 6-9: 310 in two steps */
	static const uint8_t linetable[] = {4, 0, 2, 0x80, 0, 127, 0, 127, 4, 46};
	/* 0-1 none; 2-5 line 10, short form; 6-9 line 12, one line; 10-11 line 112, long; 12-13:
	 * 110 */
	static const uint8_t locations[] = {0x80 | 15 << 3,
					    0x80 | 3 << 3 | 1,
					    0x12,
					    0x80 | 12 << 3 | 1,
					    1,
					    2,
					    0x80 | 14 << 3,
					    0x48,
					    0x03,
					    1,
					    2,
					    3,
					    0x80 | 13 << 3,
					    5};

	assert_int_equal(pyline_find(8, lnotab, sizeof(lnotab), 10, -1), 10);
	assert_int_equal(pyline_find(8, lnotab, sizeof(lnotab), 10, 5), 10);
	assert_int_equal(pyline_find(9, lnotab, sizeof(lnotab), 10, 6), 12);
	assert_int_equal(pyline_find(9, lnotab, sizeof(lnotab), 10, 900), 11);
	assert_int_equal(pyline_find(10, linetable, sizeof(linetable), 10, 2), 10);
	assert_int_equal(pyline_find(10, linetable, sizeof(linetable), 10, 4), 0);
	assert_int_equal(pyline_find(10, linetable, sizeof(linetable), 10, 8), 310);
	assert_int_equal(pyline_find(10, linetable, sizeof(linetable), 10, 10), 0);
	for (unsigned int minor = 11; minor <= 13; minor++) {
		static const int want[] = {0, 10, 10, 12, 12, 112, 110, 0};
		for (int i = 0; i < 8; i++)
			assert_int_equal(
				pyline_find(minor, locations, sizeof(locations), 10, 2 * i),
				want[i]);
	}
	for (unsigned int minor = 8; minor <= 13; minor++)
		for (size_t size = 0; size < sizeof(locations); size++)
			pyline_find(minor, locations, size, INT32_MAX, 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_those_of_the_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
