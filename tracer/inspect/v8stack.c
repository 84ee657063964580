/* SPDX-License-Identifier: MIT */
/*
 * Each frame of V8's code has a frame pointer, and below that either a context and a function, or
 * a mark. A thread that slept all the time is in these functions still. Of one that ran on since
 * its stack was copied the objects may have been moved, and others lie where they were: then a
 * function is believed only if the frame is there still with the same one, for what moves an object
 * puts its new place into all frames; or if its bytecode, which hardly ever moves, is the frame's;
 * or if the frame's code, which hardly ever moves either, was made for it.
 */
#include "inspect/v8stack.h"

#include <string.h>

#include "base/cleanup.h"
#include "inspect/v8function.h"
#include "inspect/v8inline.h"

#define FUNCTION_TYPES 20 /* constructors of arrays and the like have types of their own */
#define MARKS_MAX      64
#define ANONYMOUS      "(anonymous)"
#define REGEXP	       "(regular expression)"

bool v8stack_read_place(const struct v8layout *l, v8stack_word_fn *read, void *arg,
			struct v8place *p)
{
	if (!read(arg, p->fp + (uint64_t)(int64_t)l->fp_function, &p->function) ||
	    !read(arg, p->fp + (uint64_t)(int64_t)l->fp_context, &p->context) ||
	    !read(arg, p->fp, &p->caller_fp) || !read(arg, p->fp + 8, &p->caller_pc))
		return false;
	if (!read(arg, p->fp + (uint64_t)(int64_t)l->fp_bytecode, &p->bytecode))
		p->bytecode = 0;
	return true;
}

static bool is_context(const struct v8view *v, uint64_t object)
{
	int32_t type = v8view_type(v, object);

	return type >= v->layout.first_context && type <= v->layout.last_context;
}

/* What lies at the frame pointer now; false: it is not the same frame that called from there. */
static bool read_again(const struct v8view *v, const struct v8place *p, struct v8place *ret)
{
	const struct v8layout *l = &v->layout;
	struct v8place now = {.fp = p->fp};
	uint64_t words[V8LAYOUT_FRAME_MAX / 8 + 2]; /* below the frame pointer, and two above */
	const uint64_t *at = words + V8LAYOUT_FRAME_MAX / 8;
	int32_t low = l->fp_function < l->fp_context ? l->fp_function : l->fp_context;

	if (l->fp_bytecode < low)
		low = l->fp_bytecode;
	if (!v->read(v->arg, p->fp + (uint64_t)(int64_t)low, words + (V8LAYOUT_FRAME_MAX + low) / 8,
		     (size_t)(2 * 8 - low)) ||
	    at[0] != p->caller_fp || at[1] != p->caller_pc)
		return false;
	now.function = at[l->fp_function / 8];
	now.context = at[l->fp_context / 8];
	now.bytecode = at[l->fp_bytecode / 8];
	*ret = now;
	return true;
}

static const struct v8function *read_function(struct v8view *v, uint64_t function)
{
	const struct v8layout *l = &v->layout;
	int32_t type = v8view_type(v, function);
	uint64_t shared;

	if (type < l->type_function || type >= l->type_function + FUNCTION_TYPES ||
	    !v8view_read(v, function, l->function_shared, &shared, sizeof(shared)))
		return NULL;
	return v8function_get(v, shared);
}

/* Code that is part of the program itself runs functions of V8's own, too, which have no bytecode.
 * An object that cannot be read any more may be one. */
static bool may_have_bytecode(const struct v8view *v, const struct v8place *p)
{
	int32_t type = v8view_type(v, p->bytecode);

	return type == v->layout.type_bytecode || (type < 0 && v8view_is_object(p->bytecode));
}

/* The function, wherever it lies by now, that runs the frame's bytecode: so it is the frame's. */
static const struct v8function *find_running(struct v8view *v, const struct v8place *p,
					     const struct v8place *now)
{
	uint64_t places[] = {p->function, v8view_moved(v, p->function), now->function};

	for (size_t i = 0; i < LSC_ARRAY_LEN(places); i++) {
		const struct v8function *f = read_function(v, places[i]);
		if (f && v8function_runs(v, f, p->bytecode))
			return f;
	}
	return NULL;
}

/* The function of a frame that has a context; NULL: it cannot be made sure of. */
static const struct v8function *find_function(struct v8view *v, const struct v8place *p,
					      bool asleep)
{
	const struct v8function *f = read_function(v, p->function);
	struct v8place now = {0};
	uint64_t shared;

	if (asleep && f && is_context(v, p->context))
		return f;
	if (!asleep && read_again(v, p, &now) && is_context(v, now.context)) {
		/* it was read before: so it was at its place until here */
		if (f && now.function == p->function)
			return f;
		v8view_begin(v);
		f = now.function == v8view_moved(v, p->function) ? read_function(v, now.function)
								 : NULL;
		if (f)
			return f;
	}
	f = find_running(v, p, &now);
	if (!f && !asleep && p->anonymous && v8inline_owner(v, p->pc, &shared))
		f = v8function_get(v, shared);
	return f;
}

static void say_lacking(const struct v8walk *walk, struct answer *a)
{
	if (!a->head.language)
		a->head.language = walk->asleep ? MESSAGE_WHY_LAYOUT : MESSAGE_WHY_CHANGED;
}

static void name_function(const struct v8walk *walk, struct answer *a, const struct v8function *f,
			  struct message_frame *ret)
{
	if (f->name)
		ret->function = answer_object(a, f->shared, f->name[0] ? f->name : ANONYMOUS);
	if (f->file)
		ret->file = answer_object(a, f->script, f->file);
	ret->line = ret->file ? f->line : 0;
	if (f->lacking)
		say_lacking(walk, a);
}

/* Adds the functions that are inlined into this one. */
static void add_inlined(struct v8view *v, struct v8walk *walk, struct v8place *p, uint64_t shared,
			struct answer *a)
{
	uint64_t inlined[V8INLINE_MAX];
	bool unknown;
	size_t n = v8inline_find(v, shared, p->pc, p->calls, inlined, &unknown);

	p->first = walk->ninlined;
	for (size_t i = 0; i < n && walk->ninlined < LSC_ARRAY_LEN(walk->inlined); i++) {
		const struct v8function *f = v8function_get(v, inlined[i]);
		struct message_frame *to = &walk->inlined[walk->ninlined++];
		*to = (struct message_frame){.flags = MESSAGE_FRAME_JS | MESSAGE_FRAME_INLINED};
		if (f)
			name_function(walk, a, f, to);
		unknown |= !f;
	}
	p->ninlined = walk->ninlined - p->first;
	if (unknown && !a->head.language)
		a->head.language = MESSAGE_WHY_INLINED;
}

static void judge_function(struct v8view *v, struct v8walk *walk, struct v8place *p,
			   struct answer *a)
{
	const struct v8function *f = find_function(v, p, walk->asleep);

	if (!f && !p->anonymous && !may_have_bytecode(v, p))
		return;
	p->kind = V8PLACE_FRAME;
	if (!f) {
		say_lacking(walk, a);
		return;
	}
	name_function(walk, a, f, &p->frame);
	if (p->anonymous)
		add_inlined(v, walk, p, f->shared, a);
}

void v8stack_judge_place(struct v8view *v, struct v8walk *walk, struct v8place *p, struct answer *a)
{
	uint64_t mark = p->context >> 1;

	p->kind = V8PLACE_NATIVE;
	p->ninlined = 0;
	p->frame = (struct message_frame){.flags = MESSAGE_FRAME_JS};
	if (!p->code || !p->read)
		return;
	if (v8view_is_object(p->context) && v8view_is_object(p->function)) {
		judge_function(v, walk, p, a);
	} else if (!(p->context & 1) && mark && mark < MARKS_MAX) {
		bool expression = (int32_t)mark == v->layout.irregexp;
		p->kind = expression ? V8PLACE_FRAME : V8PLACE_PASSAGE;
		p->frame.function = expression ? answer_text(a, REGEXP) : 0;
	}
}

void v8stack_judge(struct v8view *v, struct v8walk *walk, struct answer *a)
{
	v8view_begin(v);
	walk->ninlined = 0;
	for (size_t i = 0; i < walk->n; i++)
		v8stack_judge_place(v, walk, &walk->places[i], a);
}
