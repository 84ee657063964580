/* SPDX-License-Identifier: MIT */
/*
 * The interpreter evaluates in one function; each of its native frames stands for as many of Python
 * as it has run into each other. The leaf alone may stand for none: that function lists its frame a
 * few instructions after it has begun, and takes it off the list a few before it ends. Where the
 * numbers of both do not agree else, none is believed.
 */
#include "inspect/pystack.h"

#include <string.h>

#define EVALUATOR   "_PyEval_EvalFrameDefault"
#define CHECK	    "_Py_CheckFunctionResult"
#define CHECK_DEPTH 4 /* it calls others */

/* The worker has one thread: what is large is static. */
struct merge {
	const struct pychain *chain;
	struct answer *answer;
	size_t next; /* the next frame that has no place yet */
	struct message_frame out[INSPECTOR_FRAMES_MAX];
	size_t nout;
	bool full;
	bool done; /* they are among the frames, if not all of them with a name */
};

static uint32_t text_of(struct merge *m, uint32_t offset)
{
	return answer_text(m->answer, m->chain->text + offset);
}

static void put(struct merge *m, const struct message_frame *frame)
{
	if (m->nout < INSPECTOR_FRAMES_MAX)
		m->out[m->nout++] = *frame;
	else
		m->full = true;
}

/* One run of the evaluator; false when there is none left. */
static bool put_run(struct merge *m)
{
	if (m->next >= m->chain->n)
		return false;
	for (bool last = false; m->next < m->chain->n && !last;) {
		const struct pychain_frame *f = &m->chain->frames[m->next++];
		last = f->last;
		if (f->hidden || m->nout == INSPECTOR_FRAMES_MAX) {
			m->full |= !f->hidden;
			continue;
		}
		struct message_frame frame = {.flags = MESSAGE_FRAME_PYTHON,
					      .function = text_of(m, f->function),
					      .file = text_of(m, f->file)};
		frame.line = frame.file ? f->line : 0;
		put(m, &frame);
	}
	return true;
}

/* A compiler's part of the function is called .cold, .lto_priv.0. */
static bool is_of(const struct answer *a, const struct message_frame *f, const char *function)
{
	const char *name = a->text + f->function;
	size_t n = strlen(function);

	return strncmp(name, function, n) == 0 && (!name[n] || name[n] == '.');
}

static bool is_evaluator(const struct answer *a, const struct message_frame *f)
{
	return is_of(a, f, EVALUATOR);
}

/* The last of the frames at one place, into which those before are inlined. */
static size_t real_frame(const struct answer *a, size_t i)
{
	while (i + 1 < a->head.nframes && a->frames[i].flags & MESSAGE_FRAME_INLINED)
		i++;
	return i;
}

/* The own frame of the run that comes next; NULL: no more runs, or its end was not read. */
static const struct pychain_frame *next_run(const struct merge *m)
{
	for (size_t i = m->next; i < m->chain->n; i++)
		if (m->chain->frames[i].last)
			return &m->chain->frames[i];
	return NULL;
}

/* Since 3.14 compilers put most of the evaluator into a part that has no name: it is where a run's
 * own frame lies on the stack. Where the rest of Python's frames is one whose end was not read, it
 * ends the stack. False when it runs more often than there are frames for it. */
static bool place_by_stack(struct merge *m)
{
	const struct answer *a = m->answer;

	for (size_t i = 0; i < a->head.nframes; i++) {
		size_t real = real_frame(a, i), next = real + 1;
		const struct message_frame *f = &a->frames[real];
		const struct pychain_frame *run = next_run(m);
		bool named = is_evaluator(a, f);
		if (!run && m->next < m->chain->n && (m->next || named || !f->function))
			break;
		if (run && next < a->head.nframes && run->address >= f->sp &&
		    run->address < a->frames[next].sp) {
			put_run(m);
			if (named || !f->function)
				i = next;
		} else if (named && !i) {
			i = next;
		} else if (named && !m->chain->cut) {
			return false;
		}
		for (; i <= real; i++)
			put(m, &a->frames[i]);
		i = real;
	}
	return true;
}

/* Where a leaf begins that is a run of the evaluator which none of the frames is of; up to 3.10 it
 * has its result checked when it has none any more. SIZE_MAX: there is none. */
static size_t find_bare(const struct merge *m)
{
	const struct answer *a = m->answer;
	size_t runs = 0, evaluators = 0, at = 0;

	for (size_t i = 0; m->chain->minor <= 10 && i < a->head.nframes && i < CHECK_DEPTH; i++)
		if (is_of(a, &a->frames[i], CHECK))
			at = i + 1;
	if (m->chain->cut || at >= a->head.nframes ||
	    !is_evaluator(a, &a->frames[real_frame(a, at)]))
		return SIZE_MAX;
	for (size_t i = 0; i < m->chain->n; i++)
		runs += m->chain->frames[i].last;
	for (size_t i = 0; i < a->head.nframes; i = real_frame(a, i) + 1)
		evaluators += is_evaluator(a, &a->frames[real_frame(a, i)]);
	return evaluators == runs + 1 ? at : SIZE_MAX;
}

/* False when the evaluator runs more often than there are frames for it. */
static bool place_by_name(struct merge *m)
{
	const struct answer *a = m->answer;
	size_t bare = find_bare(m);

	for (size_t i = 0; i < a->head.nframes; i++) {
		size_t real = real_frame(a, i);
		if (!is_evaluator(a, &a->frames[real])) {
			put(m, &a->frames[i]);
			continue;
		}
		if (i != bare && !put_run(m)) {
			if (!m->chain->cut)
				return false;
			put(m, &a->frames[real]);
		}
		i = real;
	}
	return true;
}

static void take_task(struct merge *m)
{
	struct message_task *t = &m->answer->head.task;

	*t = m->chain->task;
	t->name = answer_copy(m->answer, m->chain->text + t->name);
	t->function = text_of(m, t->function);
	t->file = text_of(m, t->file);
}

static enum message_why merge(struct merge *m)
{
	struct answer *a = m->answer;
	bool broken = a->head.why || a->head.flags & MESSAGE_RESULT_TRUNCATED;

	if (m->chain->why)
		return m->chain->why;
	take_task(m); /* first: there is room for its name */
	bool by_stack = m->chain->minor >= 14;
	if (!(by_stack ? place_by_stack(m) : place_by_name(m)))
		return MESSAGE_WHY_NO_FIT;
	/* the native stack ends early: what it would have had among these is not known */
	if (m->next < m->chain->n && !broken && !(by_stack && !next_run(m)))
		return MESSAGE_WHY_NO_FIT;
	while (put_run(m))
		;
	m->done = true;
	memcpy(a->frames, m->out, m->nout * sizeof(m->out[0]));
	a->head.nframes = (uint32_t)m->nout;
	if (m->full || m->chain->cut)
		a->head.flags |= MESSAGE_RESULT_TRUNCATED;
	return m->chain->gone ? MESSAGE_WHY_CHANGED : MESSAGE_WHY_NONE;
}

void pystack_merge(const struct pychain *chain, struct answer *a)
{
	static struct merge m;

	m = (struct merge){.chain = chain, .answer = a};
	a->head.language = merge(&m);
	if (!m.done)
		a->head.task = (struct message_task){0};
}
