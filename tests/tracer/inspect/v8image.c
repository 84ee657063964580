/* SPDX-License-Identifier: MIT */
/* Memory as each version of V8 lays it out: by hand from src/objects, no code of the inspector's.
 */
#include "v8image.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define ONE_BYTE 8 /* of a string's type */
#define CONS	 1
#define EXTERNAL 2
#define SLICED	 3
#define THIN	 5

const struct v8_version v8_versions[V8_VERSIONS] = {
	{18, 179, 195, 170, 250, 256, 257, 2065, 207, 216, -1, 24, 16, 48, 3},
	{20, 175, 191, 167, 255, 261, 262, 2066, 205, 214, 27, 24, 16, 48, 3},
	{22, 174, 205, 167, 264, 272, 274, 2066, 190, 199, 29, 32, 16, 48, 3},
	{24, 205, 186, 167, 272, 280, 282, 2065, 220, 229, 31, 32, 24, 56, 5},
};

static const struct v8_code codes[V8_VERSIONS] = {
	{0, 240, 128, 16, 40, 48, 0, 13, 2, 6, 11, false, false, 3, 18, 19, 22, 0, 3},
	{252, 245, 16, 16, 56, 48, 12, 13, 2, 6, 11, false, false, 2, 24, 25, 29, 35, 1},
	{210, 206, 32, 8, 52, 48, 11, 12, 2, 6, 11, false, false, 12, 1, 2, 33, 39, 1},
	{192, 187, 32, 8, 56, 52, 11, 12, 3, 7, 12, true, true, 14, 1, 2, 38, 44, 2},
};

struct v8_image v8_image;

static uint8_t *bytes_at(uint64_t address, size_t size)
{
	if (address >= V8_HEAP && size <= V8_HEAP_BYTES &&
	    address - V8_HEAP <= V8_HEAP_BYTES - size)
		return v8_image.heap + (address - V8_HEAP);
	if (address >= V8_STACK && size <= sizeof(v8_image.stack) &&
	    address - V8_STACK <= sizeof(v8_image.stack) - size)
		return v8_image.stack + (address - V8_STACK);
	return NULL;
}

static bool read_image(void *arg, uint64_t address, void *buf, size_t size)
{
	const uint8_t *at = bytes_at(address, size);

	(void)arg;
	v8_image.reads++;
	if (at)
		memcpy(buf, at, size);
	return at != NULL;
}

static void put_at(uint64_t address, uint64_t value, size_t size)
{
	memcpy(bytes_at(address, size), &value, size);
}

void v8_put(uint64_t object, int32_t offset, uint64_t value)
{
	put_at(object - 1 + (uint64_t)offset, value, sizeof(value));
}

uint64_t v8_get(uint64_t object, int32_t offset)
{
	uint64_t value;

	memcpy(&value, bytes_at(object - 1 + (uint64_t)offset, sizeof(value)), sizeof(value));
	return value;
}

static uint64_t integer(int32_t n)
{
	return (uint64_t)(uint32_t)n << 32;
}

static uint64_t allocate(size_t size)
{
	uint64_t at = V8_HEAP + 0x1000 + v8_image.used;

	v8_image.used += (size + 7) / 8 * 8;
	return at + 1;
}

static uint64_t map_of(int32_t type)
{
	if (!v8_image.maps[type]) {
		v8_image.maps[type] = allocate(80);
		put_at(v8_image.maps[type] - 1 + 12, (uint64_t)type, 2);
		v8_put(v8_image.maps[type], 0,
		       type == v8_image.v->map ? v8_image.maps[type] : map_of(v8_image.v->map));
	}
	return v8_image.maps[type];
}

uint64_t v8_make(int32_t type, size_t size)
{
	uint64_t map = map_of(type), object = allocate(size);

	v8_put(object, 0, map);
	return object;
}

static uint64_t make_chars(int32_t type, const void *chars, uint32_t length, size_t width)
{
	uint64_t s = v8_make(type, 16 + length * width);

	put_at(s - 1 + 12, length, 4);
	if (length)
		memcpy(bytes_at(s - 1 + 16, length * width), chars, length * width);
	return s;
}

uint64_t v8_make_text(const char *text)
{
	return make_chars(32 | ONE_BYTE, text, (uint32_t)strlen(text), 1);
}

uint64_t v8_make_wide(const uint16_t *text, uint32_t length)
{
	return make_chars(32, text, length, 2);
}

uint64_t v8_make_string(int32_t form, uint64_t first, uint64_t second, uint32_t length)
{
	uint64_t s = v8_make(32 | ONE_BYTE | form, 32);

	put_at(s - 1 + 12, length, 4);
	v8_put(s, 16, first);
	v8_put(s, 24, second);
	return s;
}

/* ---- what debuggers are told ---- */

static void tell(struct v8layout *l, const char *name, int32_t value)
{
	char whole[128];

	snprintf(whole, sizeof(whole), "v8dbg_%s", name);
	v8layout_set(l, whole, value);
}

void v8_tell_constants(struct v8layout *l, const struct v8_version *v)
{
	const struct {
		const char *name;
		int32_t value;
	} all[] = {
		{"SmiTag", 0},
		{"SmiTagMask", 1},
		{"SmiValueShift", 1},
		{"SmiShiftSize", 31},
		{"HeapObjectTag", 1},
		{"TaggedSize", 8},
		{"FirstNonstringType", 128},
		{"StringRepresentationMask", 7},
		{"StringEncodingMask", 8},
		{"OneByteStringTag", ONE_BYTE},
		{"SeqStringTag", 0},
		{"ConsStringTag", CONS},
		{"ExternalStringTag", EXTERNAL},
		{"SlicedStringTag", SLICED},
		{"ThinStringTag", THIN},
		{"FirstContextType", v->first_context},
		{"LastContextType", v->last_context},
		{"off_fp_context", -8},
		{"off_fp_function", -16},
		{"off_fp_bytecode_array", -32},
		{"frametype_IrregexpFrame", v->irregexp},
		{"frametype_ExitFrame", 3},
		{"type_JSFunction__JS_FUNCTION_TYPE", v->function},
		{"type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", v->shared},
		{"type_SharedFunctionInfoWrapper__SHARED_FUNCTION_INFO_WRAPPER_TYPE", 195},
		{"type_Script__SCRIPT_TYPE", v->script},
		{"type_ScopeInfo__SCOPE_INFO_TYPE", v->scope_info},
		{"type_FixedArray__FIXED_ARRAY_TYPE", v->fixed_array},
		{"type_BytecodeArray__BYTECODE_ARRAY_TYPE", v->bytecode},
		{"type_Oddball__ODDBALL_TYPE", 131},
		{"class_HeapObject__map__Map", 0},
		{"class_Map__instance_type__uint16_t", 12},
		{"class_JSFunction__shared__SharedFunctionInfo", v->function_shared},
		{v->node < 24
			 ? "class_SharedFunctionInfo__name_or_scope_info__Object"
			 : "class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_",
		 v->name},
		{v->node < 22 ? "class_SharedFunctionInfo__script_or_debug_info__HeapObject"
			      : "class_SharedFunctionInfo__script__Tagged_HeapObject_",
		 v->name + 16},
		{"class_SharedFunctionInfo__raw_function_token_offset__int16_t", v->flags - 4},
		{"class_SharedFunctionInfo__flags__int", v->flags},
		{"class_Script__name__Object", 16},
		{"class_Script__source__Object", 8},
		{"class_Script__line_ends__Object", 56},
		{"class_String__length__int32_t", 12},
		{"class_SeqOneByteString__chars__char", 16},
		{"class_SeqTwoByteString__chars__char", 16},
		{"class_ConsString__first__String", 16},
		{"class_ConsString__second__String", 24},
		{"class_SlicedString__parent__String", 16},
		{"class_SlicedString__offset__SMI", 24},
		{"class_ThinString__actual__String", 16},
		{"class_ExternalString__resource__Object", 16},
		{"class_FixedArrayBase__length__SMI", 8},
		{"class_FixedArray__data__uintptr_t", 16},
		{"scopeinfo_idx_ncontextlocals", 2},
		{"scopeinfo_idx_first_vars", v->first_vars},
	};

	v8layout_init(l);
	for (size_t i = 0; i < LSC_ARRAY_LEN(all); i++)
		tell(l, all[i].name, all[i].value);
}

/* ---- functions ---- */

/* A ScopeInfo with so many locals; those of more than 74 lie in a table. */
static uint64_t make_scope(uint64_t name, int32_t start, int32_t locals)
{
	bool ahead = v8_image.v->first_vars == 5;
	int32_t names = locals < 75 ? locals : 1, at = 8 * (1 + v8_image.v->first_vars);
	uint64_t s = v8_make(v8_image.v->scope_info, 8 * (size_t)(1 + 5 + names + locals + 8));

	v8_put(s, 24, integer(locals));
	if (ahead) {
		v8_put(s, 32, integer(start));
		v8_put(s, 40, integer(start + 9));
	}
	for (int32_t i = 0; i < names; i++, at += 8)
		v8_put(s, at, v8_make_text("local"));
	at += 8 * locals;
	v8_put(s, at, name);
	v8_put(s, at + 8, integer(-1));
	v8_put(s, at + 16, v8_image.undefined);
	if (!ahead) {
		v8_put(s, at + 24, integer(start));
		v8_put(s, at + 32, integer(start + 9));
	}
	return s;
}

static uint64_t make_script(uint64_t name, uint64_t source, uint64_t ends)
{
	uint64_t s = v8_make(v8_image.v->script, 104);

	v8_put(s, 8, source);
	v8_put(s, 16, name);
	v8_put(s, 56, ends);
	return s;
}

/* Lines that end at these positions. */
static uint64_t make_ends(const int32_t *ends, int32_t n)
{
	uint64_t a = v8_make(v8_image.v->fixed_array, 16 + 8 * (size_t)n);

	v8_put(a, 8, integer(n));
	for (int32_t i = 0; i < n; i++)
		v8_put(a, 16 + 8 * i, integer(ends[i]));
	return a;
}

static void make_function(struct v8_function *f, uint64_t scope, uint64_t script, uint16_t token)
{
	const struct v8_version *v = v8_image.v;

	f->scope = scope;
	f->bytecode = v8_make(v->bytecode, 64);
	f->shared = v8_make(v->shared, 80);
	v8_put(f->shared, 8, f->bytecode);
	v8_put(f->shared, v->name, scope);
	v8_put(f->shared, v->name + 16, script);
	put_at(f->shared - 1 + (uint64_t)v->flags - 4, token, 2);
	f->object = v8_make(v->function, 64);
	v8_put(f->object, v->function_shared, f->shared);
}

/* Texts of the same two lines, then the third one with the functions, in all forms. */
static void make_functions(void)
{
	static const int32_t ends[] = {3, 9};
	static const uint16_t wide[] = {'a', '\r', '\n', 'b', 0x2028, 'f', 0xe4, 0xd83d, 0xde00};
	static const uint16_t high[] = {'x', 0x65e5, 0xd83d, 0xde00, 0xd800};
	struct v8_function *f = v8_image.functions;
	uint64_t source = v8_make_text("one\ntwo..\nfunction three() {}\n");
	uint64_t cons = v8_make_string(CONS, v8_make_text("one\ntwo"),
				       v8_make_text("..\nfunction three() {}\n"), 30);
	uint64_t sliced = v8_make_string(
		SLICED, v8_make_text("####one\ntwo..\nfunction three() {}\n"), integer(4), 30);
	uint64_t chars = v8_make_text("one\ntwo..\nfunction three() {}\n") - 1 + 16;
	uint64_t external = v8_make_string(EXTERNAL, 8, chars, 30);
	uint64_t thin = v8_make_string(THIN, source, 0, 30), none = v8_image.undefined;

	f[0] = (struct v8_function){.name = "plain", .file = "/a/plain.js", .line = 3};
	make_function(&f[0], make_scope(v8_make_text("plain"), 24, 0),
		      make_script(v8_make_text("/a/plain.js"), none, make_ends(ends, 2)), 14);
	f[1] = (struct v8_function){
		.name = "x\u65e5\U0001f600\ufffd", .file = "/b/cons.js", .line = 3};
	make_function(
		&f[1], make_scope(v8_make_wide(high, 5), 24, 1),
		make_script(v8_make_string(CONS, v8_make_text("/b/"), v8_make_text("cons.js"), 10),
			    cons, none),
		14);
	f[2] = (struct v8_function){.name = "many", .file = "ile:///c.mjs", .line = 2};
	make_function(
		&f[2],
		make_scope(v8_make_string(SLICED, v8_make_text("__many__"), integer(2), 4), 4, 90),
		make_script(v8_make_string(SLICED, v8_make_text("file:///c.mjs"), integer(1), 12),
			    sliced, none),
		UINT16_MAX);
	f[3] = (struct v8_function){.name = "(anonymous)", .file = "node:fs", .line = 3};
	make_function(&f[3], make_scope(v8_make_text(""), 10, 74),
		      make_script(v8_make_text("node:fs"), external, none), 0);
	f[4] = (struct v8_function){.name = "(anonymous)", .file = "/d", .line = 1};
	make_function(&f[4], make_scope(0, 3, 2),
		      make_script(v8_make_string(THIN, v8_make_text("/d"), 0, 2), thin, none), 3);
	f[5] = (struct v8_function){.name = "wide", .file = "/e", .line = 3};
	make_function(&f[5], make_scope(v8_make_text("wide"), 5, 75),
		      make_script(v8_make_text("/e"), v8_make_wide(wide, 9), integer(0)), 0);
}

/* ---- optimized code ---- */

struct bytes {
	uint8_t at[2048];
	size_t n;
};

static void add_number(struct bytes *b, uint32_t n)
{
	for (; n > 127; n >>= 7)
		b->at[b->n++] = (uint8_t)(n | 128);
	b->at[b->n++] = (uint8_t)n;
}

static void add_signed(struct bytes *b, int32_t n)
{
	add_number(b, n < 0 ? (uint32_t)-n << 1 | 1 : (uint32_t)n << 1);
}

static void add_operation(struct bytes *b, const struct v8_code *c, int32_t operation)
{
	if (c->last)
		b->at[b->n++] = (uint8_t)operation;
	else
		add_signed(b, operation);
}

/* What begins a frame of the function that a literal is. */
static void add_head(struct bytes *b, const struct v8_code *c, int32_t place, int32_t literal)
{
	add_operation(b, c, c->frame);
	add_signed(b, place); /* in its bytecode */
	add_signed(b, literal);
	for (int32_t i = 0; i < c->more; i++)
		add_signed(b, -i);
}

/* A frame with two values in it. */
static void add_frame(struct bytes *b, const struct v8_code *c, int32_t place, int32_t literal)
{
	add_head(b, c, place, literal);
	for (int32_t i = 0; i < 2; i++) {
		add_operation(b, c, c->value);
		add_signed(b, 300 + i);
	}
}

static void add_begin(struct bytes *b, const struct v8_code *c, size_t back, size_t frames)
{
	add_operation(b, c, c->begin);
	if (c->last)
		add_number(b, (uint32_t)back);
	add_signed(b, (int32_t)frames + 1);
	add_signed(b, (int32_t)frames);
	if (!c->last)
		add_signed(b, 0);
}

/* So many operations that stand at the same position in the first translation. */
static void add_repeat(struct bytes *b, const struct v8_code *c, uint32_t times, bool in_byte)
{
	if (in_byte) {
		b->at[b->n++] = (uint8_t)((uint32_t)c->last + 1 + times);
	} else {
		add_operation(b, c, c->last);
		add_number(b, times);
	}
}

/* Two translations, each of all functions; the second one may repeat operations of the first:
 * those of its outermost frame, and, where one function is inlined, its very last ones. Gives its
 * place. */
static size_t translate(struct bytes *b, const struct v8_code *c, size_t n)
{
	bool own = n > 1;

	add_begin(b, c, 0, n + 1);
	for (size_t i = 0; i <= n; i++)
		add_frame(b, c, 1234, (int32_t)i + 1);
	size_t second = b->n;
	add_begin(b, c, second, n + 1 + own);
	if (c->last)
		add_repeat(b, c, 3, n % 2);
	else
		add_frame(b, c, 1234, 1);
	for (size_t i = 0; i < n; i++) {
		if (c->last && n == 1) {
			add_head(b, c, 4321, (int32_t)i + 2);
			add_repeat(b, c, 2, true);
		} else {
			add_frame(b, c, 4321, (int32_t)i + 2);
		}
	}
	for (int32_t i = 0; own && i < 4; i++) /* what it would go on with, in the same function */
		if (i)
			add_signed(b, (int32_t)n + 1);
		else
			add_operation(b, c, c->own);
	return second;
}

static uint64_t make_array(int32_t n)
{
	uint64_t a = v8_make(v8_image.v->fixed_array, 16 + 8 * (size_t)n);

	v8_put(a, 8, integer(n));
	return a;
}

static uint64_t make_data(const struct v8_code *c, size_t outer, const size_t *inlined, size_t n)
{
	uint64_t data = make_array(c->first + 3 * 3), literals = make_array((int32_t)n + 2),
		 shared = v8_image.functions[outer].shared, owner = shared;
	struct bytes bytes = {.n = 0};
	size_t second = translate(&bytes, c, n);
	uint64_t translation = make_chars(v8_image.v->fixed_array + 1, "", 0, 1);

	allocate(bytes.n);
	v8_put(translation, 8, integer((int32_t)bytes.n));
	memcpy(bytes_at(translation - 1 + 16, bytes.n), bytes.at, bytes.n);
	v8_put(literals, 16, v8_image.undefined);
	v8_put(literals, 24, shared);
	for (size_t i = 0; i < n; i++)
		v8_put(literals, 32 + 8 * (int32_t)i, v8_image.functions[inlined[i]].shared);
	if (c->wrapped) {
		owner = v8_make(195, 16);
		v8_put(owner, 8, shared);
	}
	v8_image.data = data;
	v8_image.literals = literals;
	v8_put(data, 16, translation);
	v8_put(data, 24, integer((int32_t)n));
	v8_put(data, 16 + 8 * c->literals, literals);
	v8_put(data, 16 + 8 * c->shared, owner);
	for (int32_t i = 0; i < 3; i++)
		v8_put(data, 16 + 8 * (c->first + 3 * i + 1),
		       integer(i == 1 ? (int32_t)second : 0));
	return data;
}

#define INSTRUCTIONS 0x2300 /* bytes of them */
#define PLACE	     0x2210 /* in them, where the second call returns to */

/* The places where it calls, the number of the translation at each, less one, and where it
 * would go on from there. */
static void put_places(const struct v8_code *c, uint64_t at, bool maglev)
{
	static const uint16_t places[][3] = {{0x40, 1, 0x2280 + 1}, {PLACE, 2, 0}, {0x2240, 0, 0}};
	uint32_t registers = maglev, head[] = {9, 3, 1 | registers << 1 | 2 << 4 | 1 << 7, 0, 0};
	size_t skip = c->slots ? 0 : 1, words = maglev ? 4 : c->slots ? 3 : 2;

	memcpy(bytes_at(at, words * 4), head + skip, words * 4);
	at += words * 4;
	for (size_t i = 0; i < LSC_ARRAY_LEN(places); i++) {
		put_at(at, places[i][0], 2);
		put_at(at + 2, places[i][1], 1);
		put_at(at + 3, places[i][2], 2);
		at += 5 +
		      2 * (uint64_t)maglev; /* registers that are kept, and which have objects */
	}
}

/* Code of that kind. Where its instructions begin. */
static uint64_t make_code(int32_t kind, uint64_t data, uint32_t size)
{
	const struct v8_code *c = &codes[v8_image.v - v8_versions];
	uint64_t code = v8_make(c->code_type, c->stream_type ? 96 : (size_t)c->start);
	uint64_t stream = code;

	if (c->stream_type) {
		stream = v8_make(c->stream_type, (size_t)c->start);
		v8_put(stream, 8, code);
	}
	v8_put(code, c->data, data);
	put_at(code - 1 + (uint64_t)c->size, size, 4);
	put_at(code - 1 + (uint64_t)c->flags, 0x80000130u | (uint32_t)kind, 4);
	allocate(size + 64);
	return stream - 1 + (uint64_t)c->start;
}

bool v8_inline(struct v8walk *walk, size_t outer, const size_t *inlined, size_t n, bool maglev)
{
	const struct v8_code *c = &codes[v8_image.v - v8_versions];
	struct v8place *p = &walk->places[outer];
	int32_t kind = maglev ? c->maglev : c->turbofan;

	if (!kind)
		return false;
	uint64_t data = make_data(c, outer, inlined, n);
	uint64_t start = make_code(kind, data, INSTRUCTIONS);
	put_places(c, start + INSTRUCTIONS, maglev);
	p->pc = start + PLACE;
	return true;
}

struct v8view v8_build(const struct v8_version *v)
{
	struct v8view view = {.present = true, .read = read_image};

	memset(&v8_image, 0, sizeof(v8_image));
	v8_image.v = v;
	v8_tell_constants(&view.layout, v);
	v8_image.undefined = v8_make(131, 48);
	v8_image.context = v8_make(v->first_context + 3, 32);
	make_functions();
	v8_image.plain = make_code(codes[v - v8_versions].turbofan - 2, 0, 64);
	return view;
}

void v8_walk(struct v8walk *ret, bool asleep, bool bytecode)
{
	*ret = (struct v8walk){.n = V8_FUNCTIONS, .asleep = asleep};
	for (size_t i = 0; i < V8_FUNCTIONS; i++) {
		uint64_t fp = V8_STACK + i * V8_FRAME + V8_FRAME / 2;
		struct v8place p = {.code = true,
				    .anonymous = true,
				    .read = true,
				    .calls = true,
				    .pc = v8_image.plain + 1 + i,
				    .fp = fp,
				    .function = v8_image.functions[i].object,
				    .context = v8_image.context,
				    .bytecode = bytecode ? v8_image.functions[i].bytecode : 8,
				    .caller_fp = fp + V8_FRAME,
				    .caller_pc = 0x1000 + i};
		put_at(fp - 16, p.function, 8);
		put_at(fp - 8, p.context, 8);
		put_at(fp - 32, p.bytecode, 8);
		put_at(fp, p.caller_fp, 8);
		put_at(fp + 8, p.caller_pc, 8);
		ret->places[i] = p;
	}
}
