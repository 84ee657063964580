/* SPDX-License-Identifier: MIT */
/* Frames of JavaScript that are found in a stack without walking it, and what is left of them when
 * the target has gone on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/v8chain.h"
#include "inspect/v8function.h"
#include "v8image.h"

static struct answer answer;
static struct v8walk walk;
static struct v8chain chain;
static uint8_t stack[16 + sizeof(v8_image.stack)];

static bool is_code(void *arg, uint64_t address, bool *ret_anonymous)
{
	const struct v8walk *w = arg;

	*ret_anonymous = true;
	for (size_t i = 0; i < w->n; i++)
		if (w->places[i].pc - 1 == address)
			return true;
	return false;
}

/* A stack that links each frame of the walk to the next; the leaf called something, too. */
static struct v8chain_stack link_frames(void)
{
	memcpy(stack + 16, v8_image.stack, sizeof(v8_image.stack));
	for (size_t i = 0; i < walk.n; i++) {
		struct v8place *p = &walk.places[i];
		size_t below = i ? (size_t)(walk.places[i - 1].fp - V8_STACK) + 16 : 0;
		memcpy(stack + below, &p->fp, sizeof(p->fp));
		memcpy(stack + below + 8, &p->pc, sizeof(p->pc));
		if (i)
			walk.places[i - 1].caller_pc = p->pc;
	}
	return (struct v8chain_stack){
		.address = V8_STACK - 16, .bytes = stack, .size = sizeof(stack)};
}

static void read_chain(struct v8view *v)
{
	struct v8chain_stack s = link_frames();

	v8chain_read(v, &s, true, is_code, &walk, &chain);
}

/* The walk comes later: nothing of the heap is as it was. */
static void judge_later(struct v8view *v)
{
	memset(v8_image.heap, 0xff, sizeof(v8_image.heap));
	memset(v8_image.stack, 0xff, sizeof(v8_image.stack));
	v8function_forget(v);
	walk.asleep = false;
	answer_init(&answer, 1);
	v8chain_judge(&chain, v, &walk, &answer);
}

static void assert_named(const struct message_frame *f, size_t i)
{
	const struct v8_function *y = &v8_image.functions[i];

	assert_true(f->flags & MESSAGE_FRAME_JS);
	assert_string_equal(answer.text + f->function, y->name);
	assert_string_equal(answer.text + f->file, y->file);
	assert_int_equal(f->line, y->line);
}

static void what_was_read_outlives_the_target(void **state)
{
	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		v8_walk(&walk, true, false);
		read_chain(&v);
		assert_int_equal(chain.n, V8_FUNCTIONS);
		judge_later(&v);
		for (size_t i = 0; i < V8_FUNCTIONS; i++) {
			assert_int_equal(walk.places[i].kind, V8PLACE_FRAME);
			assert_named(&walk.places[i].frame, i);
		}
		assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
		v8function_forget(&v);
	}
}

static void so_do_those_that_are_inlined(void **state)
{
	static const size_t inlined[] = {4, 0};

	(void)state;
	for (size_t n = 0; n < V8_VERSIONS; n++) {
		struct v8view v = v8_build(&v8_versions[n]);
		v8_walk(&walk, true, false);
		assert_true(v8_inline(&walk, 2, inlined, 2, false));
		read_chain(&v);
		judge_later(&v);
		const struct v8place *p = &walk.places[2];
		assert_named(&p->frame, 2);
		assert_int_equal(p->ninlined, 2);
		for (size_t i = 0; i < 2; i++) {
			assert_true(walk.inlined[p->first + i].flags & MESSAGE_FRAME_INLINED);
			assert_named(&walk.inlined[p->first + i], inlined[1 - i]);
		}
		v8function_forget(&v);
	}
}

static void a_frame_that_the_walk_meets_elsewhere_is_not_named_by_it(void **state)
{
	(void)state;
	struct v8view v = v8_build(&v8_versions[1]);

	v8_walk(&walk, true, false);
	read_chain(&v);
	walk.places[0].fp += 8;
	walk.places[1].pc += 1;
	walk.places[2].function += 8;
	walk.places[3].context += 8;
	walk.places[4].code = false;
	judge_later(&v);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(walk.places[i].kind, V8PLACE_FRAME);
		assert_int_equal(walk.places[i].frame.function, 0);
	}
	assert_int_equal(walk.places[4].kind, V8PLACE_NATIVE);
	assert_named(&walk.places[5].frame, 5);
	assert_int_equal(answer.head.language, MESSAGE_WHY_CHANGED);
	v8function_forget(&v);
}

/* Words that lead anywhere. */
static void a_stack_of_lies_is_read(void **state)
{
	static uint64_t words[4096];
	struct v8chain_stack s = {.address = 0x7ff000000000ull,
				  .bytes = (const uint8_t *)words,
				  .size = sizeof(words) - 3};
	struct v8view v = v8_build(&v8_versions[0]);
	uint32_t random = 1;

	(void)state;
	v8_walk(&walk, true, false);
	for (size_t i = 0; i < 4096; i++) {
		random = random * 1664525 + 1013904223;
		const uint64_t some[] = {s.address + (random >> 8) % sizeof(words),
					 s.address + sizeof(words),
					 UINT64_MAX - 8,
					 walk.places[random >> 8 & 3].pc,
					 walk.places[random >> 8 & 3].function,
					 v8_image.context};
		words[i] = some[(random >> 16) % 6];
	}
	v8chain_read(&v, &s, true, is_code, &walk, &chain);
	assert_in_range(chain.n, 0, INSPECTOR_FRAMES_MAX);
	s.size = 0;
	v8chain_read(&v, &s, true, is_code, &walk, &chain);
	assert_int_equal(chain.n, 0);
	v8function_forget(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_outlives_the_target),
		cmocka_unit_test(so_do_those_that_are_inlined),
		cmocka_unit_test(a_frame_that_the_walk_meets_elsewhere_is_not_named_by_it),
		cmocka_unit_test(a_stack_of_lies_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
