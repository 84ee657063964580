/* SPDX-License-Identifier: MIT */
/* Lines that do not fit into a terminal are folded where a person reads on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "terminal.h"

static void assert_folded(const char *width, const char *text, const char *expected)
{
	char *got = NULL;
	size_t size;
	FILE *out = open_memstream(&got, &size);

	assert_non_null(out);
	setenv("COLUMNS", width, 1);
	FILE *folding = terminal_fold(out);
	assert_non_null(folding);
	fputs(text, folding);
	assert_int_equal(fclose(folding), 0);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(got, expected);
	free(got);
}

static void a_line_that_fits_is_handed_on(void **state)
{
	(void)state;
	assert_folded("40", "", "");
	assert_folded("40", "\n\n", "\n\n");
	assert_folded("40", "  an end without a newline", "  an end without a newline");
	assert_folded("40", "1234567890123456789012345678901234567890\n",
		      "1234567890123456789012345678901234567890\n");
	assert_folded("40", "\033[1;31m67890123456789 12345678901234567890\033[0m\n",
		      "\033[1;31m67890123456789 12345678901234567890\033[0m\n");
}

static void the_rest_goes_on_below_the_second_column(void **state)
{
	(void)state;
	assert_folded("40", "      kernel   do_wait <- kernel_wait4 <- do_syscall_64\n",
		      "      kernel   do_wait <- kernel_wait4\n"
		      "               <- do_syscall_64\n");
	assert_folded("40",
		      "  \033[1mERROR\033[0m    \033[2mblocking-lock\033[0m  main (locks.py:10)\n",
		      "  \033[1mERROR\033[0m    \033[2mblocking-lock\033[0m  main\n"
		      "           (locks.py:10)\n");
	/* there is none, or it is too far to the right */
	assert_folded("40", "  recorded from stalls of ten, blocks of one\n",
		      "  recorded from stalls of ten, blocks of\n"
		      "    one\n");
	assert_folded("40", "    a_function_with_a_long_name   and a long path\n",
		      "    a_function_with_a_long_name   and a\n"
		      "      long path\n");
}

static void a_line_that_begins_far_to_the_right_is_not_left_empty(void **state)
{
	(void)state;
	assert_folded("40", "                                fix: a kernel with kprobes\n",
		      "                                fix: a\n"
		      "                        kernel with\n"
		      "                        kprobes\n");
}

static void a_number_keeps_its_unit(void **state)
{
	(void)state;
	assert_folded("40", "the worst of them lasted for some 120.5 ms\n",
		      "the worst of them lasted for some\n"
		      "  120.5 ms\n");
	assert_folded("40", "six stalls, seven blocks, 1 error, 4 2 infos\n",
		      "six stalls, seven blocks, 1 error, 4\n"
		      "  2 infos\n");
}

static void a_tree_goes_on_beside_what_is_folded(void **state)
{
	(void)state;
	assert_folded("40",
		      "\u251c\u2500\u2500 (T) a task waiting on something that is long\n"
		      "\u2502   \u2514\u2500\u2500 main of it (a_long_path.py:17) and more\n",
		      "\u251c\u2500\u2500 (T) a task waiting on something that\n"
		      "\u2502     is long\n"
		      "\u2502   \u2514\u2500\u2500 main of it (a_long_path.py:17)\n"
		      "\u2502         and more\n");
}

static void what_has_no_space_is_not_broken(void **state)
{
	(void)state;
	assert_folded("40", "  /a/very/long/path/that/does/not/fit/into/forty/columns and/more\n",
		      "  /a/very/long/path/that/does/not/fit/into/forty/columns\n"
		      "    and/more\n");
	assert_folded("40", "1234567890123456789012345678901234567890     \n",
		      "1234567890123456789012345678901234567890\n");
}

static void letters_of_several_bytes_take_one_column(void **state)
{
	(void)state;
	assert_folded("40", "\u00e4\u00f6\u00fc456789012345678 \u4e2d12345678901234567890\n",
		      "\u00e4\u00f6\u00fc456789012345678 \u4e2d12345678901234567890\n");
}

static void the_width_is_that_of_the_variable_within_reason(void **state)
{
	FILE *null = fopen("/dev/null", "w");
	static const struct {
		const char *text;
		unsigned width;
	} cases[] = {{"60", 60}, {"1", 40}, {"0", 0}, {"-5", 0}, {"", 0}, {"x", 0}, {"9999999", 0}};

	(void)state;
	assert_non_null(null);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("COLUMNS", cases[i].text, 1);
		assert_int_equal(terminal_width(null), cases[i].width);
	}
	fclose(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_that_fits_is_handed_on),
		cmocka_unit_test(the_rest_goes_on_below_the_second_column),
		cmocka_unit_test(a_line_that_begins_far_to_the_right_is_not_left_empty),
		cmocka_unit_test(a_number_keeps_its_unit),
		cmocka_unit_test(a_tree_goes_on_beside_what_is_folded),
		cmocka_unit_test(what_has_no_space_is_not_broken),
		cmocka_unit_test(letters_of_several_bytes_take_one_column),
		cmocka_unit_test(the_width_is_that_of_the_variable_within_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
