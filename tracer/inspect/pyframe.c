/* SPDX-License-Identifier: MIT */
/*
 * Up to 3.10 each frame is an object and has its own run of _PyEval_EvalFrameDefault(). Since 3.11
 * one run goes through several frames; the outermost of a run has a mark (3.11), or is followed by
 * a frame on the C stack that is the interpreter's own (3.12 and later).
 */
#include "inspect/pyframe.h"

#include <string.h>

#include "inspect/bytes.h"
#include "inspect/pyline.h"

#define STATES_MAX	4096
#define WALKS_MAX	3 /* through a list that changes */
#define CODE_BYTES_310	128
#define CODE_BYTES_MAX	208
#define CODE_TAG	7ull /* since 3.14: how the reference is counted */
#define CODE_SIZE_MAX	(16u << 20)
#define TABLE_MAX	(256 * 1024)
#define OWNER_GENERATOR 1
#define OWNER_C_STACK	3

/* False: others' threads came or went meanwhile. */
static bool find_state(const struct pyview *v, uint32_t tid, uint64_t *ret)
{
	const struct pylayout *l = &v->layout;
	uint8_t s[PYLAYOUT_STATE_BYTES];
	uint64_t state;

	*ret = 0;
	if (!cpython_read_pointer(&v->py, v->interp + l->interp_threads, &state))
		return false;
	for (int i = 0; i < STATES_MAX && state; i++) {
		if (state % sizeof(state) || !pyobject_read(v, state, s, sizeof(s)) ||
		    word_at(s, l->state_interp) != v->interp)
			return false;
		if (pylayout_thread(&v->py, l, state) == tid) {
			*ret = state;
			return true;
		}
		state = word_at(s, l->state_next);
	}
	return !state;
}

uint64_t pyframe_state(const struct pyview *v, uint32_t tid)
{
	uint64_t state = 0;

	for (int i = 0; tid && i < WALKS_MAX && !find_state(v, tid, &state); i++)
		;
	return state;
}

static bool find_leaf(const struct pyview *v, uint64_t state, uint64_t *ret)
{
	const struct pylayout *l = &v->layout;
	uint64_t at = state;

	if (l->state_cframe && (!cpython_read_pointer(&v->py, state + l->state_cframe, &at) || !at))
		return false;
	return cpython_read_pointer(&v->py, at + l->state_frame, ret);
}

/* The code of a frame that is at `instr`: an address since 3.11, else an index. */
static bool read_code(struct pyview *v, uint64_t code, uint64_t instr, struct pyframe *f,
		      bool *ret_traceable)
{
	const struct pylayout *l = &v->layout;
	size_t size = l->code_bytes ? l->code_bytes : CODE_BYTES_310;
	uint8_t c[CODE_BYTES_MAX];

	if (l->minor >= 14)
		code &= ~CODE_TAG;
	if (!code || code % sizeof(code) || size > sizeof(c) || !pyobject_read(v, code, c, size) ||
	    !pyobject_is_type(v, word_at(c, 8), PYTYPE_CODE))
		return false;
	f->file = word_at(c, l->code_file);
	f->name = word_at(c, l->code_name);
	f->table = word_at(c, l->code_table);
	f->first = int_at(c, l->code_first);
	*ret_traceable = true;
	if (!l->code_bytes) {
		f->at = (int64_t)(int32_t)instr * (l->minor == 10 ? 2 : 1);
		return (int32_t)instr >= -1;
	}
	uint64_t units = word_at(c, 16), first = code + l->code_bytes;
	/* the last instruction that was run may lie one before the first */
	if (units > CODE_SIZE_MAX || instr % 2 || instr + 2 < first || instr >= first + 2 * units)
		return false;
	f->at = (int64_t)(instr - first);
	*ret_traceable = f->at >= 2ll * int_at(c, l->code_traceable);
	return true;
}

/* Since 3.13 the interpreter's own frames have None for code. Compilers may have a run listed
 * before its frame says whose it is. */
static bool is_own(struct pyview *v, uint64_t code)
{
	return v->layout.minor >= 13 && pyobject_is(v, code & ~CODE_TAG, PYTYPE_NONE);
}

/* The rest of a frame by its owner, code and instruction. */
static bool fill_frame(struct pyview *v, unsigned int owner, bool entry, uint64_t code,
		       uint64_t instr, struct pyframe *f)
{
	bool traceable = false;

	f->hidden = owner == OWNER_C_STACK;
	if (!f->hidden && (owner > OWNER_C_STACK || !read_code(v, code, instr, f, &traceable))) {
		if (!is_own(v, code))
			return false;
		f->hidden = true;
	}
	f->last = !v->layout.frame_owner || f->hidden || entry;
	f->hidden |= !traceable && owner != OWNER_GENERATOR;
	return true;
}

/* Reads one frame, and where the next one lies; 0: it is the outermost. */
static bool read_frame(struct pyview *v, uint64_t address, struct pyframe *ret,
		       uint64_t *ret_previous)
{
	const struct pylayout *l = &v->layout;
	bool object = !l->frame_owner;
	uint8_t b[PYLAYOUT_FRAME_BYTES_310];
	struct pyframe f = {.address = address};

	if (address % sizeof(address) ||
	    !pyobject_read(v, address, b,
			   object ? PYLAYOUT_FRAME_BYTES_310 : PYLAYOUT_FRAME_BYTES) ||
	    (object && !pyobject_is_type(v, word_at(b, 8), PYTYPE_FRAME)))
		return false;
	uint64_t instr =
		object ? (uint64_t)(int64_t)int_at(b, l->frame_instr) : word_at(b, l->frame_instr);
	if (!fill_frame(v, object ? 0 : b[l->frame_owner], l->frame_entry && b[l->frame_entry],
			word_at(b, l->frame_code), instr, &f))
		return false;
	*ret = f;
	*ret_previous = word_at(b, l->frame_previous);
	return true;
}

enum message_why pyframe_walk(struct pyview *v, uint32_t tid, struct pyframe *ret, size_t *ret_n,
			      bool *ret_cut)
{
	uint64_t state = pyframe_state(v, tid), leaf, again, at, mark = 0;
	size_t n = 0, next_mark = 1;

	if (!state)
		return MESSAGE_WHY_NO_STATE;
	if (!find_leaf(v, state, &leaf))
		return MESSAGE_WHY_LAYOUT;
	for (at = leaf; at && n < PYFRAME_MAX; n++) {
		if (at == mark || !read_frame(v, at, &ret[n], &at))
			return MESSAGE_WHY_LAYOUT;
		if (n + 1 == next_mark) { /* a chain that bites its tail comes by here again */
			mark = ret[n].address;
			next_mark *= 2;
		}
	}
	if (!find_leaf(v, state, &again) || again != leaf)
		return MESSAGE_WHY_LAYOUT;
	*ret_n = n;
	*ret_cut = at != 0;
	return MESSAGE_WHY_NONE;
}

/* The code object is the one that was there when the frame was taken: it has the same name, file,
 * line table and first line. One that was freed may keep these for long; its type and its line
 * table are written over sooner. */
static bool is_same(struct pyview *v, const struct pyframe *f, const struct inspector_pyframe *seen)
{
	return f->name == seen->name && f->file == seen->file && f->table == seen->table &&
	       f->first == seen->first && pyobject_is(v, f->table, PYTYPE_BYTES);
}

/* What the kernel side cannot read it tells as zero: all of a frame, or what it takes of its code.
 */
static bool was_there(const struct inspector_pyframe *seen)
{
	return seen->code && (seen->owner == OWNER_C_STACK || seen->name || seen->first);
}

/* It was a code object then. One that never was may be that of a frame that was being made, which
 * does not lead to the next one yet. */
static bool was_code(const struct pyview *v, const struct inspector_pyframe *seen)
{
	return seen->owner < OWNER_C_STACK && v->types[PYTYPE_CODE] &&
	       seen->type == v->types[PYTYPE_CODE];
}

enum message_why pyframe_take(struct pyview *v, const struct inspector_pyframe *seen, size_t n,
			      struct pyframe *ret)
{
	for (size_t i = 0; i < n; i++) {
		const struct inspector_pyframe *s = &seen[i];
		struct pyframe f = {.address = s->address};
		if (!was_there(s))
			return MESSAGE_WHY_ABSENT;
		bool known = fill_frame(v, s->owner, s->entry, s->code, s->instr, &f);
		if (!known && (s->owner > OWNER_C_STACK || !v->types[PYTYPE_CODE]))
			return MESSAGE_WHY_LAYOUT;
		if ((!known || f.name) && !is_same(v, &f, s)) {
			if (!was_code(v, s))
				return MESSAGE_WHY_CHANGED;
			f = (struct pyframe){.address = s->address,
					     .last = !v->layout.frame_owner || s->entry,
					     .gone = true};
		} else if (!known) {
			return MESSAGE_WHY_LAYOUT;
		}
		ret[i] = f;
	}
	return MESSAGE_WHY_NONE;
}

bool pyframe_read(struct pyview *v, uint64_t address, struct pyframe *ret)
{
	uint64_t previous;

	return read_frame(v, address, ret, &previous);
}

int pyframe_line(struct pyview *v, const struct pyframe *f)
{
	static uint8_t table[TABLE_MAX]; /* the worker has one thread */
	size_t size;

	if (!pyobject_bytes(v, f->table, table, sizeof(table), &size))
		return 0;
	return pyline_find(v->layout.minor, table, size < sizeof(table) ? size : sizeof(table),
			   f->first, f->at);
}
