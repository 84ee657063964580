/* SPDX-License-Identifier: MIT */
/*
 * Whether the turn that a stall held was one long callback or many short ones. A ring knows the
 * steps of tasks; without one the samples tell it where the callbacks differ: one that is seen for
 * no more than a third of the turn has not held it.
 */
#include "analysis/internal.h"

#include <string.h>

/* What runs is not told apart from more of them; the rest is too little to change the answer. */
#define CALLBACKS_MAX 64

struct share {				  /* of a turn: one of the two says whose */
	int64_t callback;		  /* of a loop in C, a task's id; 0 none */
	const struct store_frame *script; /* what an interpreter's loop called; NULL none */
	uint64_t ns;
};

/* The outermost frame of a script that its loop called and that is nobody's runtime. NULL unknown.
 */
static const struct store_frame *called_script(const struct store_stack *stack)
{
	bool dispatched = false;

	for (size_t i = stack->nframes; i-- > 0;) {
		const struct store_frame *f = &stack->frames[i];

		if (site_is_dispatch(f))
			dispatched = true;
		else if (dispatched && !site_is_runtime(f))
			return f->function && *f->function ? f : NULL;
	}
	return NULL;
}

static struct share share_of(const struct analysis *a, const struct store_sample *p)
{
	const struct analysis_task *t = analysis_task_of(a, p->task);
	const struct analysis_stack *k = analysis_stack_of(a, p->stack);

	if (t && t->row.kind == STORE_TASK_CALLBACK)
		return (struct share){.callback = p->task};
	return (struct share){.script = k ? called_script(&k->row) : NULL};
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_share(const struct share *a, const struct share *b)
{
	if (!a->script || !b->script)
		return a->callback == b->callback && a->script == b->script;
	return !strcmp(a->script->function, b->script->function) &&
	       same_text(a->script->module, b->script->module) &&
	       same_text(a->script->file, b->script->file);
}

static enum turn turn_of_shares(uint64_t most, uint64_t known, uint64_t duration)
{
	if (most > duration / 3)
		return TURN_UNKNOWN;
	return known / 2 >= duration / 3 ? TURN_MANY : TURN_UNKNOWN;
}

static enum turn turn_of_samples(const struct analysis *a, const struct analysis_stall *s)
{
	struct share shares[CALLBACKS_MAX];
	uint64_t most = 0, known = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->nsamples; i++) {
		const struct store_sample *p = &a->samples[s->first_sample + i].row;
		struct share of = share_of(a, p);
		size_t at = 0;

		if (!of.callback && !of.script)
			continue;
		while (at < n && !same_share(&shares[at], &of))
			at++;
		if (at == CALLBACKS_MAX)
			continue;
		if (at == n)
			shares[n++] = of;
		shares[at].ns = add_sat(shares[at].ns, p->ns);
		if (shares[at].ns > most)
			most = shares[at].ns;
		known = add_sat(known, p->ns);
	}
	return turn_of_shares(most, known, s->row.duration_ns);
}

enum turn turn_of(const struct analysis *a, const struct analysis_stall *s)
{
	uint64_t most = 0, known = 0;

	if (!s->nculprits)
		return turn_of_samples(a, s);
	for (size_t i = 0; i < s->nculprits; i++) {
		uint64_t ns = a->culprits[s->first_culprit + i].ns;

		known = add_sat(known, ns);
		if (ns > most)
			most = ns;
	}
	if (most > s->row.duration_ns / 3)
		return TURN_ONE;
	/* of hundreds of steps the capture has the longest; the samples lie in any of them */
	if (known < s->sampled_tasks_ns)
		known = s->sampled_tasks_ns;
	return turn_of_shares(most, known, s->row.duration_ns);
}
