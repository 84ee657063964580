/* SPDX-License-Identifier: MIT */
/*
 * The way from an address to the functions at work there: the code that it lies in, found by its
 * head; the code's table of places where it calls (src/codegen/safepoint-table.h and
 * maglev-safepoint-table.h), each with a number; its data for going back to the interpreter
 * (src/objects/deoptimization-data.h) by that number, and there a translation. None of that is
 * among the constants for debuggers: a row of what follows is for one version, known by the
 * numbers of its types. Each step is checked, and in the end the outermost function must be the
 * frame's.
 */
#include "inspect/v8inline.h"

#include <string.h>

#include "base/cleanup.h"
#include "inspect/v8translation.h"

#define WORD		 8
#define CHUNK		 4096	      /* in which the head of the code is looked for */
#define CODE_MAX	 (256u << 10) /* bytes that are gone through for it */
#define TYPES_MAX	 256 /* words whose type is looked at, until it is known how one begins */
#define CODE_BYTES	 64  /* of a Code object, at most */
#define TABLE_MAX	 (64u << 10)
#define DATA_TRANSLATION 0 /* words of the data */
#define DATA_INLINED	 1 /* how many functions are, in all of the code */
#define ENTRY_WORDS	 3 /* of the data for each place */
#define KIND_MASK	 15
#define LENGTH_MAX	 (1 << 20)

struct build {
	/* types of objects, by which it is known */
	int32_t shared, script, scope_info;
	int32_t code_type;
	int32_t stream_type; /* of what holds the instructions; 0: the Code object itself */
	/* in that object */
	int32_t stream_code, stream_start;
	/* in a Code object */
	int32_t code_data, code_size, code_flags;
	int32_t baseline; /* the kind of code that is not optimized; Maglev's and Turbofan's follow
			   */
	/* words of the data */
	int32_t data_literals, data_shared, data_first;
	int32_t wrapper_shared; /* in the object that data_shared is; 0: it is the function */
	/* the table of places: where its length lies, and its first entry */
	int32_t table_length, table_turbofan, table_maglev;
	struct v8operations operations;
};

static const struct build builds[] = {
	{.shared = 257, /* 10.2: node 18 */
	 .script = 170,
	 .scope_info = 256,
	 .code_type = 240,
	 .stream_start = 128,
	 .code_data = 16,
	 .code_size = 40,
	 .code_flags = 48,
	 .baseline = 11,
	 .data_literals = 2,
	 .data_shared = 6,
	 .data_first = 11,
	 .table_turbofan = 8,
	 .table_maglev = 16,
	 .operations = {"210D11313111111111fnn4111112", 1, true}},
	{.shared = 262, /* 11.3: node 20 */
	 .script = 167,
	 .scope_info = 261,
	 .code_type = 245,
	 .stream_type = 252,
	 .stream_code = 8,
	 .stream_start = 16,
	 .code_data = 16,
	 .code_size = 56,
	 .code_flags = 48,
	 .baseline = 11,
	 .data_literals = 2,
	 .data_shared = 6,
	 .data_first = 11,
	 .table_turbofan = 8,
	 .table_maglev = 16,
	 .operations = {"10DD1131311111211111111fdnn401111121", 2, false}},
	{.shared = 274, /* 12.4: node 22 */
	 .script = 167,
	 .scope_info = 272,
	 .code_type = 206,
	 .stream_type = 210,
	 .stream_code = 8,
	 .stream_start = 32,
	 .code_data = 8,
	 .code_size = 52,
	 .code_flags = 48,
	 .baseline = 10,
	 .data_literals = 2,
	 .data_shared = 6,
	 .data_first = 11,
	 .table_turbofan = 8,
	 .table_maglev = 16,
	 .operations = {"fdnn21343210DD11111111111111111101111121", 2, false}},
	{.shared = 282, /* 13.6: node 24 */
	 .script = 167,
	 .scope_info = 280,
	 .code_type = 187,
	 .stream_type = 192,
	 .stream_code = 8,
	 .stream_start = 32,
	 .code_data = 8,
	 .code_size = 56,
	 .code_flags = 52,
	 .baseline = 10,
	 .data_literals = 3,
	 .data_shared = 7,
	 .data_first = 12,
	 .wrapper_shared = 8,
	 .table_length = 4,
	 .table_turbofan = 12,
	 .table_maglev = 16,
	 .operations = {"genn2134333100DD11101111111111111111101111121", 2, false}},
};

static const struct build *find_build(const struct v8layout *l)
{
	for (size_t i = 0; i < LSC_ARRAY_LEN(builds); i++)
		if (builds[i].shared == l->type_shared && builds[i].script == l->type_script &&
		    builds[i].scope_info == l->type_scope_info)
			return &builds[i];
	return NULL;
}

/* One piece of code. */
struct code {
	uint64_t start;
	uint32_t size; /* of its instructions, which the table of places follows */
	int32_t kind;
	uint64_t data;
};

static bool read_word(const struct v8view *v, uint64_t object, int32_t offset, uint64_t *ret)
{
	return v8view_read(v, object, offset, ret, sizeof(*ret));
}

/* ---- the code ---- */

/* What begins with the words at an address is the code that pc lies in. */
static bool read_code(const struct v8view *v, const struct build *b, uint64_t address,
		      const uint64_t *words, uint64_t pc, struct code *ret)
{
	uint64_t object = b->stream_type ? words[b->stream_code / WORD]
					 : address + (uint64_t)v->layout.heap_tag;
	uint8_t bytes[CODE_BYTES];
	struct code c = {.start = address + (uint64_t)b->stream_start};
	uint32_t flags;

	if ((b->stream_type && v8view_type(v, object) != b->code_type) ||
	    !v8view_read(v, object, 0, bytes, sizeof(bytes)))
		return false;
	memcpy(&c.data, bytes + b->code_data, sizeof(c.data));
	memcpy(&c.size, bytes + b->code_size, sizeof(c.size));
	memcpy(&flags, bytes + b->code_flags, sizeof(flags));
	c.kind = (int32_t)(flags & KIND_MASK);
	*ret = c;
	return pc > c.start && pc - c.start <= c.size;
}

static bool is_head(struct v8view *v, const struct build *b, uint64_t word, unsigned int *looks)
{
	uint16_t type;

	if (v->code_map)
		return word == v->code_map;
	if (!v8view_is_object(word) || ++*looks > TYPES_MAX ||
	    !v8view_read(v, word, v->layout.map_type, &type, sizeof(type)))
		return false;
	return type == (b->stream_type ? b->stream_type : b->code_type);
}

/* Downwards from pc: the first head is that of its code. */
static bool find_code(struct v8view *v, const struct build *b, uint64_t pc, struct code *ret)
{
	uint64_t words[CHUNK / WORD + 2]; /* and the two behind */
	uint64_t end = pc & ~(uint64_t)(WORD - 1), at = end;
	unsigned int looks = 0;

	memset(words, 0, sizeof(words));
	while (end - at < CODE_MAX && at > CHUNK) {
		size_t n = at % CHUNK ? at % CHUNK / WORD : CHUNK / WORD;
		at -= n * WORD;
		words[n] = words[0];
		words[n + 1] = words[1];
		if (!v8view_bytes(v, at, words, n * WORD))
			return false;
		for (size_t i = n; i-- > 0;) {
			if (!is_head(v, b, words[i], &looks))
				continue;
			if (!read_code(v, b, at + i * WORD, words + i, pc, ret))
				return false;
			v->code_map = words[i];
			return true;
		}
	}
	return false;
}

/* ---- the place in it ---- */

static uint32_t take_bytes(const uint8_t **at, unsigned int n)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < n; i++)
		value |= (uint32_t)(*at)[i] << 8 * i;
	*at += n;
	return value;
}

/* The number of the place that it calls from and returns to at pc; -1: there is none. */
static int32_t find_place(const struct v8view *v, const struct build *b, const struct code *c,
			  uint64_t pc)
{
	static uint8_t table[TABLE_MAX]; /* the worker has one thread */
	bool maglev = c->kind == b->baseline + 1;
	uint64_t from = c->start + c->size;
	uint32_t head[2], offset = (uint32_t)(pc - c->start);

	if (!v8view_bytes(v, from + (uint64_t)b->table_length, head, sizeof(head)))
		return -1;
	/* sizes of an entry's parts in bytes: registers, place, number; the place is there twice */
	unsigned int registers = head[1] >> 1 & 7, pc_size = head[1] >> 4 & 7,
		     number_size = head[1] >> 7 & 7;
	size_t size = 2 * pc_size + number_size + registers + maglev;
	if (!(head[1] & 1) || pc_size > 4 || number_size > 4 || !pc_size || !number_size ||
	    head[0] > sizeof(table) / size)
		return -1;
	from += (uint64_t)(maglev ? b->table_maglev : b->table_turbofan);
	if (!v8view_bytes(v, from, table, head[0] * size))
		return -1;
	int32_t found = -1;
	for (uint32_t i = 0, last = 0; i < head[0]; i++) {
		const uint8_t *at = table + i * size;
		uint32_t place = take_bytes(&at, pc_size);
		int32_t number = (int32_t)(take_bytes(&at, number_size) - 1);
		uint32_t trampoline = take_bytes(&at, pc_size) - 1;
		if (place <= last || place > c->size)
			return -1; /* it is no such table */
		last = place;
		if (place == offset || trampoline == offset)
			found = number;
	}
	return found;
}

/* ---- the functions there ---- */

static bool read_element(const struct v8view *v, uint64_t array, int32_t index, uint64_t *ret)
{
	return read_word(v, array, v->layout.array_data + index * WORD, ret);
}

static bool read_length(const struct v8view *v, uint64_t array, int32_t *ret)
{
	uint64_t word;

	return read_word(v, array, v->layout.array_length, &word) && v8view_integer(word, ret) &&
	       *ret > 0 && *ret <= LENGTH_MAX;
}

/* The function that the data's code is of. */
static bool read_owner(const struct v8view *v, const struct build *b, uint64_t data, uint64_t *ret)
{
	uint64_t word;
	int32_t length;

	if (!read_length(v, data, &length) || length < b->data_first ||
	    !read_element(v, data, b->data_shared, &word) ||
	    (b->wrapper_shared && !read_word(v, word, b->wrapper_shared, &word)))
		return false;
	*ret = word;
	return true;
}

static size_t read_translation(const struct v8view *v, const struct build *b, uint64_t data,
			       int32_t place, int32_t *ret_literals, size_t max)
{
	static uint8_t bytes[TABLE_MAX];
	int32_t entries, at, length;
	uint64_t word, translation;

	if (!read_length(v, data, &entries) || place < 0 ||
	    place >= (entries - b->data_first) / ENTRY_WORDS ||
	    !read_element(v, data, b->data_first + place * ENTRY_WORDS + 1, &word) ||
	    !v8view_integer(word, &at) || !read_element(v, data, DATA_TRANSLATION, &translation) ||
	    !read_length(v, translation, &length) || at < 0 || at >= length ||
	    length > (int32_t)sizeof(bytes) ||
	    !v8view_read(v, translation, v->layout.array_data, bytes, (size_t)length))
		return 0;
	return v8translation_read(&b->operations, bytes, (size_t)length, (size_t)at, ret_literals,
				  max);
}

/* The functions that the literals are, innermost first, without V8's own ones. Their number; 0: one
 * of them is no function, or the outermost one is not the frame's. */
static size_t read_functions(const struct v8view *v, const struct build *b, uint64_t data,
			     uint64_t shared, const int32_t *literals, size_t n, uint64_t *ret)
{
	uint64_t array, word = 0;
	size_t found = 0;
	int32_t length;

	if (!read_element(v, data, b->data_literals, &array) || !read_length(v, array, &length))
		return 0;
	for (size_t i = n; i-- > 0;) {
		if (literals[i] == V8TRANSLATION_OWN)
			continue;
		if (literals[i] < 0 || literals[i] >= length ||
		    !read_element(v, array, literals[i], &word) ||
		    v8view_type(v, word) != v->layout.type_shared)
			return 0;
		ret[found++] = word;
	}
	return word == shared ? found : 0;
}

/* Finds code that is optimized. *ret_plain: it is not, and that is certain. */
static bool find_optimized(struct v8view *v, const struct build *b, uint64_t pc, struct code *ret,
			   bool *ret_plain)
{
	*ret_plain = false;
	if (!b || !find_code(v, b, pc, ret))
		return false;
	*ret_plain = ret->kind != b->baseline + 1 && ret->kind != b->baseline + 2;
	return !*ret_plain;
}

bool v8inline_owner(struct v8view *v, uint64_t pc, uint64_t *ret)
{
	const struct build *b = find_build(&v->layout);
	struct code c;
	bool plain;

	return find_optimized(v, b, pc, &c, &plain) && read_owner(v, b, c.data, ret);
}

size_t v8inline_find(struct v8view *v, uint64_t shared, uint64_t pc, bool calls,
		     uint64_t ret[V8INLINE_MAX], bool *ret_unknown)
{
	const struct build *b = find_build(&v->layout);
	int32_t literals[V8INLINE_MAX];
	struct code c;
	uint64_t word;
	int32_t inlined;
	bool plain;

	bool optimized = find_optimized(v, b, pc, &c, &plain);
	*ret_unknown = !plain;
	if (!optimized || !read_owner(v, b, c.data, &word) || word != shared ||
	    !read_element(v, c.data, DATA_INLINED, &word) || !v8view_integer(word, &inlined))
		return 0;
	*ret_unknown = inlined > 0;
	if (!inlined || !calls)
		return 0;
	int32_t place = find_place(v, b, &c, pc);
	size_t n = read_translation(v, b, c.data, place, literals, LSC_ARRAY_LEN(literals));
	n = n ? read_functions(v, b, c.data, shared, literals, n, ret) : 0;
	*ret_unknown = !n;
	return n ? n - 1 : 0; /* the last one is the frame's */
}
