/* SPDX-License-Identifier: MIT */
/* loop/base/text: UTF-8 repair and terminal safety. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"

static void invalid_sequences_become_one_replacement_a_byte(void **state)
{
	(void)state;
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"a\xff"
		 "b",
		 "a\xef\xbf\xbd"
		 "b"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},		  /* overlong / */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
		{"\xf4\x90\x80\x80",
		 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* too high */
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},	      /* cut */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = lsc_text_utf8(cases[i].bytes);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
}

static void control_characters_survive_in_json_but_not_on_a_terminal(void **state)
{
	(void)state;
	const char *evil = "a\033[31mb\x07\x7f\xc2\x9b"
			   "c\xe2\x80\xae"
			   "d\te\nf\xe2\x80\xa8g";
	char *utf8 = lsc_text_utf8(evil), *plain = lsc_text_plain(evil);

	assert_string_equal(utf8, evil);
	assert_string_equal(plain, "a[31mbcd e fg");
	free(utf8);
	free(plain);
}

static void what_cannot_be_seen_or_turns_the_direction_harms(void **state)
{
	(void)state;
	static const char *const harmful[] = {
		"\xc2\x9b",	"\xc2\xad",	"\xd8\x9c",	   "\xe1\xa0\x8e", "\xe2\x80\x8b",
		"\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xae",	   "\xe2\x81\xa0", "\xe2\x81\xaf",
		"\xef\xbb\xbf", "\xef\xbf\xb9", "\xf3\xa0\x81\x81"};
	static const char *const harmless[] = {" ",
					       "~",
					       "\xc2\xa0",
					       "\xc2\xae",
					       "\xe2\x82\xac",
					       "\xe2\x94\x94",
					       "\xef\xbf\xbc",
					       "\xf0\x9f\x98\x80"};
	uint32_t point;

	for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++) {
		char *plain = lsc_text_plain(harmful[i]);
		assert_string_equal(plain, "");
		free(plain);
		assert_int_equal(lsc_text_next(harmful[i], strlen(harmful[i]), &point),
				 strlen(harmful[i]));
		assert_true(lsc_text_harms(point));
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		assert_int_equal(lsc_text_next(harmless[i], strlen(harmless[i]), &point),
				 strlen(harmless[i]));
		assert_false(lsc_text_harms(point));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invalid_sequences_become_one_replacement_a_byte),
		cmocka_unit_test(control_characters_survive_in_json_but_not_on_a_terminal),
		cmocka_unit_test(what_cannot_be_seen_or_turns_the_direction_harms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
