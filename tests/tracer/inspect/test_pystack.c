/* SPDX-License-Identifier: MIT */
/* Frames of Python and the task of a thread: in memory as each version lays it out, and in memory
 * that lies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "inspect/greenlet.h"
#include "inspect/pystack.h"
#include "pymerge.h"

/* Native frames as they are around `runs` runs of the evaluator, merged. */
static void merge(struct pyview *view, int runs)
{
	merge_begin();
	add_native("clock_nanosleep", 0);
	for (int i = 0; i < runs; i++) {
		add_run(i);
		add_native("gen_send_ex", 0);
	}
	add_native("main", 0);
	merge_end(view, NULL);
}

static void each_versions_frames_stand_where_the_evaluator_ran(void **state)
{
	(void)state;
	static const char *const new[] = {"clock_nanosleep", "settle", "Bill.pay",    "handle",
					  "gen_send_ex",     "run",    "gen_send_ex", "main"};
	static const char *const old[] = {"clock_nanosleep", "settle", "gen_send_ex", "Bill.pay",
					  "gen_send_ex",     "handle", "gen_send_ex", "run",
					  "gen_send_ex",     "main"};

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		const char *const *want = v->minor < 11 ? old : new;
		struct pyview view = build(v);
		assert_int_equal(view.why, MESSAGE_WHY_NONE);
		merge(&view, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_NONE);
		assert_int_equal(result.nframes, v->minor < 11 ? 10 : 8);
		for (size_t k = 0, nth = 0; k < result.nframes; k++) {
			assert_string_equal(frames[k].function, want[k]);
			if (!frames[k].python)
				continue;
			assert_string_equal(frames[k].file, "/srv/app.py");
			assert_int_equal(frames[k].line, 10 * ++nth + 2);
		}
		assert_int_equal(result.flags, 0);
	}
}

/* What lies beyond is of another greenlet, in which the evaluator runs, too. */
static void a_greenlets_frames_end_where_it_begins(void **state)
{
	(void)state;
	static const struct {
		const char *module, *function;
		bool ends;
	} cases[] = {
		{"/venv/greenlet/_greenlet.cpython-311-x86_64-linux-gnu.so",
		 "greenlet::UserGreenlet::inner_bootstrap(greenlet::refs::x&)", true},
		{"/venv/greenlet/_greenlet.cpython-311-x86_64-linux-gnu.so",
		 "greenlet::UserGreenlet::g_switch()", false},
		{"/venv/app.so", "greenlet::UserGreenlet::inner_bootstrap()", false},
	};

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		for (size_t k = 0; k < LSC_ARRAY_LEN(cases); k++) {
			const struct version *v = &versions[i];
			struct pyview view = build(v);
			merge_begin();
			add_native("clock_nanosleep", 0);
			for (int run = 0; run < runs_of(v); run++)
				add_run(run);
			native_sp += 16;
			add_native(cases[k].function, 0);
			answer.frames[answer.head.nframes - 1].module =
				answer_text(&answer, cases[k].module);
			add_run(FRAMES);
			native_sp += 16;
			add_native("main", 0);
			answer.head.flags |= MESSAGE_RESULT_TRUNCATED;
			answer.head.why = MESSAGE_WHY_NO_CFI;
			greenlet_cut(&answer);
			merge_end(&view, NULL);
			if (!cases[k].ends) {
				assert_int_equal(result.language, MESSAGE_WHY_NO_FIT);
				assert_int_equal(result.why, MESSAGE_WHY_NO_CFI);
				continue;
			}
			assert_int_equal(result.language, MESSAGE_WHY_NONE);
			assert_int_equal(result.why, MESSAGE_WHY_NONE);
			assert_int_equal(result.flags, 0);
			assert_int_equal(result.nframes, 6);
			assert_string_equal(frames[4].function, "run");
			assert_string_equal(frames[5].function, cases[k].function);
		}
	}
}

static void the_task_is_the_one_whose_coroutine_runs(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		struct pyview view = build(&versions[i]);
		merge(&view, runs_of(&versions[i]));
		assert_string_equal(task_text(result.task.name),
				    "\xc3\xa4\xe6\x97\xa5\xef\xbf\xbdx");
		assert_string_equal(task_text(result.task.function), "handle");
		assert_string_equal(task_text(result.task.file), "/srv/app.py");
		assert_int_equal(result.task.line, 30);
		/* of another thread: its coroutine is not among the frames */
		make_task(make_object(image.type[CORO], 200), make_ascii("other"));
		view.tasks.dict = 0;
		merge(&view, runs_of(&versions[i]));
		assert_int_equal(result.language, MESSAGE_WHY_NONE);
		assert_int_equal(result.task.address, 0);
	}
}

static void a_task_without_a_name_has_its_number(void **state)
{
	(void)state;
	struct pyview view = build(&versions[4]);
	uint64_t coro = image.frame[2] - versions[4].gen_frame;
	uint64_t number = make_object(image.type[INT], 32);

	put(number + 16, 1 << 3);
	put_int(number + 24, 17);
	make_task(coro, number);
	merge(&view, 2);
	assert_string_equal(task_text(result.task.name), "Task-17");
	put(number + 16, 1 << 3 | 2); /* negative */
	merge(&view, 2);
	assert_int_equal(result.task.address, 0);
}

/* A run is listed, and its frame does not say yet that it is the interpreter's. */
static void since_313_a_frame_whose_code_is_none_is_the_interpreters(void **state)
{
	(void)state;
	static const uint8_t owners[] = {0, 1, 2, 4, 255};

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		for (size_t k = 0; k < LSC_ARRAY_LEN(owners) && versions[i].minor >= 12; k++) {
			struct pyview view = build(&versions[i]);
			uint64_t none = make_object(make_type("NoneType", 0), 16);
			bytes_at(image.shim[0] + versions[i].owner, 1)[0] = owners[k];
			put(image.shim[0] + versions[i].code, none | (versions[i].minor >= 14));
			merge(&view, 2);
			assert_int_equal(result.language, versions[i].minor >= 13
								  ? MESSAGE_WHY_NONE
								  : MESSAGE_WHY_LAYOUT);
		}
	}
}

static void frames_that_do_not_fit_are_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		struct pyview view = build(&versions[i]);
		for (int runs = 0; runs < FRAMES + 2; runs++) {
			merge(&view, runs);
			if (runs == runs_of(&versions[i]))
				continue;
			assert_int_equal(result.language, MESSAGE_WHY_NO_FIT);
			assert_int_equal(result.nframes, 2 + runs * 3);
			assert_int_equal(result.task.address, 0);
			for (size_t k = 0; k < result.nframes; k++)
				assert_false(frames[k].python);
		}
	}
}

/* The evaluator has begun, and its frame is not listed yet; or is not any more. */
static void a_leaf_that_evaluates_may_have_no_frame(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		for (int bare = 0; bare < 3; bare++) {
			struct pyview view = build(&versions[i]);
			merge_begin();
			native_sp = image.shim[0] - 400;
			for (int k = 0; k < bare; k++) {
				add_native("dispatch", MESSAGE_FRAME_INLINED);
				add_native("_PyEval_EvalFrameDefault", 0);
				native_sp += 80;
				add_native("gen_send_ex", 0);
				native_sp += 80;
			}
			for (int k = 0; k < runs_of(&versions[i]); k++) {
				add_run(k);
				add_native("gen_send_ex", 0);
			}
			merge_python(&view, TID, NULL, &answer);
			assert_int_equal(answer.head.language,
					 bare < 2 ? MESSAGE_WHY_NONE : MESSAGE_WHY_NO_FIT);
			if (bare > 1)
				continue;
			uint32_t python = 0;
			for (uint32_t k = 0; k < answer.head.nframes; k++)
				python += answer.frames[k].flags == MESSAGE_FRAME_PYTHON;
			assert_int_equal(python, FRAMES);
			assert_int_equal(answer.head.nframes,
					 FRAMES + runs_of(&versions[i]) + bare);
			assert_string_equal(answer.text + answer.frames[0].function,
					    bare ? "gen_send_ex" : "settle");
			assert_int_not_equal(answer.head.task.address, 0);
		}
	}
}

/* Up to 3.10 it has its result checked by others then. */
static void a_run_whose_result_is_checked_has_no_frame(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
			struct pyview view = build(&versions[i]);
			merge_begin();
			native_sp = image.shim[0] - 400;
			add_native("PyErr_Occurred", 0);
			add_native(elsewhere ? "_Py_CheckSomething" : "_Py_CheckFunctionResult", 0);
			add_native("_PyEval_EvalFrameDefault", 0);
			for (int k = 0; k < runs_of(&versions[i]); k++)
				add_run(k);
			if (versions[i].minor >= 14)
				add_native("main", 0);
			merge_python(&view, TID, NULL, &answer);
			bool fits = versions[i].minor <= 10 && !elsewhere;
			assert_int_equal(answer.head.language,
					 fits ? MESSAGE_WHY_NONE : MESSAGE_WHY_NO_FIT);
			if (fits)
				assert_int_equal(answer.head.nframes, 2 + FRAMES);
		}
	}
}

static void a_native_stack_that_ends_early_is_gone_on_with(void **state)
{
	(void)state;
	struct pyview view = build(&versions[4]);

	merge_begin();
	add_native("clock_nanosleep", 0);
	answer.head.why = MESSAGE_WHY_NO_CFI;
	merge_python(&view, TID, NULL, &answer);
	assert_int_equal(answer.head.language, MESSAGE_WHY_NONE);
	assert_int_equal(answer.head.nframes, 1 + FRAMES);
}

static void the_collector_takes_no_other_answer(void **state)
{
	(void)state;
	struct pyview view = build(&versions[5]);
	struct message_result bad;

	merge(&view, 2);
	const struct message_result good = result;
	for (int i = 0; i < 6; i++) {
		bad = good;
		if (i == 0)
			bad.language = MESSAGE_WHY_COUNT;
		else if (i == 1)
			bad.task.name = bad.text_size;
		else if (i == 2)
			bad.task.function = UINT32_MAX;
		else if (i == 3)
			bad.task.file = bad.text_size;
		else if (i == 4)
			bad.task.line = -1;
		else
			bad.place.code_first = INSPECTOR_PLACE_REACH;
		memcpy(packet, &bad, sizeof(bad));
		assert_int_equal(message_result_read(packet, packet_size, &result, frames),
				 -EBADMSG);
	}
}

static void another_thread_has_no_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		struct pyview view = build(&versions[i]);
		merge_begin();
		merge_python(&view, TID + 1, NULL, &answer);
		assert_int_equal(answer.head.language, MESSAGE_WHY_NO_STATE);
	}
}

static void a_chain_without_an_end_is_no_chain(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		for (size_t from = 0; from < FRAMES; from++) {
			for (size_t to = 0; to <= from; to++) {
				struct pyview view = build(v);
				put(image.frame[from] + v->previous, image.frame[to]);
				image.reads = 0;
				merge(&view, runs_of(v));
				assert_int_equal(result.language, MESSAGE_WHY_LAYOUT);
				assert_in_range(image.reads, 1, READS);
			}
		}
	}
}

static void only_code_is_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct pyview view = build(v);
		put(image.code[1] + 8, image.type[MODULE]);
		merge(&view, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_LAYOUT);
		view = build(v);
		put(image.frame[3] + v->code, HEAP_END - 64); /* cut off */
		merge(&view, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_LAYOUT);
		view = build(v);
		if (v->minor >= 11)
			put(image.frame[0] + v->instr, image.code[0] + v->bytes + 32);
		else
			put_int(image.frame[0] + v->instr, -2);
		merge(&view, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_LAYOUT);
	}
}

/* Names as long as they like, of any kind, up to the end of what can be read. */
static void giant_names_are_cut_or_unknown(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct pyview view = build(v);
		put(image.name[0] + 16, 1ull << 60);
		merge(&view, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_NONE);
		assert_in_range(strlen(frames[1].function), 0, MESSAGE_TEXT_MAX - 1);
		put_int(image.name[0] + 32, 4 << 2 | 1 << 5); /* more than there is */
		put(image.name[0] + 8, image.type[STR]);
		merge(&view, runs_of(v));
		put_int(image.name[0] + 32, 1 << 2); /* not compact */
		merge(&view, runs_of(v));
		assert_int_equal(result.language, MESSAGE_WHY_NONE);
		assert_null(frames[1].function);
		put(image.table[0] + 16, 1ull << 50);
		merge(&view, runs_of(v));
		assert_int_equal(frames[1].line, 0);
	}
}

/* Whatever a word holds: an answer that the collector takes, soon. */
static void no_word_of_the_target_does_harm(void **state)
{
	(void)state;
	static const uint64_t hostile[] = {0,
					   1,
					   UINT64_MAX,
					   INT64_MAX,
					   1ull << 47,
					   RUNTIME + 640,
					   HEAP_END - 8,
					   HEAP + 0x108,
					   0xdead000,
					   1u << 20,
					   65536};

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct pyview fresh = build(v);
		uint64_t end = HEAP + 0x100 + image.used;

		for (uint64_t at = image.interp; at < end;) {
			uint64_t was;
			assert_true(read_image(NULL, at, &was, sizeof(was)));
			for (size_t h = 0; h < LSC_ARRAY_LEN(hostile); h++) {
				struct pyview view = fresh;
				put(at, hostile[h]);
				image.reads = 0;
				pyview_check(&view);
				merge(&view, runs_of(v));
				assert_in_range(image.reads, 1, READS);
			}
			put(at, was);
			at += 8;
			if (at >= RUNTIME + v->modules + 1008)
				at = HEAP + 0x100;
			if (at >= RUNTIME + 1000 + 128 && at < RUNTIME + 1000 + v->modules)
				at = RUNTIME + 1000 + v->modules;
		}
		for (uint64_t at = RUNTIME; v->minor >= 13 && at < RUNTIME + 103 * 8; at += 8) {
			uint64_t was;
			assert_true(read_image(NULL, at, &was, sizeof(was)));
			for (uint64_t told = 0; told < 2000; told += 7) {
				struct pyview view = fresh;
				put(at, told < 1990 ? told : UINT64_MAX - told);
				pyview_check(&view);
				merge(&view, runs_of(v));
			}
			put(at, was);
		}
		memset(image.heap, 0xff, sizeof(image.heap));
		merge(&fresh, runs_of(v));
		assert_int_not_equal(result.language, MESSAGE_WHY_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_versions_frames_stand_where_the_evaluator_ran),
		cmocka_unit_test(a_greenlets_frames_end_where_it_begins),
		cmocka_unit_test(the_task_is_the_one_whose_coroutine_runs),
		cmocka_unit_test(a_task_without_a_name_has_its_number),
		cmocka_unit_test(since_313_a_frame_whose_code_is_none_is_the_interpreters),
		cmocka_unit_test(frames_that_do_not_fit_are_none),
		cmocka_unit_test(a_leaf_that_evaluates_may_have_no_frame),
		cmocka_unit_test(a_run_whose_result_is_checked_has_no_frame),
		cmocka_unit_test(a_native_stack_that_ends_early_is_gone_on_with),
		cmocka_unit_test(the_collector_takes_no_other_answer),
		cmocka_unit_test(another_thread_has_no_frames),
		cmocka_unit_test(a_chain_without_an_end_is_no_chain),
		cmocka_unit_test(only_code_is_code),
		cmocka_unit_test(giant_names_are_cut_or_unknown),
		cmocka_unit_test(no_word_of_the_target_does_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
