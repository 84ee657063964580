/* SPDX-License-Identifier: MIT */
/* Memory as each version of CPython lays it out. */
#include "pyimage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

const struct version versions[VERSIONS] = {
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
	{14, 316616, 816, 7344, 7688, 160, 0,	0,   72, 0,   56, 8,
	 74, 0,	     68,  112,	128,  136, 192, 208, 72, 128, 40, 56},
	{15, 346568, 944, 7336, 7592, 184, 0,	0,   72, 0,   56, 8,
	 74, 0,	     68,  112,	128,  136, 192, 208, 72, 128, 40, 56},
};

struct image image;

uint8_t *bytes_at(uint64_t address, size_t size)
{
	if (address >= RUNTIME && address - RUNTIME <= image.v->size &&
	    size <= image.v->size - (address - RUNTIME))
		return image.runtime + (address - RUNTIME);
	if (address >= HEAP && address < HEAP_END && size <= HEAP_END - address)
		return image.heap + (address - HEAP);
	return NULL;
}

bool read_image(void *arg, uint64_t address, void *buf, size_t size)
{
	const uint8_t *at = bytes_at(address, size);

	(void)arg;
	image.reads++;
	if (at)
		memcpy(buf, at, size);
	return at != NULL;
}

void put(uint64_t address, uint64_t value)
{
	memcpy(bytes_at(address, sizeof(value)), &value, sizeof(value));
}

void put_int(uint64_t address, int32_t value)
{
	memcpy(bytes_at(address, sizeof(value)), &value, sizeof(value));
}

uint64_t place(size_t size)
{
	uint64_t at = HEAP + 0x100 + image.used;

	image.used += (size + 15) / 16 * 16;
	assert_true(at + size <= HEAP_END);
	return at;
}

uint64_t make_type(const char *name, uint64_t base)
{
	uint64_t type = place(304), text = place(strlen(name) + 1);

	memcpy(bytes_at(text, strlen(name)), name, strlen(name));
	put(type + 24, text);
	put(type + 256, base);
	return type;
}

uint64_t make_object(uint64_t type, size_t size)
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

uint64_t make_ascii(const char *text)
{
	return make_text(text, strlen(text), 0);
}

uint64_t make_bytes(const void *data, size_t n)
{
	uint64_t object = make_object(image.type[BYTES], 33 + n);

	put(object + 16, n);
	memcpy(bytes_at(object + 32, n), data, n);
	return object;
}

uint64_t make_dict(const struct pair *pairs, size_t n, bool text)
{
	uint64_t object = make_object(image.type[DICT], 48), keys = place(0xc0), at;
	size_t size = image.v->minor >= 11 && text ? 16 : 24;

	put(object + 16, n);
	put(object + 32, keys);
	if (image.v->minor >= 11) {
		bytes_at(keys + 8, 1)[0] = bytes_at(keys + 9, 1)[0] = 3;
		bytes_at(keys + 10, 1)[0] = text;
		put(keys + 24, n);
		at = keys + 32 + 8 + (text ? 0 : 8);
	} else {
		put(keys + 8, 8);
		put(keys + 32, n);
		at = keys + 40 + 8 + 8;
	}
	for (size_t i = 0; i < n; i++) {
		put(at + i * size, pairs[i].key);
		put(at + i * size + 8, pairs[i].value);
	}
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

uint64_t instr_of(uint64_t code)
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
		put(frame + v->code, image.code[i] | (v->minor >= 14)); /* a tag */
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
			uint64_t shim = image.shim[i - 2] = place(80);
			bytes_at(shim + v->owner, 1)[0] = 3;
			put(shim + v->code, image.type[MODULE]);
			put(shim + v->previous, i + 1 < FRAMES ? image.frame[i + 1] : 0);
			put(image.frame[i] + v->previous, shim);
		}
	}
	if (v->minor >= 15) { /* each thread has one more */
		uint64_t base = place(80);
		bytes_at(base + v->owner, 1)[0] = 3;
		put(base + v->code, image.type[MODULE]);
		put(image.shim[1] + v->previous, base);
	}
	if (v->minor < 11)
		put(coro + v->gen_frame, image.frame[2]);
}

/* struct _Py_DebugOffsets, in words, as Debian's builds of 3.14 and 3.15 have them. */
static const uint64_t words_314[][2] = {
	{1, 3u << 24 | 14u << 16},
	{5, 808},
	{9, 7344},
	{12, 7688},
	{15, 16},
	{16, 7784},
	{18, 7800},
	{19, 7792},
	{24, 8},
	{25, 16},
	{26, 72},
	{28, 160},
	{32, 8},
	{34, 56},
	{36, 74},
	{40, 112},
	{42, 128},
	{43, 136},
	{44, 68},
	{48, 208},
	{51, 8},
	{53, 24},
	{67, 32},
	{76, 32},
	{80, 40},
	{85, 72},
};
static const uint64_t words_315[][2] = {
	{1, 3u << 24 | 15u << 16},
	{5, 936},
	{9, 7336},
	{12, 7592},
	{15, 16},
	{16, 7736},
	{18, 7752},
	{19, 7744},
	{24, 8},
	{25, 16},
	{26, 72},
	{31, 184},
	{40, 8},
	{42, 56},
	{44, 74},
	{48, 112},
	{50, 128},
	{51, 136},
	{52, 68},
	{56, 208},
	{59, 8},
	{61, 24},
	{79, 32},
	{88, 32},
	{92, 40},
	{101, 72},
};

static void put_debug_offsets(const struct version *v)
{
	static const uint64_t words_313[][2] = {
		{1, 3u << 24 | 13u << 16},
		{5, 632},
		{9, 7344},
		{11, 7656},
		{14, 16},
		{15, 7752},
		{17, 7768},
		{18, 7760},
		{19, 304},
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
	const uint64_t(*words)[2] = v->minor == 13   ? words_313
				    : v->minor == 14 ? words_314
						     : words_315;
	size_t n = v->minor == 13 ? LSC_ARRAY_LEN(words_313) : LSC_ARRAY_LEN(words_314);
	_Static_assert(sizeof(words_314) == sizeof(words_315), "as many");
	for (size_t i = 0; i < n; i++)
		put(RUNTIME + words[i][0] * 8, words[i][1]);
}

void make_list(uint64_t head, const uint64_t *nodes, size_t n)
{
	uint64_t before = head;

	for (size_t i = 0; i <= n; i++) {
		uint64_t node = i < n ? nodes[i] : head;
		put(before, node);
		put(node + 8, before);
		before = node;
	}
}

void make_task(uint64_t coro, uint64_t name)
{
	uint64_t task = image.task = make_object(image.task_type, 200);

	put(task + image.v->coro, coro);
	put(task + image.v->coro + 8, name);
	if (image.v->minor >= 14) {
		static const uint64_t told[13] = {168,	  136,	 96,  108, 109, 128, 152,
						  225864, 10880, 936, 864, 872, 880};
		image.asyncio = place(sizeof(told));
		memcpy(bytes_at(image.asyncio, sizeof(told)), told, sizeof(told));
		put(image.state + told[11], task);
		make_list(image.interp + told[8], NULL, 0);
		make_list(image.state + told[12], NULL, 0);
		return;
	}
	struct pair current = {make_object(image.type[MODULE], 16), task};
	image.tasks = make_dict(&current, 1, false);
	make_module(&(struct pair){make_ascii("_current_tasks"), image.tasks}, 1);
}

void make_module(const struct pair *pairs, size_t n)
{
	uint64_t module = make_object(image.type[MODULE], 32);

	put(module + 16, make_dict(pairs, n, true));
	put(image.interp + image.v->modules,
	    make_dict(&(struct pair){make_ascii("_asyncio"), module}, 1, true));
}

struct pyview build(const struct version *v)
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
	image.state = place(v->minor >= 14 ? 1200 : 200);
	if (v->minor >= 13)
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
				     .read = read_image},
			      .asyncio = image.asyncio};
	pyview_check(&view);
	return view;
}

void merge_python(struct pyview *v, uint32_t tid, const struct inspector_chain *seen,
		  struct answer *a)
{
	static struct pychain chain;

	pychain_read(v, tid, seen, &chain);
	pystack_merge(&chain, a);
}
