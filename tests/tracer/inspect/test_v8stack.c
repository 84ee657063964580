/* SPDX-License-Identifier: MIT */
/* Frames of JavaScript: in memory as each version of V8 lays it out, in memory that has changed
 * since, and in memory that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "inspect/v8function.h"
#include "inspect/v8string.h"
#include "v8image.h"

#define READS	6000 /* of one stack, at most */
#define MUTATED 10000

static struct answer answer;
static struct v8walk walk;

static const char *text(uint32_t offset)
{
	return answer.text + offset;
}

static void judge(struct v8view *v)
{
	answer_init(&answer, 1);
	v8_image.reads = 0;
	v8stack_judge(v, &walk, &answer);
	assert_in_range(v8_image.reads, 0, READS);
}

static void assert_named(size_t i)
{
	const struct v8_function *f = &v8_image.functions[i];
	const struct v8place *p = &walk.places[i];

	assert_int_equal(p->kind, V8PLACE_FRAME);
	assert_true(p->frame.flags & MESSAGE_FRAME_JS);
	assert_string_equal(text(p->frame.function), f->name);
	assert_string_equal(text(p->frame.file), f->file);
	assert_int_equal(p->frame.line, f->line);
}

static void assert_unknown(size_t i)
{
	assert_int_equal(walk.places[i].kind, V8PLACE_FRAME);
	assert_int_equal(walk.places[i].frame.function, 0);
	assert_int_equal(walk.places[i].frame.file, 0);
}

static void all_versions_and_forms_of_strings_are_read(void **state)
{
	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		assert_true(v8layout_is_whole(&v.layout));
		for (int again = 0; again < 2; again++) { /* from memory, and known already */
			v8_walk(&walk, true, false);
			judge(&v);
			for (size_t i = 0; i < V8_FUNCTIONS; i++)
				assert_named(i);
			assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
		}
		v8function_forget(&v);
	}
}

static void a_mark_is_no_function(void **state)
{
	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		v8_walk(&walk, true, false);
		walk.places[0].context = 3 << 1; /* an exit frame */
		walk.places[1].context = (uint64_t)(v8_versions[n].irregexp & 63) << 1;
		walk.places[2].context = 0x7ffe12345678; /* C++ */
		walk.places[3].code = false;
		walk.places[4].read = false;
		judge(&v);
		assert_int_equal(walk.places[0].kind, V8PLACE_PASSAGE);
		if (v8_versions[n].irregexp > 0) {
			assert_int_equal(walk.places[1].kind, V8PLACE_FRAME);
			assert_string_equal(text(walk.places[1].frame.function),
					    "(regular expression)");
		}
		for (size_t i = 2; i < 5; i++)
			assert_int_equal(walk.places[i].kind, V8PLACE_NATIVE);
		assert_named(5);
		v8function_forget(&v);
	}
}

static void a_copy_is_believed_while_the_frame_is_there(void **state)
{
	(void)state;
	struct v8view v = v8_build(&v8_versions[1]);

	v8_walk(&walk, false, false);
	v8_image.stack[1 * V8_FRAME + V8_FRAME / 2 + 8] ^= 1;  /* it was called from elsewhere */
	v8_image.stack[2 * V8_FRAME + V8_FRAME / 2 - 16] ^= 8; /* another function is there */
	judge(&v);
	assert_named(0);
	assert_unknown(1);
	assert_unknown(2);
	assert_named(3);
	assert_int_equal(answer.head.language, MESSAGE_WHY_CHANGED);
	v8function_forget(&v);
}

static void a_copy_is_believed_by_its_bytecode(void **state)
{
	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		uint64_t data = v8_make(240, 48); /* code of Sparkplug has it, too */
		v8_walk(&walk, false, true);
		memset(v8_image.stack, 0xee, sizeof(v8_image.stack));
		v8_put(data, 16, v8_image.functions[1].bytecode);
		v8_put(v8_image.functions[1].shared, 8, data);
		v8_put(v8_image.functions[2].shared, 8, v8_image.functions[3].bytecode);
		judge(&v);
		assert_named(0);
		assert_named(1);
		assert_unknown(2);
		assert_int_equal(answer.head.language, MESSAGE_WHY_CHANGED);
		v8function_forget(&v);
	}
}

static void a_function_that_was_moved_is_found_and_another_in_its_place_is_not_taken(void **state)
{
	(void)state;
	struct v8view v = v8_build(&v8_versions[0]);
	const struct v8_version *l = v8_image.v;
	struct v8_function *f = v8_image.functions;

	v8_walk(&walk, false, false);
	for (size_t i = 0; i < 2; i++) { /* moved: its map is the place, the frame knows that */
		uint64_t moved = v8_make(l->function, 64);
		v8_put(moved, l->function_shared, f[i].shared);
		v8_put(f[i].object, 0, moved - 1);
		v8_put(V8_STACK + i * V8_FRAME + V8_FRAME / 2 - 16 + 1, 0, i ? 8 : moved);
	}
	v8_put(f[2].object, l->function_shared, f[3].shared); /* another one lies there */
	v8_put(V8_STACK + 2 * V8_FRAME + V8_FRAME / 2 + 1, 8, 0x666);
	judge(&v);
	assert_named(0);
	assert_unknown(1);
	assert_unknown(2);
	assert_named(3);
	v8_walk(&walk, false, true);
	memset(v8_image.stack, 0, sizeof(v8_image.stack));
	judge(&v);
	assert_named(1); /* by its bytecode */
	assert_unknown(2);
	v8function_forget(&v);
}

static void what_has_changed_is_read_anew(void **state)
{
	(void)state;
	struct v8view v = v8_build(&v8_versions[1]);
	struct v8_function *f = &v8_image.functions[0];

	v8_walk(&walk, true, false);
	judge(&v);
	assert_named(0);
	v8_put(f->shared, v8_image.v->name, v8_image.functions[5].scope);
	judge(&v);
	assert_string_equal(text(walk.places[0].frame.function), "wide");
	v8function_forget(&v);
}

static void strings_without_an_end_are_none(void **state)
{
	(void)state;
	struct v8view v = v8_build(&v8_versions[1]);
	char buf[64];

	for (int form = 1; form <= 5; form++) {
		uint64_t s = v8_make_string(form, 0, 0, 0x7fffffff);
		v8_put(s, 16, s);
		v8_put(s, 24, form == 3 ? 0 : form == 2 ? UINT64_MAX - 3 : s);
		v8_image.reads = 0;
		assert_false(v8string_text(&v, s, buf, sizeof(buf)));
		assert_string_equal(buf, "");
		assert_int_equal(v8string_line(&v, s, 1000), 0);
		assert_in_range(v8_image.reads, 1, READS);
	}
	uint64_t deep = v8_make_text("x");
	for (uint32_t i = 1; i < 200; i++)
		deep = v8_make_string(1, deep, v8_make_text("y"), i + 1);
	assert_false(v8string_text(&v, deep, buf, sizeof(buf)));
	assert_false(v8string_text(&v, v8_image.context, buf, sizeof(buf)));
	assert_false(v8string_text(&v, 1, buf, sizeof(buf)));
}

static void constants_that_are_missing_or_odd_are_no_layout(void **state)
{
	(void)state;
	struct v8layout whole, l;

	v8_tell_constants(&whole, &v8_versions[1]);
	assert_true(v8layout_is_whole(&whole));
	for (size_t at = 0; at < sizeof(whole); at += sizeof(int32_t)) {
		l = whole;
		memset((char *)&l + at, 0xf0, sizeof(int32_t)); /* no offset, no type, no mark */
		assert_false(v8layout_is_whole(&l));
	}
	l = whole;
	v8layout_set(&l, "v8dbg_TaggedSize", 4); /* compressed pointers */
	assert_false(v8layout_is_whole(&l));
	assert_false(v8layout_wants("v8dbg_SmiTagMaskX"));
	assert_false(v8layout_wants("SmiTag"));
	v8layout_init(&l);
	assert_false(v8layout_is_whole(&l));
}

static void no_word_of_the_target_does_harm(void **state)
{
	(void)state;
	uint64_t seed = (uint64_t)time(NULL);
	static const uint64_t hostile[] = {0,
					   1,
					   UINT64_MAX,
					   V8_HEAP + 1,
					   V8_HEAP + V8_HEAP_BYTES - 7,
					   V8_STACK + 1,
					   1ull << 46 | 1,
					   0x7fffffff00000000};

	printf("seed %llu\n", (unsigned long long)seed);
	for (size_t n = 0; n < MUTATED; n++) {
		struct v8view v = v8_build(&v8_versions[n % V8_VERSIONS]);
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		for (uint64_t k = 0; k < 1 + (seed >> 60); k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			uint64_t at = V8_HEAP + 0x1000 + (seed >> 20) % v8_image.used / 8 * 8;
			uint64_t other = V8_HEAP + 0x1000 + (seed >> 33) % v8_image.used / 8 * 8;
			size_t which = seed >> 56;
			v8_put(at + 1, 0,
			       which < LSC_ARRAY_LEN(hostile) ? hostile[which]
			       : which < 96		      ? other + 1
			       : which < 160		      ? v8_get(other + 1, 0)
					     : v8_get(at + 1, 0) ^ 1ull << (seed >> 40) % 64);
		}
		v8_walk(&walk, seed >> 41 & 1, seed >> 42 & 1);
		walk.places[n % V8_FUNCTIONS].fp = n & 1 ? walk.places[0].fp : hostile[n / 2 % 8];
		judge(&v);
		for (size_t i = 0; i < walk.n; i++) {
			assert_true(walk.places[i].frame.function < answer.head.text_size);
			assert_true(walk.places[i].frame.file < answer.head.text_size);
			assert_true(walk.places[i].frame.line >= 0);
		}
		v8function_forget(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_versions_and_forms_of_strings_are_read),
		cmocka_unit_test(a_mark_is_no_function),
		cmocka_unit_test(a_copy_is_believed_while_the_frame_is_there),
		cmocka_unit_test(a_copy_is_believed_by_its_bytecode),
		cmocka_unit_test(
			a_function_that_was_moved_is_found_and_another_in_its_place_is_not_taken),
		cmocka_unit_test(what_has_changed_is_read_anew),
		cmocka_unit_test(strings_without_an_end_are_none),
		cmocka_unit_test(constants_that_are_missing_or_odd_are_no_layout),
		cmocka_unit_test(no_word_of_the_target_does_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
