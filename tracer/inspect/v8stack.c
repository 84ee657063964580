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

#define FUNCTION_TYPES                                                                             \
	20 /* kinds of functions: constructors of arrays and the like have their own */
#define MARKS_MAX 64
#define ANONYMOUS "(anonymous)"
#define REGEXP	  "(regular expression)"

struct merge {
	struct v8view *view;
	struct answer *answer;
	bool asleep;
	enum message_why why;
};

enum kind { NATIVE, PASSAGE, EXPRESSION, UNKNOWN, FUNCTION };

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

static enum kind judge_function(struct merge *m, const struct v8place *p,
				const struct v8function **ret)
{
	struct v8place now = {0};
	const struct v8function *f = read_function(m->view, p->function);

	if (f && m->asleep && is_context(m->view, p->context)) {
		*ret = f;
		return FUNCTION;
	}
	/* after it was read: then it was at its place until here */
	if (!m->asleep && read_again(m->view, p, &now) && f && now.function == p->function &&
	    now.context == p->context && is_context(m->view, p->context)) {
		*ret = f;
		return FUNCTION;
	}
	f = find_running(m->view, p, &now);
	if (f) {
		*ret = f;
		return FUNCTION;
	}
	if (!p->anonymous && !has_bytecode(m->view, p))
		return NATIVE;
	m->why = m->asleep ? MESSAGE_WHY_LAYOUT : MESSAGE_WHY_CHANGED;
	return UNKNOWN;
}

static enum kind judge(struct merge *m, const struct v8place *p, const struct v8function **ret)
{
	uint64_t mark = p->context >> 1;

	if (!p->code || !p->read)
		return NATIVE;
	if (!(p->context & 1)) /* marks are small even numbers */
		return mark == 0 || mark >= MARKS_MAX		   ? NATIVE
		       : (int32_t)mark == m->view->layout.irregexp ? EXPRESSION
								   : PASSAGE;
	if (!v8view_is_object(p->context) || !v8view_is_object(p->function))
		return NATIVE;
	return judge_function(m, p, ret);
}

static struct message_frame frame_of(struct merge *m, const struct v8function *f)
{
	struct message_frame frame = {.flags = MESSAGE_FRAME_JS};

	if (!f)
		return frame;
	frame.function = answer_object(m->answer, f->shared, f->name[0] ? f->name : ANONYMOUS);
	if (f->file)
		frame.file = answer_object(m->answer, f->script, f->file);
	frame.line = frame.file ? f->line : 0;
	return frame;
}

/* There is one frame at most for each place, so what is written never overtakes what is read. */
static void merge_all(struct merge *m, const struct v8walk *walk)
{
	struct answer *a = m->answer;
	uint32_t n = 0;

	for (size_t i = 0; i < walk->n; i++) {
		const struct v8place *p = &walk->places[i];
		const struct v8function *f = NULL;
		enum kind kind = judge(m, p, &f);
		if (kind == NATIVE) {
			memmove(&a->frames[n], &a->frames[p->first],
				p->count * sizeof(a->frames[0]));
			n += p->count;
			continue;
		}
		if (kind == PASSAGE || !p->count)
			continue;
		struct message_frame frame = frame_of(m, f);
		if (kind == EXPRESSION)
			frame.function = answer_text(a, REGEXP);
		a->frames[n++] = frame;
	}
	a->head.nframes = n;
}

void v8stack_merge(struct v8view *v, const struct v8walk *walk, struct answer *a)
{
	struct merge m = {.view = v, .answer = a, .asleep = walk->asleep, .why = v->why};

	if (!v->present)
		return;
	if (!v->why)
		merge_all(&m, walk);
	a->head.language = m.why;
}
