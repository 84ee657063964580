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

/* The objects that hold the texts of a function's script and name. */
static uint64_t script_name(const struct v8view *v, const struct v8_function *f)
{
	return v8_get(v8_get(f->shared, v->layout.shared_script), v->layout.script_name);
}

/* Where the name lies in the ScopeInfo of one that has no locals. */
static int32_t name_offset(const struct v8view *v)
{
	return 8 * (1 + v->layout.scope_first_vars);
}

static void move_text(uint64_t old, const char *text)
{
	v8_put(old, 0, v8_make_text(text) - 1);
}

static void a_text_that_is_being_moved_is_read_where_it_goes(void **state)
{
	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		struct v8_function *f = &v8_image.functions[0];
		v8_walk(&walk, false, false);
		move_text(script_name(&v, f), f->file);
		v8_put(f->shared, v8_image.v->name, v8_make_text(f->name)); /* not run so far */
		move_text(v8_get(f->shared, v8_image.v->name), f->name);
		judge(&v);
		assert_string_equal(text(walk.places[0].frame.function), f->name);
		assert_string_equal(text(walk.places[0].frame.file), f->file);
		assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
		v8_put(f->shared, v8_image.v->name, f->scope); /* it has run */
		move_text(v8_get(f->scope, name_offset(&v)), f->name);
		judge(&v);
		assert_named(0);
		assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
		v8function_forget(&v);
	}
}

static void what_was_written_before_a_function_was_met_is_read(void **state)
{
	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		const struct v8_function *f = &v8_image.functions[0];
		uint64_t name = v8_get(f->scope, name_offset(&v));
		v8_walk(&walk, false, false);
		answer_init(&answer, 1);
		v8_put(f->scope, name_offset(&v), 0);
		v8view_begin(&v);
		assert_int_equal(v8view_type(&v, f->scope), v.layout.type_scope_info);
		v8_put(f->scope, name_offset(&v), name); /* its page has been read */
		v8stack_judge_place(&v, &walk, &walk.places[0], &answer);
		assert_named(0);
		v8function_forget(&v);
	}
}

/* What is at an object's place is not the object: that is said, and read again the next time. */
static void assert_lacking_until_put_back(struct v8view *v, uint64_t object, bool asleep, bool name)
{
	uint64_t map = v8_get(object, 0);
	const struct message_frame *frame = &walk.places[0].frame;
	const struct v8_function *f = &v8_image.functions[0];

	v8_walk(&walk, asleep, false);
	v8_put(object, 0, 0);
	judge(v);
	assert_int_equal(walk.places[0].kind, V8PLACE_FRAME);
	assert_string_equal(text(frame->function), name ? "" : f->name);
	assert_string_equal(text(frame->file), name ? f->file : "");
	assert_named(1);
	assert_int_equal(answer.head.language, asleep ? MESSAGE_WHY_LAYOUT : MESSAGE_WHY_CHANGED);
	v8_put(object, 0, map);
	judge(v);
	assert_named(0);
	assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
	v8function_forget(v);
}

static void a_text_that_cannot_be_read_is_told_and_not_taken_for_none(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n / 2]);
		const struct v8_function *f = &v8_image.functions[0];
		assert_lacking_until_put_back(&v, script_name(&v, f), n % 2, false);
		assert_lacking_until_put_back(&v, v8_get(f->shared, v.layout.shared_script), n % 2,
					      false);
		assert_lacking_until_put_back(&v, f->scope, n % 2, true);
		assert_lacking_until_put_back(&v, v8_get(f->scope, name_offset(&v)), n % 2, true);
	}
}

static void interpreted_code_whose_objects_were_all_moved_is_told_without_a_name(void **state)
{
	(void)state;
	struct v8view v = v8_build(&v8_versions[0]);

	v8_walk(&walk, false, true);
	memset(v8_image.stack, 0xee, sizeof(v8_image.stack)); /* it has run on */
	for (size_t i = 0; i < 2; i++) {
		walk.places[i].anonymous = false;
		v8_put(walk.places[i].function, 0, 0);
		v8_put(walk.places[i].bytecode, 0, 0);
	}
	walk.places[1].bytecode = 8; /* V8's own has none */
	judge(&v);
	assert_unknown(0);
	assert_int_equal(walk.places[1].kind, V8PLACE_NATIVE);
	assert_int_equal(answer.head.language, MESSAGE_WHY_CHANGED);
	v8function_forget(&v);
}

/* The functions that are told of a place, innermost first, are these; the last is its own. */
static void assert_inlined(size_t place, const size_t *functions, size_t n)
{
	const struct v8place *p = &walk.places[place];

	assert_int_equal(p->ninlined, n);
	for (size_t i = 0; i < n; i++) {
		const struct message_frame *f = &walk.inlined[p->first + n - 1 - i];
		const struct v8_function *known = &v8_image.functions[functions[i]];
		assert_int_equal(f->flags, MESSAGE_FRAME_JS | MESSAGE_FRAME_INLINED);
		assert_string_equal(text(f->function), known->name);
		assert_string_equal(text(f->file), known->file);
		assert_int_equal(f->line, known->line);
	}
	assert_named(place);
}

static void inlined_functions_are_told_where_they_call(void **state)
{
	static const size_t inlined[] = {3, 0, 1, 1};

	(void)state;
	for (size_t i = 0; i < V8_VERSIONS * 2 * (LSC_ARRAY_LEN(inlined) + 1); i++) {
		struct v8view v = v8_build(&v8_versions[i % V8_VERSIONS]);
		size_t n = i / V8_VERSIONS / 2;
		v8_walk(&walk, n % 2, false);
		if (v8_inline(&walk, 2, inlined, n, i / V8_VERSIONS % 2)) {
			judge(&v);
			assert_inlined(2, inlined, n);
			assert_inlined(3, NULL, 0);
			assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
		}
		v8function_forget(&v);
	}
}

/* As deep as Turbofan inlines. */
static void fifty_inlined_functions_are_told(void **state)
{
	size_t inlined[50];

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(inlined); i++)
		inlined[i] = i % V8_FUNCTIONS;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		v8_walk(&walk, true, false);
		assert_true(v8_inline(&walk, 2, inlined, LSC_ARRAY_LEN(inlined), false));
		judge(&v);
		assert_inlined(2, inlined, LSC_ARRAY_LEN(inlined));
		assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
		v8function_forget(&v);
	}
}

static void a_copy_is_believed_by_its_optimized_code(void **state)
{
	static const size_t inlined[] = {3};

	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		v8_walk(&walk, false, false);
		assert_true(v8_inline(&walk, 2, inlined, 1, false));
		memset(v8_image.stack, 0xee, sizeof(v8_image.stack)); /* it has run on */
		for (size_t i = 0; i < V8_FUNCTIONS; i++)	      /* others are there now */
			v8_put(v8_image.functions[i].object, v8_image.v->function_shared,
			       v8_image.functions[5].shared);
		judge(&v);
		assert_inlined(2, inlined, 1);
		assert_unknown(1);
		assert_unknown(3);
		assert_int_equal(answer.head.language, MESSAGE_WHY_CHANGED);
		v8function_forget(&v);
	}
}

/* One function inlined into another, but for what break_it() does. */
static void assert_inlined_unknown(void (*break_it)(uint64_t data, uint64_t literals))
{
	static const size_t inlined[] = {3};

	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		v8_walk(&walk, true, false);
		assert_true(v8_inline(&walk, 2, inlined, 1, false));
		break_it(v8_image.data, v8_image.literals);
		judge(&v);
		assert_inlined(2, NULL, 0);
		assert_int_equal(answer.head.language, MESSAGE_WHY_INLINED);
		v8function_forget(&v);
	}
}

static void leave_place(uint64_t data, uint64_t literals)
{
	(void)data, (void)literals;
	walk.places[2].pc++;
}

static void be_leaf(uint64_t data, uint64_t literals)
{
	(void)data, (void)literals;
	walk.places[2].calls = false;
}

static void change_outermost(uint64_t data, uint64_t literals)
{
	(void)data;
	v8_put(literals, 24, v8_image.functions[4].shared);
}

static void change_literal(uint64_t data, uint64_t literals)
{
	(void)data;
	v8_put(literals, 32, v8_image.functions[4].object);
}

static void cut_data(uint64_t data, uint64_t literals)
{
	(void)literals;
	v8_put(data, 8, (uint64_t)13 << 32);
}

static void cut_translation(uint64_t data, uint64_t literals)
{
	uint64_t translation = v8_get(data, 16);

	(void)literals;
	v8_put(translation, 8, v8_get(translation, 8) - (8ull << 32));
}

static void what_is_inlined_is_unknown_where_it_cannot_be_made_sure_of(void **state)
{
	(void)state;
	assert_inlined_unknown(leave_place);
	assert_inlined_unknown(be_leaf);
	assert_inlined_unknown(change_outermost);
	assert_inlined_unknown(change_literal);
	assert_inlined_unknown(cut_data);
	assert_inlined_unknown(cut_translation);
}

static void what_lies_close_together_is_read_once(void **state)
{
	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		v8_walk(&walk, true, false);
		judge(&v);
		judge(&v); /* the functions are known */
		assert_named(0);
		assert_in_range(v8_image.reads, 1, v8_image.used / 4096 + 1);
		v8function_forget(&v);
	}
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
		static const size_t inlined[] = {3, 0};
		struct v8view v = v8_build(&v8_versions[n % V8_VERSIONS]);
		v8_walk(&walk, seed >> 41 & 1, seed >> 42 & 1);
		v8_inline(&walk, 2, inlined, 2, seed >> 43 & 1);
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
		walk.places[n % V8_FUNCTIONS].fp = n & 1 ? walk.places[0].fp : hostile[n / 2 % 8];
		judge(&v);
		for (size_t i = 0; i < walk.n; i++) {
			assert_true(walk.places[i].frame.function < answer.head.text_size);
			assert_true(walk.places[i].frame.file < answer.head.text_size);
			assert_true(walk.places[i].frame.line >= 0);
		}
		assert_in_range(walk.ninlined, 0, INSPECTOR_FRAMES_MAX);
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
		cmocka_unit_test(a_text_that_is_being_moved_is_read_where_it_goes),
		cmocka_unit_test(what_was_written_before_a_function_was_met_is_read),
		cmocka_unit_test(a_text_that_cannot_be_read_is_told_and_not_taken_for_none),
		cmocka_unit_test(
			interpreted_code_whose_objects_were_all_moved_is_told_without_a_name),
		cmocka_unit_test(inlined_functions_are_told_where_they_call),
		cmocka_unit_test(fifty_inlined_functions_are_told),
		cmocka_unit_test(a_copy_is_believed_by_its_optimized_code),
		cmocka_unit_test(what_is_inlined_is_unknown_where_it_cannot_be_made_sure_of),
		cmocka_unit_test(what_lies_close_together_is_read_once),
		cmocka_unit_test(what_has_changed_is_read_anew),
		cmocka_unit_test(strings_without_an_end_are_none),
		cmocka_unit_test(constants_that_are_missing_or_odd_are_no_layout),
		cmocka_unit_test(no_word_of_the_target_does_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
