/* SPDX-License-Identifier: MIT */
/*
 * Layouts: src/objects/{shared-function-info,scope-info,script}.tq. A SharedFunctionInfo that was
 * met is known again by all of its bytes that tell one from another: its name, its script, its
 * number in that.
 */
#include "inspect/v8function.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/v8string.h"

#define FUNCTIONS_LOG 9
#define FUNCTIONS     (1u << FUNCTIONS_LOG)
#define NAME_BYTES    MESSAGE_TEXT_MAX
#define WORD	      8
#define LITERAL_BYTES 8	 /* flags, and the function's number in its script behind them */
#define INLINED_MAX   75 /* names of locals in a ScopeInfo itself; more of them lie in a table */
#define LOCALS_MAX    100000
#define NAME_WORDS    3
#define NO_TOKEN      UINT16_MAX
#define TRIES	      2 /* at what may be on its way to another place */
#define LINES_MAX     (1 << 24)
#define OFFSET_MAX    (1 << 20) /* of a script's first line in what it was cut out of */

static uint64_t word_at(const struct v8function *f, int32_t offset)
{
	uint64_t w;

	memcpy(&w, f->bytes + offset, sizeof(w));
	return w;
}

/* The object, wherever it lies by now, and its type; -1: it cannot be read. */
static int32_t find_object(const struct v8view *v, uint64_t *object)
{
	int32_t type = v8view_type(v, *object);
	uint64_t moved = type < 0 ? v8view_moved(v, *object) : 0;

	if (!moved)
		return type;
	*object = moved;
	return v8view_type(v, moved);
}

static bool read_scope(const struct v8view *v, uint64_t scope, uint64_t index, uint64_t *ret,
		       size_t n)
{
	return v8view_read(v, scope, (int32_t)(WORD + index * WORD), ret, n * sizeof(*ret));
}

struct scope {
	uint64_t name; /* 0 none */
	int32_t start; /* of the function in its source; -1 unknown */
};

/* A pair of positions, the second one not before the first. */
static bool is_range(const uint64_t *words, int32_t *ret_start)
{
	int32_t start, end;

	if (!v8view_integer(words[0], &start) || !v8view_integer(words[1], &end) || start < 0 ||
	    end < start)
		return false;
	*ret_start = start;
	return true;
}

static bool is_text(const struct v8view *v, uint64_t object)
{
	uint32_t length;

	find_object(v, &object);
	return v8string_length(v, object, &length);
}

/* What a function has behind its locals: its name or 0, a number, and what it is inferred to be
 * called, a text or undefined. */
static bool is_name(const struct v8view *v, const uint64_t *words)
{
	int32_t number;

	return (!words[0] || is_text(v, words[0])) && v8view_integer(words[1], &number) &&
	       (is_text(v, words[2]) || v8view_type(v, words[2]) == v->layout.type_oddball);
}

/* One of them points to an object that cannot be read: what they are is not known. */
static bool are_unreadable(const struct v8view *v, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t object = words[i];
		if (v8view_is_object(object) && find_object(v, &object) < 0)
			return true;
	}
	return false;
}

/* Some have another number ahead of these. Where the positions are not ahead of the locals
 * (first_vars 5), they follow. The code of a whole script has no name there, and no positions that
 * are looked for. False: it cannot be made sure of. */
static bool read_name(const struct v8view *v, uint64_t scope, uint64_t index, struct scope *ret)
{
	bool ahead = v->layout.scope_first_vars == 5;
	uint64_t w[6];
	size_t n = NAME_WORDS + 1 + (ahead ? 0 : 2);

	if (!read_scope(v, scope, index, w, n))
		return false;
	const uint64_t *at = is_name(v, w) ? w : w + 1;
	if (!is_name(v, at))
		return !are_unreadable(v, w, NAME_WORDS + 1);
	if (ahead || is_range(at + NAME_WORDS, &ret->start))
		ret->name = at[0];
	return true;
}

static bool read_scope_info(const struct v8view *v, uint64_t scope, struct scope *ret)
{
	const struct v8layout *l = &v->layout;
	struct scope s = {.start = -1};
	uint64_t w[6];
	int32_t locals;

	if (!read_scope(v, scope, 0, w, LSC_ARRAY_LEN(w)) ||
	    !v8view_integer(w[l->scope_nlocals < 6 ? l->scope_nlocals : 0], &locals) ||
	    locals < 0 || locals > LOCALS_MAX)
		return false;
	if (l->scope_first_vars == 5 && !is_range(w + 3, &s.start))
		return false;
	uint64_t names = locals < INLINED_MAX ? (uint64_t)locals : 1;
	if (!read_name(v, scope, (uint64_t)l->scope_first_vars + names + (uint64_t)locals, &s))
		return false;
	*ret = s;
	return true;
}

/* ---- the script ---- */

/* How many of the ends of lines lie before the position. */
static int count_ends(const struct v8view *v, uint64_t ends, int32_t position)
{
	const struct v8layout *l = &v->layout;
	uint64_t word;
	int32_t n, at;

	if (!v8view_read(v, ends, l->array_length, &word, sizeof(word)) ||
	    !v8view_integer(word, &n) || n < 0 || n > LINES_MAX)
		return -1;
	int32_t low = 0, high = n;
	while (low < high) {
		int32_t mid = low + (high - low) / 2;
		if (!v8view_read(v, ends, l->array_data + mid * WORD, &word, sizeof(word)) ||
		    !v8view_integer(word, &at))
			return -1;
		if (at < position)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* A script that is part of a larger text begins in a line of that: the word behind its name. */
static int first_line(const struct v8view *v, uint64_t script)
{
	const struct v8layout *l = &v->layout;
	uint64_t word;
	int32_t n;

	if (l->script_line_ends - l->script_name != 5 * WORD ||
	    !v8view_read(v, script, l->script_name + WORD, &word, sizeof(word)) ||
	    !v8view_integer(word, &n) || n < 0 || n > OFFSET_MAX)
		return 0;
	return n;
}

static int find_line(const struct v8view *v, uint64_t script, int32_t position)
{
	const struct v8layout *l = &v->layout;
	uint64_t ends, source;
	int line = 0;

	if (v8view_read(v, script, l->script_line_ends, &ends, sizeof(ends)) &&
	    v8view_type(v, ends) == l->type_fixed_array)
		line = count_ends(v, ends, position) + 1;
	for (int i = 0; i < TRIES && !line; i++)
		if (v8view_read(v, script, l->script_source, &source, sizeof(source)))
			line = v8string_line(v, source, (uint32_t)position);
	return line ? line + first_line(v, script) : 0;
}

/* The text of a string in memory of its own, NULL of anything else. False: it could not be read, or
 * no memory. */
static bool copy_text(const struct v8view *v, uint64_t object, char **ret)
{
	char text[NAME_BYTES];

	*ret = NULL;
	if (!v8view_is_object(object))
		return true;
	int32_t type = find_object(v, &object);
	if (type >= v->layout.first_nonstring)
		return true;
	if (type >= 0 && v8string_text(v, object, text, sizeof(text)))
		*ret = strdup(text);
	return *ret;
}

/* False: something of it could not be read. */
static bool find_script(const struct v8view *v, struct v8function *f, int32_t start)
{
	const struct v8layout *l = &v->layout;
	uint64_t script = word_at(f, l->shared_script), name;
	int32_t type = find_object(v, &script);
	uint16_t token;

	if (type == l->type_oddball)
		return true; /* V8's own */
	f->lacking |= type != l->type_script ||
		      !v8view_read(v, script, l->script_name, &name, sizeof(name)) ||
		      !copy_text(v, name, &f->file);
	if (f->lacking)
		return false;
	f->script = script;
	memcpy(&token, f->bytes + l->shared_token, sizeof(token));
	if (start >= 0 && token != NO_TOKEN && token <= start)
		start -= token;
	if (f->file && start >= 0)
		f->line = find_line(v, script, start);
	return f->line || !f->file || start < 0;
}

/* ---- those that were met ---- */

static void clear(struct v8function *f)
{
	free(f->name);
	free(f->file);
	*f = (struct v8function){0};
}

static size_t shared_size(const struct v8layout *l)
{
	size_t size = (size_t)l->shared_flags + LITERAL_BYTES;
	const int32_t words[] = {l->shared_name, l->shared_script};

	for (size_t i = 0; i < LSC_ARRAY_LEN(words); i++)
		if (size < (size_t)words[i] + WORD)
			size = (size_t)words[i] + WORD;
	return size <= V8FUNCTION_BYTES && l->shared_token + 2 <= V8FUNCTION_BYTES ? size : 0;
}

/* Finds out what its bytes mean. */
static void resolve(const struct v8view *v, struct v8function *f)
{
	uint64_t name = word_at(f, v->layout.shared_name);
	struct scope s = {.start = -1};
	int32_t type = find_object(v, &name);

	if (type == v->layout.type_scope_info)
		f->lacking = !read_scope_info(v, name, &s);
	else if (type < v->layout.first_nonstring)
		s.name = name;
	else
		f->lacking = true;
	if (f->lacking || !copy_text(v, s.name, &f->name))
		f->lacking = true;
	else if (!f->name)
		f->name = strdup("");
	f->whole = find_script(v, f, s.start) && f->name;
}

static bool read_shared(const struct v8view *v, uint64_t shared, uint8_t bytes[V8FUNCTION_BYTES])
{
	size_t size = shared_size(&v->layout);

	memset(bytes, 0, V8FUNCTION_BYTES);
	return size && v8view_type(v, shared) == v->layout.type_shared &&
	       v8view_read(v, shared, 0, bytes, size);
}

const struct v8function *v8function_get(struct v8view *v, uint64_t shared)
{
	uint8_t bytes[V8FUNCTION_BYTES];

	if (!v->functions)
		v->functions = calloc(FUNCTIONS, sizeof(*v->functions));
	if (!v->functions || !read_shared(v, shared, bytes))
		return NULL;
	struct v8function *f =
		&v->functions[shared * 0x9e3779b97f4a7c15ull >> (64 - FUNCTIONS_LOG)];
	if (f->whole && f->shared == shared && memcmp(f->bytes, bytes, sizeof(bytes)) == 0)
		return f;
	f->lacking = true;
	for (int i = 0; i < TRIES && f->lacking; i++) {
		/* What a function was given before it was seen is there, but not in pages that
		 * were read ahead of that. */
		v8view_begin(v);
		clear(f);
		if (!read_shared(v, shared, f->bytes))
			return NULL;
		f->shared = shared;
		resolve(v, f);
	}
	return f;
}

/* The data of a function, ahead of its name, is its bytecode, or an object that has it: code of
 * Sparkplug, data of the interpreter. */
bool v8function_runs(const struct v8view *v, const struct v8function *f, uint64_t bytecode)
{
	uint64_t words[5];

	if (!v8view_is_object(bytecode))
		return false;
	for (int32_t at = WORD; at < v->layout.shared_name; at += WORD) {
		uint64_t data = word_at(f, at);
		if (data == bytecode)
			return true;
		if (!v8view_read(v, data, WORD, words, sizeof(words)))
			continue;
		for (size_t i = 0; i < LSC_ARRAY_LEN(words); i++)
			if (words[i] == bytecode)
				return true;
	}
	return false;
}

void v8function_forget(struct v8view *v)
{
	for (size_t i = 0; v->functions && i < FUNCTIONS; i++)
		clear(&v->functions[i]);
	free(v->functions);
	v->functions = NULL;
}
