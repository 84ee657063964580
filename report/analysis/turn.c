/* SPDX-License-Identifier: MIT */
/*
 * Whether the turn that a stall held was one long callback or many short ones. A ring knows the
 * steps of tasks; without one the samples tell it where the callbacks differ: what a loop library
 * dispatched is a callback, and one that is seen for no more than a third of the turn has not held
 * it.
 */
#include "analysis/internal.h"

#include <string.h>

/* What runs is not told apart from more of them; the rest is too little to change the answer. */
#define CALLBACKS_MAX 64

struct share {
	const struct store_frame *callback;
	uint64_t ns;
};

/* Leaf first: the outermost frame that a loop library dispatched and that is nobody's runtime. NULL
 * unknown. */
static const struct store_frame *callback_of(const struct store_stack *stack)
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

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_callback(const struct store_frame *a, const struct store_frame *b)
{
	return !strcmp(a->function, b->function) && same_text(a->module, b->module) &&
	       same_text(a->file, b->file);
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
		const struct analysis_stack *k = analysis_stack_of(a, p->stack);
		const struct store_frame *f = k ? callback_of(&k->row) : NULL;
		size_t at = 0;

		if (!f)
			continue;
		while (at < n && !same_callback(shares[at].callback, f))
			at++;
		if (at == CALLBACKS_MAX)
			continue;
		if (at == n)
			shares[n++] = (struct share){.callback = f};
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
