/* SPDX-License-Identifier: MIT */
/* Where the loops' time went by stack: off the CPU (blocks) and on it (samples), per loop. */
#include "analysis/internal.h"

#include <errno.h>
#include <stdlib.h>

struct weight {
	int64_t loop, stack;
	uint64_t ns;
};

static int by_stack(const void *x, const void *y)
{
	const struct weight *a = x, *b = y;

	if (a->loop != b->loop)
		return a->loop < b->loop ? -1 : 1;
	return (a->stack > b->stack) - (a->stack < b->stack);
}

static int by_weight(const void *x, const void *y)
{
	const struct profile_stack *a = x, *b = y;

	if (a->ns != b->ns)
		return a->ns > b->ns ? -1 : 1;
	return (a->stack > b->stack) - (a->stack < b->stack);
}

/* One profile from the n > 0 weights of one loop, equal stacks side by side. */
static int build(struct analysis *a, enum profile_kind kind, const struct weight *w, size_t n)
{
	struct profile_stack *stacks = calloc(n, sizeof(*stacks));
	size_t at = 0;

	if (!stacks)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!at || stacks[at - 1].stack != w[i].stack)
			stacks[at++].stack = w[i].stack;
		stacks[at - 1].ns = add_sat(stacks[at - 1].ns, w[i].ns);
	}
	qsort(stacks, at, sizeof(*stacks), by_weight);
	struct profile *p = rows_push(&a->profiles, &a->nprofiles, sizeof(*p));
	if (!p) {
		free(stacks);
		return -ENOMEM;
	}
	*p = (struct profile){.kind = kind, .loop = w->loop, .stacks = stacks, .nstacks = at};
	if (at > ANALYSIS_PROFILE_MAX) {
		p->omitted = at - ANALYSIS_PROFILE_MAX;
		p->nstacks = ANALYSIS_PROFILE_MAX;
	}
	return 0;
}

static int split_by_loop(struct analysis *a, enum profile_kind kind, struct weight *w, size_t n)
{
	int r = 0;

	if (n)
		qsort(w, n, sizeof(*w), by_stack);
	for (size_t i = 0, end; !r && i < n; i = end) {
		for (end = i + 1; end < n && w[end].loop == w[i].loop;)
			end++;
		r = build(a, kind, w + i, end - i);
	}
	return r;
}

int profile_all(struct analysis *a)
{
	size_t max = a->nblocks > a->nsamples ? a->nblocks : a->nsamples, n = 0;
	struct weight *w = calloc(max + 1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < a->nblocks; i++)
		if (analysis_stack_of(a, a->blocks[i].row.stack))
			w[n++] = (struct weight){a->blocks[i].row.loop, a->blocks[i].row.stack,
						 a->blocks[i].row.duration_ns};
	int r = split_by_loop(a, PROFILE_BLOCKED, w, n);
	n = 0;
	for (size_t i = 0; i < a->nsamples; i++)
		if (analysis_stack_of(a, a->samples[i].row.stack))
			w[n++] = (struct weight){a->samples[i].row.loop, a->samples[i].row.stack,
						 a->samples[i].row.ns};
	if (!r)
		r = split_by_loop(a, PROFILE_CPU, w, n);
	free(w);
	return r;
}
