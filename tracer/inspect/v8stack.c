/* SPDX-License-Identifier: MIT */
/*
 * Each frame of V8's code has a frame pointer, and below that either a context and a function, or
 * a mark. A thread that slept all the time is in these functions still. Of one that ran on since
 * its stack was copied the objects may have been moved, and others lie where they were: then a
 * function is believed only if the frame is there still with the same one, for what moves an object
 * puts its new place into all frames; or if its bytecode, which hardly ever moves, is the frame's.
 */
#include "inspect/v8stack.h"

#include <string.h>

#include "base/cleanup.h"
#include "inspect/v8function.h"

#define FUNCTION_TYPES 20 /* constructors of arrays and the like have types of their own */
#define MARKS_MAX      64
#define ANONYMOUS      "(anonymous)"
#define REGEXP	       "(regular expression)"

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
	uint64_t caller[2];

	if (!v->read(v->arg, p->fp + (uint64_t)(int64_t)l->fp_function, &now.function, 8) ||
	    !v->read(v->arg, p->fp + (uint64_t)(int64_t)l->fp_context, &now.context, 8) ||
	    !v->read(v->arg, p->fp + (uint64_t)(int64_t)l->fp_bytecode, &now.bytecode, 8) ||
	    !v->read(v->arg, p->fp, caller, sizeof(caller)) || caller[0] != p->caller_fp ||
	    caller[1] != p->caller_pc)
		return false;
	*ret = now;
	return true;
}

/* Where an object has been moved to; 0: it has not. Then its map is that place, without a tag. */
static uint64_t find_moved(const struct v8view *v, uint64_t object)
{
	uint64_t map;

	if (!v8view_read(v, object, v->layout.map, &map, sizeof(map)) || map & 7 || !map)
		return 0;
	return map + (uint64_t)v->layout.heap_tag;
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
 */
static bool has_bytecode(const struct v8view *v, const struct v8place *p)
{
	return v8view_type(v, p->bytecode) == v->layout.type_bytecode;
}

/* The function, wherever it lies by now, that runs the frame's bytecode: so it is the frame's. */
static const struct v8function *find_running(struct v8view *v, const struct v8place *p,
					     const struct v8place *now)
{
	uint64_t places[] = {p->function, find_moved(v, p->function), now->function};

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

	if (asleep && f && is_context(v, p->context))
		return f;
	if (!asleep && read_again(v, p, &now) && is_context(v, now.context)) {
		/* it was read before: so it was at its place until here */
		if (f && now.function == p->function)
			return f;
		f = now.function == find_moved(v, p->function) ? read_function(v, now.function)
							       : NULL;
		if (f)
			return f;
	}
	return find_running(v, p, &now);
}

static void name_function(struct answer *a, const struct v8function *f, struct message_frame *ret)
{
	ret->function = answer_object(a, f->shared, f->name[0] ? f->name : ANONYMOUS);
	if (f->file)
		ret->file = answer_object(a, f->script, f->file);
	ret->line = ret->file ? f->line : 0;
}

static void judge_function(struct v8view *v, struct v8place *p, bool asleep, struct answer *a)
{
	const struct v8function *f = find_function(v, p, asleep);

	if (!f && !p->anonymous && !has_bytecode(v, p))
		return;
	p->kind = V8PLACE_FRAME;
	if (f)
		name_function(a, f, &p->frame);
	else
		a->head.language = asleep ? MESSAGE_WHY_LAYOUT : MESSAGE_WHY_CHANGED;
}

static void judge(struct v8view *v, struct v8place *p, bool asleep, struct answer *a)
{
	uint64_t mark = p->context >> 1;

	p->kind = V8PLACE_NATIVE;
	p->frame = (struct message_frame){.flags = MESSAGE_FRAME_JS};
	if (!p->code || !p->read)
		return;
	if (v8view_is_object(p->context) && v8view_is_object(p->function)) {
		judge_function(v, p, asleep, a);
	} else if (!(p->context & 1) && mark && mark < MARKS_MAX) {
		bool expression = (int32_t)mark == v->layout.irregexp;
		p->kind = expression ? V8PLACE_FRAME : V8PLACE_PASSAGE;
		p->frame.function = expression ? answer_text(a, REGEXP) : 0;
	}
}

void v8stack_judge(struct v8view *v, struct v8walk *walk, struct answer *a)
{
	for (size_t i = 0; i < walk->n; i++)
		judge(v, &walk->places[i], walk->asleep, a);
}
