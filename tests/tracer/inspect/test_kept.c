/* SPDX-License-Identifier: MIT */
/* What was read of a thread stays what it was, and its place is found by the job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/kept.h"
#include "pyimage.h"

static void what_was_read_outlives_the_target(void **state)
{
	static struct answer answer;

	(void)state;
	for (size_t i = 0; i < VERSIONS; i++) {
		struct pyview view = build(&versions[i]);
		struct kept *k = kept_new(1);
		pychain_read(&view, TID, NULL, &k->python);
		memset(image.heap, 0xff, sizeof(image.heap));
		memset(image.runtime, 0xff, sizeof(image.runtime));
		answer_init(&answer, 1);
		answer.head.why = MESSAGE_WHY_NO_CFI; /* all of them follow */
		assert_ptr_equal(kept_find(1), k);
		pystack_merge(&k->python, &answer);
		kept_drop(k);
		assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
		assert_int_equal(answer.head.nframes, FRAMES);
		assert_string_equal(answer.text + answer.frames[0].function, "settle");
		assert_string_equal(answer.text + answer.frames[0].file, "/srv/app.py");
		assert_int_equal(answer.frames[0].line, 12);
		assert_string_equal(answer.text + answer.head.task.function, "handle");
	}
}

static void the_oldest_gives_way(void **state)
{
	(void)state;
	for (uint64_t cookie = 1; cookie <= KEPT_MAX; cookie++)
		kept_new(cookie)->size = (uint32_t)cookie;
	for (uint64_t cookie = 1; cookie <= KEPT_MAX; cookie++)
		assert_int_equal(kept_find(cookie)->size, cookie);
	kept_drop(kept_find(3));
	assert_null(kept_find(3));
	kept_new(KEPT_MAX + 1); /* there is room for it */
	assert_non_null(kept_find(1));
	kept_new(KEPT_MAX + 2);
	assert_null(kept_find(1));
	assert_int_equal(kept_find(2)->size, 2);
	assert_int_equal(kept_find(KEPT_MAX + 2)->size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_outlives_the_target),
		cmocka_unit_test(the_oldest_gives_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
