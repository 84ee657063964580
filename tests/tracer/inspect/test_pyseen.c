/* SPDX-License-Identifier: MIT */
/* Frames of Python and the task that the kernel side took at one moment, named at a later one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "pymerge.h"

/* The frames, with the interpreter's own, and the current task, as they are now. */
static struct inspector_chain see(void)
{
	const struct version *v = image.v;
	struct inspector_chain chain = {.tid = TID};
	struct inspector_seen_task *task = &chain.task;

	task->address = image.task;
	task->frame = image.frame[2];
	memcpy(&task->name, bytes_at(image.task + v->coro + 8, 8), 8);
	task->size = sizeof(task->bytes);
	memcpy(task->bytes, bytes_at(task->name, task->size), task->size);
	for (uint64_t at = image.frame[0]; at; chain.count++) {
		struct inspector_pyframe *f = &chain.frames[chain.count];
		int32_t index;
		*f = (struct inspector_pyframe){.address = at};
		memcpy(&f->code, bytes_at(at + v->code, 8), 8);
		f->code &= ~7ull;
		memcpy(&f->instr, bytes_at(at + v->instr, 8), 8);
		memcpy(&index, bytes_at(at + v->instr, 4), 4);
		if (!v->owner)
			f->instr = (uint64_t)index;
		f->owner = v->owner ? bytes_at(at + v->owner, 1)[0] : 0;
		f->entry = v->entry ? bytes_at(at + v->entry, 1)[0] : 0;
		for (size_t i = 0; i < FRAMES; i++)
			if (f->code == image.code[i]) {
				f->name = image.name[i];
				f->first = 10 * ((int)i + 1);
				f->type = image.type[CODE];
				f->table = image.table[i];
				memcpy(&f->file, bytes_at(f->code + v->file, 8), 8);
			}
		memcpy(&at, bytes_at(at + v->previous, 8), 8);
	}
	return chain;
}

static void merge_seen(struct pyview *view, const struct inspector_chain *seen, int runs)
{
	merge_begin();
	for (int i = 0; i < runs; i++)
		add_run(i);
	if (image.v->minor >= 14)
		add_native("main", 0);
	merge_end(view, seen);
}

static void frames_that_were_seen_before_have_their_names_now(void **state)
{
	(void)state;

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct pyview view = build(v);
		struct inspector_chain seen = see();
		uint32_t outer = v->minor >= 14;    /* the evaluator's caller */
		for (size_t k = 0; k < FRAMES; k++) /* the thread has gone on */
			memset(bytes_at(image.frame[k] + v->previous, 8), 0xff, 8);
		put(image.task + v->coro + 8, 0); /* and its task with it */
		merge_seen(&view, &seen, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_NONE);
		assert_int_equal(result.nframes, FRAMES + outer);
		assert_string_equal(frames[1].function, "Bill.pay");
		assert_int_equal(frames[1].line, 22);
		assert_int_equal(result.task.address, image.task);
		assert_string_equal(task_text(result.task.name),
				    "\xc3\xa4\xe6\x97\xa5\xef\xbf\xbdx");
		assert_string_equal(task_text(result.task.function), "handle");
		seen.count--; /* more than was taken */
		seen.cut = true;
		merge_seen(&view, &seen, runs_of(v) + 1);
		seen.count++;
		seen.cut = false;
		assert_int_equal(result.language, MESSAGE_WHY_NONE);
		assert_true(result.flags & MESSAGE_RESULT_TRUNCATED);
		put(image.code[0] + 8, image.type[STR]); /* it never was one */
		memset(view.types, 0, sizeof(view.types));
		merge_seen(&view, &seen, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_LAYOUT);
	}
}

static void the_rest_of_what_was_seen_stays_when_some_code_has_gone(void **state)
{
	(void)state;
	enum { OTHER_CODE, OTHER_FILE, OTHER_LINES, OTHER_OBJECT, FREED, OTHER_TABLE, WAYS };

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions) * WAYS; i++) {
		const struct version *v = &versions[i / WAYS];
		struct pyview view = build(v);
		struct inspector_chain seen = see();
		uint32_t outer = v->minor >= 14;
		merge_seen(&view, &seen, runs_of(v)); /* its types are met */
		if (i % WAYS == OTHER_CODE)
			put(image.code[1] + v->name, image.name[0]);
		else if (i % WAYS == OTHER_FILE)
			put(image.code[1] + v->file, image.name[0]);
		else if (i % WAYS == OTHER_LINES)
			put(image.code[1] + v->table, image.table[0]);
		else if (i % WAYS == OTHER_OBJECT)
			put(image.code[1] + v->name, 0);
		if (i % WAYS == OTHER_OBJECT || i % WAYS == FREED) /* which keeps its name */
			put(image.code[1] + 8, image.type[STR]);
		if (i % WAYS == OTHER_TABLE)
			put(image.table[1] + 8, image.type[STR]);
		merge_seen(&view, &seen, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_CHANGED);
		assert_int_equal(result.nframes, FRAMES + outer);
		assert_string_equal(frames[0].function, "settle");
		assert_true(frames[1].python);
		assert_null(frames[1].function);
		assert_null(frames[1].file);
		assert_int_equal(frames[1].line, 0);
		assert_string_equal(frames[2].function, "handle");
		assert_string_equal(task_text(result.task.function), "handle");
		/* what was no code then may be a frame that leads nowhere */
		seen.frames[1].type++;
		merge_seen(&view, &seen, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_CHANGED);
		assert_int_equal(result.nframes, 2u * runs_of(v) + outer);
		assert_int_equal(result.task.address, 0);
	}
}

static void a_task_whose_coroutine_has_gone_keeps_its_name(void **state)
{
	(void)state;
	struct pyview view = build(&versions[4]);
	struct inspector_chain seen = see();

	merge_seen(&view, &seen, 2);
	put(image.code[2] + 8, image.type[STR]);
	merge_seen(&view, &seen, 2);
	assert_int_equal(result.task.address, image.task);
	assert_string_equal(task_text(result.task.name), "\xc3\xa4\xe6\x97\xa5\xef\xbf\xbdx");
	assert_int_equal(result.task.function, 0);
	assert_int_equal(result.task.line, 0);
}

/* Zero is what the kernel side tells of what it cannot read; it reads no further then. */
static void frames_that_could_not_be_read_say_so(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		struct pyview view = build(&versions[i]);
		struct inspector_chain seen = see();
		seen.frames[1].name = 0;
		seen.frames[1].first = 0;
		merge_seen(&view, &seen, runs_of(&versions[i]));
		assert_int_equal(result.language, MESSAGE_WHY_ABSENT);
		for (uint32_t n = 1; n <= 2; n++) {
			seen.frames[n - 1] =
				(struct inspector_pyframe){.address = seen.frames[n - 1].address};
			seen.count = n;
			merge_seen(&view, &seen, runs_of(&versions[i]));
			assert_int_equal(result.language, MESSAGE_WHY_ABSENT);
			seen = see();
		}
	}
}

static void a_name_that_was_kept_whole_may_be_gone(void **state)
{
	(void)state;
	enum { LENGTH = INSPECTOR_NAME_BYTES - 80 };
	struct pyview view = build(&versions[3]);
	char text[LENGTH + 1] = "";

	memset(text, '0', LENGTH);
	uint64_t name = make_ascii(text);
	put(image.task + image.v->coro + 8, name);
	struct inspector_chain seen = see();
	memset(bytes_at(name, image.v->ascii + LENGTH), 0xff, image.v->ascii + LENGTH);
	merge_seen(&view, &seen, 2);
	assert_string_equal(task_text(result.task.name), text);
	seen.task.size = image.v->ascii + LENGTH - 1;
	merge_seen(&view, &seen, 2);
	assert_int_equal(result.task.address, 0);
}

/* More than was kept of it. */
static void a_long_name_is_read_on_if_it_is_still_the_same(void **state)
{
	(void)state;
	enum { LENGTH = INSPECTOR_NAME_BYTES - 10 };
	struct pyview view = build(&versions[3]);
	char text[LENGTH + 1] = "";

	memset(text, '0', LENGTH);
	uint64_t name = make_ascii(text);
	put(image.task + image.v->coro + 8, name);
	struct inspector_chain seen = see();
	merge_seen(&view, &seen, 2);
	assert_string_equal(task_text(result.task.name), text);
	bytes_at(name + image.v->ascii, LENGTH)[0] = 'x';
	merge_seen(&view, &seen, 2);
	assert_int_equal(result.task.address, 0);
	bytes_at(name + image.v->ascii, LENGTH)[0] = '0';
	put(name + 16, LENGTH - 1);
	merge_seen(&view, &seen, 2);
	assert_int_equal(result.task.address, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_that_were_seen_before_have_their_names_now),
		cmocka_unit_test(the_rest_of_what_was_seen_stays_when_some_code_has_gone),
		cmocka_unit_test(a_task_whose_coroutine_has_gone_keeps_its_name),
		cmocka_unit_test(frames_that_could_not_be_read_say_so),
		cmocka_unit_test(a_name_that_was_kept_whole_may_be_gone),
		cmocka_unit_test(a_long_name_is_read_on_if_it_is_still_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
