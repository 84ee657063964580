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
#include "inspect/pyline.h"
#include "inspect/pystack.h"
#include "inspect/pyview.h"

#define RUNTIME	 0x700000000000ull
#define HEAP	 0x600000000000ull
#define HEAP_END (HEAP + 0x8000)
#define TID	 4242
#define FRAMES	 4 /* of Python, in two runs of the evaluator */
#define READS	 9000

/* Where things lie, by the headers of each version. */
struct version {
	unsigned int minor;
	uint64_t size;
	uint32_t main, threads, modules, id, hop;
	uint32_t cframe, frame; /* cframe 0: the state points at the frame itself */
	uint32_t code, instr, previous, owner, entry;
	uint32_t first, file, name, table, traceable, bytes;
	uint32_t gen_frame, coro;
	uint32_t ascii, wide;
};

static const struct version versions[] = {
	{8, 1464, 40, 8,   56,	176, 0x2d0, 0, 24, 32,	104, 24,
	 0, 0,	  40, 104, 112, 120, 0,	    0, 16, 112, 48,  72},
	{9, 656, 40, 8,	  856, 176, 0x2d0, 0, 24, 32,  104, 24,
	 0, 0,	 40, 104, 112, 120, 0,	   0, 16, 152, 48,  72},
	{10, 672, 40, 8,   856, 176, 0x2d0, 0, 24, 32,	96, 24,
	 0,  0,	  40, 104, 112, 120, 0,	    0, 16, 160, 48, 72},
	{11, 166688, 48, 16,  888, 160, 0,   56,  8,  32,  56, 48,
	 69, 68,     72, 112, 128, 136, 168, 184, 80, 136, 48, 72},
	{12, 459944, 48, 72,  944, 144, 0,   56,  0,  0,   56, 8,
	 70, 0,	     68, 112, 128, 136, 176, 192, 72, 136, 40, 56},
	{13, 283320, 640, 7344, 7656, 160, 0,	0,   72, 0,   56, 8,
	 70, 0,	     68,  112,	128,  136, 184, 200, 72, 120, 40, 56},
};

static struct image {
	const struct version *v;
	uint8_t runtime[460000], heap[HEAP_END - HEAP];
	uint64_t used; /* of the heap */
	uint64_t interp, state, tasks;
	uint64_t frame[FRAMES], code[FRAMES], name[FRAMES], table[FRAMES];
	uint64_t type[8], task_type;
	unsigned int reads;
} image;

enum { CODE, STR, BYTES, INT, DICT, FRAME, CORO, MODULE };

static uint8_t *bytes_at(uint64_t address, size_t size)
{
	if (address >= RUNTIME && address - RUNTIME <= image.v->size &&
	    size <= image.v->size - (address - RUNTIME))
		return image.runtime + (address - RUNTIME);
	if (address >= HEAP && address < HEAP_END && size <= HEAP_END - address)
		return image.heap + (address - HEAP);
	return NULL;
}

static bool read_image(void *arg, uint64_t address, void *buf, size_t size)
{
	const uint8_t *at = bytes_at(address, size);

	(void)arg;
	image.reads++;
	if (at)
		memcpy(buf, at, size);
	return at != NULL;
}

static void put(uint64_t address, uint64_t value)
{
	memcpy(bytes_at(address, sizeof(value)), &value, sizeof(value));
}

static void put_int(uint64_t address, int32_t value)
{
	memcpy(bytes_at(address, sizeof(value)), &value, sizeof(value));
}

static uint64_t place(size_t size)
{
	uint64_t at = HEAP + 0x100 + image.used;

	image.used += (size + 15) / 16 * 16;
	assert_true(at + size <= HEAP_END);
	return at;
}

static uint64_t make_type(const char *name, uint64_t base)
{
	uint64_t type = place(264), text = place(strlen(name) + 1);

	memcpy(bytes_at(text, strlen(name)), name, strlen(name));
	put(type + 24, text);
	put(type + 256, base);
	return type;
}

static uint64_t make_object(uint64_t type, size_t size)
{
	uint64_t object = place(size);

	put(object, 1);
	put(object + 8, type);
	return object;
}

/* kind: bytes of a character; 0: ASCII. */
static uint64_t make_text(const void *text, size_t n, unsigned int kind)
{
	size_t from = kind ? image.v->wide : image.v->ascii, size = n * (kind ? kind : 1);
	uint64_t object = make_object(image.type[STR], from + size + 4);

	put(object + 16, n);
	put_int(object + 32, (int32_t)((kind ? kind : 1) << 2 | 1 << 5 | (kind ? 0 : 1) << 6));
	memcpy(bytes_at(object + from, size), text, size);
	return object;
}

static uint64_t make_ascii(const char *text)
{
	return make_text(text, strlen(text), 0);
}

static uint64_t make_bytes(const void *data, size_t n)
{
	uint64_t object = make_object(image.type[BYTES], 33 + n);

	put(object + 16, n);
	memcpy(bytes_at(object + 32, n), data, n);
	return object;
}

/* One pair; texts as keys have their own kind since 3.11. */
static uint64_t make_dict(uint64_t key, uint64_t value, bool text)
{
	uint64_t object = make_object(image.type[DICT], 48), keys = place(0x80), at;

	put(object + 16, 1);
	put(object + 32, keys);
	if (image.v->minor >= 11) {
		bytes_at(keys + 8, 1)[0] = bytes_at(keys + 9, 1)[0] = 3;
		bytes_at(keys + 10, 1)[0] = text;
		put(keys + 24, 1);
		at = keys + 32 + 8 + (text ? 0 : 8);
	} else {
		put(keys + 8, 8);
		put(keys + 32, 1);
		at = keys + 40 + 8 + 8;
	}
	put(at, key);
	put(at + 8, value);
	return object;
}

/* Each function is at its second instruction (or 6 bytes in), two lines below its first. */
static uint64_t make_table(void)
{
	static const uint8_t lnotab[] = {4, 2, 8, 1}, linetable[] = {4, 0, 8, 2, 8, 1},
			     locations[] = {0x80 | 13 << 3 | 1, 0, 0x80 | 13 << 3 | 3, 4,
					    0x80 | 13 << 3,	2};

	if (image.v->minor >= 11)
		return make_bytes(locations, sizeof(locations));
	return image.v->minor == 10 ? make_bytes(linetable, sizeof(linetable))
				    : make_bytes(lnotab, sizeof(lnotab));
}

static uint64_t make_code(const char *name, uint64_t file, int first, size_t i)
{
	const struct version *v = image.v;
	uint64_t code = make_object(image.type[CODE], 256);

	image.name[i] = make_ascii(name);
	image.table[i] = make_table();
	put(code + v->file, file);
	put(code + v->name, image.name[i]);
	put(code + v->table, image.table[i]);
	put_int(code + v->first, first);
	if (v->bytes)
		put(code + 16, 16);
	return code;
}

static uint64_t instr_of(uint64_t code)
{
	if (image.v->minor >= 11)
		return code + image.v->bytes + 6;
	return image.v->minor == 10 ? 3 : 6;
}

/* Frame 2 is that of a coroutine, the first function of a run; 3 is the loop's. */
static void make_frames(uint64_t coro)
{
	const struct version *v = image.v;

	for (size_t i = 0; i < FRAMES; i++) {
		bool own = i == 2 && v->minor >= 11;
		uint64_t frame = own ? coro + v->gen_frame : make_object(image.type[FRAME], 112);
		image.frame[i] = frame;
		if (v->minor >= 11)
			memset(bytes_at(frame, 80), 0, 80);
		put(frame + v->code, image.code[i]);
		if (v->minor >= 11)
			put(frame + v->instr, instr_of(image.code[i]));
		else
			put_int(frame + v->instr, (int32_t)instr_of(image.code[i]));
		if (v->owner)
			bytes_at(frame + v->owner, 1)[0] = own;
		if (v->entry)
			bytes_at(frame + v->entry, 1)[0] = i >= 2;
	}
	for (size_t i = 0; i + 1 < FRAMES; i++)
		put(image.frame[i] + v->previous, image.frame[i + 1]);
	if (v->minor >= 12) { /* the interpreter's own frames, on the C stack */
		for (size_t i = 2; i < FRAMES; i++) {
			uint64_t shim = place(80);
			bytes_at(shim + v->owner, 1)[0] = 3;
			put(shim + v->previous, i + 1 < FRAMES ? image.frame[i + 1] : 0);
			put(image.frame[i] + v->previous, shim);
		}
	}
	if (v->minor < 11)
		put(coro + v->gen_frame, image.frame[2]);
}

/* struct _Py_DebugOffsets of 3.13, in words. */
static void put_debug_offsets(const struct version *v)
{
	static const uint64_t words[][2] = {
		{1, 3u << 24 | 13u << 16},
		{5, 632},
		{9, 7344},
		{11, 7656},
		{14, 16},
		{15, 7752},
		{17, 7768},
		{18, 7760},
		{21, 8},
		{22, 16},
		{23, 72},
		{25, 160},
		{29, 8},
		{31, 56},
		{33, 70},
		{35, 112},
		{37, 128},
		{38, 136},
		{39, 68},
		{43, 200},
		{45, 8},
		{47, 24},
		{57, 32},
		{66, 32},
		{70, 40},
	};

	memcpy(bytes_at(RUNTIME, 8), "xdebugpy", 8);
	put(RUNTIME + 24, v->size);
	for (size_t i = 0; i < LSC_ARRAY_LEN(words); i++)
		put(RUNTIME + words[i][0] * 8, words[i][1]);
}

static void make_task(uint64_t coro, uint64_t name)
{
	uint64_t task = make_object(image.task_type, 200);

	put(task + image.v->coro, coro);
	put(task + image.v->coro + 8, name);
	image.tasks = make_dict(make_object(image.type[MODULE], 16), task, false);
	uint64_t module = make_object(image.type[MODULE], 32);
	put(module + 16, make_dict(make_ascii("_current_tasks"), image.tasks, true));
	put(image.interp + image.v->modules, make_dict(make_ascii("_asyncio"), module, true));
}

static struct pyview build(const struct version *v)
{
	static const char *const names[] = {
		[CODE] = "code", [STR] = "str",	    [BYTES] = "bytes",	  [INT] = "int",
		[DICT] = "dict", [FRAME] = "frame", [CORO] = "coroutine", [MODULE] = "module"};
	static const uint16_t wide[] = {0xe4, 0x65e5, 0xd800, 'x'};
	uint64_t thread, task_base;

	memset(&image, 0, sizeof(image));
	image.v = v;
	for (size_t i = 0; i < LSC_ARRAY_LEN(names); i++)
		image.type[i] = make_type(names[i], 0);
	task_base = make_type("_asyncio.Task", 0);
	image.task_type = make_type("MyTask", task_base);
	image.interp = v->minor >= 12 ? RUNTIME + 1000 : place(1000);
	image.state = place(200);
	if (v->minor == 13)
		put_debug_offsets(v);
	put(RUNTIME + v->main, image.interp);
	put(image.interp + v->threads, image.state);
	put(image.state + 16, image.interp);
	thread = place(0x300);
	put(image.state + v->id, v->hop ? thread : TID);
	put(thread + 0x2d0, TID);

	uint64_t file = make_ascii("/srv/app.py");
	const char *functions[FRAMES] = {"settle", "Bill.pay", "handle", "run"};
	for (size_t i = 0; i < FRAMES; i++)
		image.code[i] = make_code(functions[i], file, 10 * ((int)i + 1), i);
	uint64_t coro = make_object(image.type[CORO], 200);
	make_frames(coro);
	if (v->cframe) {
		uint64_t cframe = place(32);
		put(image.state + v->cframe, cframe);
		put(cframe + v->frame, image.frame[0]);
	} else {
		put(image.state + v->frame, image.frame[0]);
	}
	make_task(coro, make_text(wide, LSC_ARRAY_LEN(wide), 2));
	struct pyview view = {.py = {.address = RUNTIME,
				     .size = v->size,
				     .version = v->minor > 10 ? 3u << 24 | v->minor << 16 : 0,
				     .read = read_image}};
	pyview_check(&view);
	return view;
}

static struct answer answer;
static uint8_t packet[MESSAGE_MAX];
static struct message_result result;
static struct inspector_frame frames[INSPECTOR_FRAMES_MAX];
static size_t packet_size;

static void add_native(const char *name, unsigned int flags)
{
	struct message_frame *f = answer_frame(&answer);

	f->function = answer_text(&answer, name);
	f->flags = flags;
}

/* Native frames as they are around `runs` runs of the evaluator, merged; the collector's check. */
static void merge(struct pyview *view, int runs)
{
	answer_init(&answer, 1);
	add_native("clock_nanosleep", 0);
	for (int i = 0; i < runs; i++) {
		add_native("call_function", MESSAGE_FRAME_INLINED);
		add_native(i ? "_PyEval_EvalFrameDefault.cold" : "_PyEval_EvalFrameDefault", 0);
		add_native("gen_send_ex", 0);
	}
	add_native("main", 0);
	pystack_merge_view(view, &(struct message_job){.python = TID}, NULL, &answer);
	packet_size = answer_write(&answer, packet);
	assert_int_equal(message_result_read(packet, packet_size, &result, frames), 0);
}

static const char *task_text(uint32_t offset)
{
	return message_text(packet, packet_size, &result, offset);
}

static int runs_of(const struct version *v)
{
	return v->minor < 11 ? FRAMES : 2;
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
		assert_int_equal(result.python, MESSAGE_WHY_NONE);
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
		assert_int_equal(result.python, MESSAGE_WHY_NONE);
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

static void frames_that_do_not_fit_are_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		struct pyview view = build(&versions[i]);
		for (int runs = 0; runs < FRAMES + 2; runs++) {
			merge(&view, runs);
			if (runs == runs_of(&versions[i]))
				continue;
			assert_int_equal(result.python, MESSAGE_WHY_NO_FIT);
			assert_int_equal(result.nframes, 2 + runs * 3);
			assert_int_equal(result.task.address, 0);
			for (size_t k = 0; k < result.nframes; k++)
				assert_false(frames[k].python);
		}
	}
}

static void a_native_stack_that_ends_early_is_gone_on_with(void **state)
{
	(void)state;
	struct pyview view = build(&versions[4]);

	answer_init(&answer, 1);
	add_native("clock_nanosleep", 0);
	answer.head.why = MESSAGE_WHY_NO_CFI;
	pystack_merge_view(&view, &(struct message_job){.python = TID}, NULL, &answer);
	assert_int_equal(answer.head.python, MESSAGE_WHY_NONE);
	assert_int_equal(answer.head.nframes, 1 + FRAMES);
}

/* As the kernel side takes them: the chain, with the interpreter's own frames. */
static uint32_t see(struct inspector_pyframe *ret)
{
	const struct version *v = image.v;
	uint32_t n = 0;

	for (uint64_t at = image.frame[0]; at; n++) {
		struct inspector_pyframe *f = &ret[n];
		int32_t index;
		*f = (struct inspector_pyframe){.address = at};
		memcpy(&f->code, bytes_at(at + v->code, 8), 8);
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
			}
		memcpy(&at, bytes_at(at + v->previous, 8), 8);
	}
	return n;
}

static void merge_seen(struct pyview *view, const struct inspector_pyframe *seen, uint32_t n,
		       bool cut, int runs)
{
	struct message_job job = {.nframes = n, .cut = cut};

	answer_init(&answer, 1);
	for (int i = 0; i < runs; i++)
		add_native("_PyEval_EvalFrameDefault", 0);
	pystack_merge_view(view, &job, seen, &answer);
	packet_size = answer_write(&answer, packet);
	assert_int_equal(message_result_read(packet, packet_size, &result, frames), 0);
}

static void frames_that_were_seen_before_have_their_names_now(void **state)
{
	(void)state;
	struct inspector_pyframe seen[INSPECTOR_PYFRAMES_MAX];

	for (size_t i = 0; i < LSC_ARRAY_LEN(versions); i++) {
		const struct version *v = &versions[i];
		struct pyview view = build(v);
		uint32_t n = see(seen);
		for (size_t k = 0; k < FRAMES; k++) /* the thread has gone on */
			memset(bytes_at(image.frame[k] + v->previous, 8), 0xff, 8);
		merge_seen(&view, seen, n, false, runs_of(v));
		assert_int_equal(result.python, MESSAGE_WHY_NONE);
		assert_int_equal(result.nframes, FRAMES);
		assert_string_equal(frames[1].function, "Bill.pay");
		assert_int_equal(frames[1].line, 22);
		assert_string_equal(task_text(result.task.function), "handle");
		merge_seen(&view, seen, n - 1, true, runs_of(v) + 1); /* more than was taken */
		assert_int_equal(result.python, MESSAGE_WHY_NONE);
		assert_true(result.flags & MESSAGE_RESULT_TRUNCATED);
		put(image.code[1] + v->name, image.name[0]); /* other code lies there now */
		merge_seen(&view, seen, n, false, runs_of(v));
		assert_int_equal(result.python, MESSAGE_WHY_CHANGED);
		assert_int_equal(result.nframes, runs_of(v));
		put(image.code[1] + 8, image.type[STR]);
		merge_seen(&view, seen, n, false, runs_of(v));
		assert_int_equal(result.python, MESSAGE_WHY_LAYOUT);
	}
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
			bad.python = MESSAGE_WHY_COUNT;
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
		answer_init(&answer, 1);
		pystack_merge_view(&view, &(struct message_job){.python = TID + 1}, NULL, &answer);
		assert_int_equal(answer.head.python, MESSAGE_WHY_NO_STATE);
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
				assert_int_equal(result.python, MESSAGE_WHY_LAYOUT);
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
		assert_int_equal(result.python, MESSAGE_WHY_LAYOUT);
		view = build(v);
		put(image.frame[3] + v->code, HEAP_END - 64); /* cut off */
		merge(&view, runs_of(v));
		assert_int_equal(result.python, MESSAGE_WHY_LAYOUT);
		view = build(v);
		if (v->minor >= 11)
			put(image.frame[0] + v->instr, image.code[0] + v->bytes + 32);
		else
			put_int(image.frame[0] + v->instr, -2);
		merge(&view, runs_of(v));
		assert_int_equal(result.python, MESSAGE_WHY_LAYOUT);
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
		assert_int_equal(result.python, MESSAGE_WHY_NONE);
		assert_in_range(strlen(frames[1].function), 0, MESSAGE_TEXT_MAX - 1);
		put_int(image.name[0] + 32, 4 << 2 | 1 << 5); /* more than there is */
		put(image.name[0] + 8, image.type[STR]);
		merge(&view, runs_of(v));
		put_int(image.name[0] + 32, 1 << 2); /* not compact */
		merge(&view, runs_of(v));
		assert_int_equal(result.python, MESSAGE_WHY_NONE);
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
		for (uint64_t at = RUNTIME; v->minor == 13 && at < RUNTIME + 71 * 8; at += 8) {
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
		assert_int_not_equal(result.python, MESSAGE_WHY_NONE);
	}
}

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
		cmocka_unit_test(each_versions_frames_stand_where_the_evaluator_ran),
		cmocka_unit_test(the_task_is_the_one_whose_coroutine_runs),
		cmocka_unit_test(a_task_without_a_name_has_its_number),
		cmocka_unit_test(frames_that_do_not_fit_are_none),
		cmocka_unit_test(a_native_stack_that_ends_early_is_gone_on_with),
		cmocka_unit_test(frames_that_were_seen_before_have_their_names_now),
		cmocka_unit_test(the_collector_takes_no_other_answer),
		cmocka_unit_test(another_thread_has_no_frames),
		cmocka_unit_test(a_chain_without_an_end_is_no_chain),
		cmocka_unit_test(only_code_is_code),
		cmocka_unit_test(giant_names_are_cut_or_unknown),
		cmocka_unit_test(no_word_of_the_target_does_harm),
		cmocka_unit_test(lines_are_those_of_the_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
