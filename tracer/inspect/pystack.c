/* SPDX-License-Identifier: MIT */
/*
 * The interpreter evaluates in one function; each of its native frames stands for as many of Python
 * as it has run into each other. Where the
 * numbers of both do not agree, none is believed.
 */
#include "inspect/pystack.h"

#include <string.h>

#include "inspect/pytask.h"

#define EVALUATOR "_PyEval_EvalFrameDefault"

/* The worker has one thread: what is large is static. */
struct merge {
	struct pyview *view;
	struct answer *answer;
	struct pyframe frames[PYFRAME_MAX];
	size_t nframes, next; /* the next one that has no place yet */
	bool cut;	      /* there are more frames of Python */
	struct message_frame out[INSPECTOR_FRAMES_MAX];
	size_t nout;
	bool full;
};

/* The offset of a text object, read once; 0: it cannot be read. */
static uint32_t text_of(struct merge *m, uint64_t object)
{
	char text[MESSAGE_TEXT_MAX];
	uint32_t offset;

	if (answer_has_object(m->answer, object, &offset))
		return offset;
	if (!pyobject_text(m->view, object, text, sizeof(text)))
		return 0;
	return answer_object(m->answer, object, text);
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
	if (m->next >= m->nframes)
		return false;
	for (bool last = false; m->next < m->nframes && !last;) {
		const struct pyframe *f = &m->frames[m->next++];
		last = f->last;
		if (f->hidden || m->nout == INSPECTOR_FRAMES_MAX) {
			m->full |= !f->hidden;
			continue;
		}
		struct message_frame frame = {.flags = MESSAGE_FRAME_PYTHON,
					      .function = text_of(m, f->name),
					      .file = text_of(m, f->file)};
		frame.line = frame.file ? pyframe_line(m->view, f) : 0;
		put(m, &frame);
	}
	return true;
}

static bool is_evaluator(const struct answer *a, const struct message_frame *f)
{
	const char *name = a->text + f->function;
	size_t n = strlen(EVALUATOR);

	/* a compiler's part of it is called .cold, .lto_priv.0 */
	return strncmp(name, EVALUATOR, n) == 0 && (!name[n] || name[n] == '.');
}

/* The own frame of the run that comes next; NULL: no more runs, or its end was not read. */
static const struct pyframe *next_run(const struct merge *m)
{
	for (size_t i = m->next; i < m->nframes; i++)
		if (m->frames[i].last)
			return &m->frames[i];
	return NULL;
}

/* Since 3.14 compilers put most of the evaluator into a part that has no name: it is where a run's
 * own frame lies on the stack. Where the rest of Python's frames is one whose end was not read, it
 * ends the stack. False when it runs more often than there are frames for it. */
static bool place_by_stack(struct merge *m)
{
	const struct answer *a = m->answer;

	for (size_t i = 0; i < a->head.nframes; i++) {
		size_t real = i, next;
		while (real + 1 < a->head.nframes && a->frames[real].flags & MESSAGE_FRAME_INLINED)
			real++;
		next = real + 1;
		const struct message_frame *f = &a->frames[real];
		const struct pyframe *run = next_run(m);
		bool named = is_evaluator(a, f);
		if (!run && m->next < m->nframes && (m->next || named || !f->function))
			break;
		if (run && next < a->head.nframes && run->address >= f->sp &&
		    run->address < a->frames[next].sp) {
			put_run(m);
			if (named || !f->function)
				i = next;
		} else if (named && !m->cut) {
			return false;
		}
		for (; i <= real; i++)
			put(m, &a->frames[i]);
		i = real;
	}
	return true;
}

/* False when the evaluator runs more often than there are frames for it. */
static bool place_by_name(struct merge *m)
{
	const struct answer *a = m->answer;

	for (size_t i = 0; i < a->head.nframes; i++) {
		size_t real = i; /* behind those that are inlined into it */
		while (real + 1 < a->head.nframes && a->frames[real].flags & MESSAGE_FRAME_INLINED)
			real++;
		if (!is_evaluator(a, &a->frames[real])) {
			put(m, &a->frames[i]);
			continue;
		}
		if (!put_run(m)) {
			if (!m->cut)
				return false;
			put(m, &a->frames[real]);
		}
		i = real;
	}
	return true;
}

static void name_task(struct merge *m, uint32_t tid, const struct inspector_chain *seen)
{
	struct message_task *t = &m->answer->head.task;
	const struct pyframe *coro;
	char name[MESSAGE_TEXT_MAX];
	uint64_t address;

	if (seen ? !pytask_take(m->view, seen->tasks, INSPECTOR_SEEN_TASKS, m->frames, m->nframes,
				&address, &coro, name, sizeof(name))
		 : !pytask_find(m->view, tid, m->frames, m->nframes, &address, &coro, name,
				sizeof(name)))
		return;
	*t = (struct message_task){.address = address,
				   .name = answer_copy(m->answer, name),
				   .function = text_of(m, coro->name),
				   .file = text_of(m, coro->file),
				   .line = coro->first > 0 ? coro->first : 0};
}

static enum message_why take_frames(struct merge *m, const struct message_job *job,
				    const struct inspector_chain *seen)
{
	enum message_why why;

	if (seen) {
		m->nframes = seen->count;
		m->cut = seen->cut;
		why = pyframe_take(m->view, seen->frames, seen->count, m->frames);
	} else {
		why = pyframe_walk(m->view, job->python, m->frames, &m->nframes, &m->cut);
	}
	/* each thread's chain begins with a frame that no run is for */
	if (!why && m->view->layout.minor >= 15 && !m->cut && m->nframes &&
	    m->frames[m->nframes - 1].hidden && m->frames[m->nframes - 1].last)
		m->nframes--;
	return why;
}

static enum message_why merge(struct merge *m, const struct message_job *job,
			      const struct inspector_chain *seen)
{
	struct answer *a = m->answer;
	bool broken = a->head.why || a->head.flags & MESSAGE_RESULT_TRUNCATED;

	if (m->view->why)
		return m->view->why;
	enum message_why why = take_frames(m, job, seen);
	if (why)
		return why;
	name_task(m, job->python, seen); /* first: there is room for its name */
	bool by_stack = m->view->layout.minor >= 14;
	if (!(by_stack ? place_by_stack(m) : place_by_name(m)))
		return MESSAGE_WHY_NO_FIT;
	/* the native stack ends early: what it would have had among these is not known */
	if (m->next < m->nframes && !broken && !(by_stack && !next_run(m)))
		return MESSAGE_WHY_NO_FIT;
	while (put_run(m))
		;
	memcpy(a->frames, m->out, m->nout * sizeof(m->out[0]));
	a->head.nframes = (uint32_t)m->nout;
	if (m->full || m->cut)
		a->head.flags |= MESSAGE_RESULT_TRUNCATED;
	return MESSAGE_WHY_NONE;
}

void pystack_merge_view(struct pyview *v, const struct message_job *job,
			const struct inspector_chain *seen, struct answer *a)
{
	static struct merge m;

	m = (struct merge){.view = v, .answer = a};
	a->head.language = merge(&m, job, seen);
	if (a->head.language)
		a->head.task = (struct message_task){0};
}

void pystack_merge(struct space *s, const struct message_job *job, const uint8_t *stack,
		   struct answer *a, unwind_phase_fn *phase, void *arg)
{
	static struct inspector_chain seen;
	struct pyview *v = pyview_get(s, phase, arg);

	if (job->chain)
		memcpy(&seen, stack + job->size, sizeof(seen));
	if (job->chain && seen.count > INSPECTOR_PYFRAMES_MAX)
		v = NULL;
	if (v)
		pystack_merge_view(v, job, job->chain ? &seen : NULL, a);
	else
		a->head.language = MESSAGE_WHY_UNREADABLE;
}
