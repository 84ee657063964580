/* SPDX-License-Identifier: MIT */
/* The steps of an analysis in their order, and look-ups. */
#include "analysis/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

const char *severity_name(enum severity s)
{
	static const char *const names[SEVERITY_COUNT] = {"info", "warning", "error"};

	return names[s];
}

enum severity severity_of(uint64_t ns)
{
	if (ns >= 100 * LSC_NS_PER_MS)
		return SEVERITY_ERROR;
	return ns >= 50 * LSC_NS_PER_MS ? SEVERITY_WARNING : SEVERITY_INFO;
}

/* All rows that are looked up begin with their id, and the store gives them in order of id. */
static int compare_id(const void *key, const void *row)
{
	int64_t want = *(const int64_t *)key, id;

	memcpy(&id, row, sizeof(id));
	return (want > id) - (want < id);
}

static void *find(const void *rows, size_t n, size_t size, int64_t id)
{
	return id > 0 && n ? bsearch(&id, rows, n, size, compare_id) : NULL;
}

_Static_assert(offsetof(struct store_target, id) == 0 && offsetof(struct store_loop, id) == 0 &&
		       offsetof(struct analysis_task, row.id) == 0 &&
		       offsetof(struct analysis_stack, row.id) == 0,
	       "find() reads the id at the beginning of a row");

const struct store_target *analysis_target_of(const struct analysis *a, int64_t id)
{
	return find(a->targets, a->ntargets, sizeof(*a->targets), id);
}

const struct store_loop *analysis_loop_of(const struct analysis *a, int64_t id)
{
	return find(a->loops, a->nloops, sizeof(*a->loops), id);
}

const struct analysis_stack *analysis_stack_of(const struct analysis *a, int64_t id)
{
	return find(a->stacks, a->nstacks, sizeof(*a->stacks), id);
}

int64_t analysis_holder_stack(const struct analysis *a, const struct analysis_stall *s,
			      const struct store_block *b)
{
	const struct store_block *best = NULL;

	if (b->owner_stack || !b->owner_tid)
		return b->owner_stack;
	for (size_t i = 0; s && i < s->nblocks; i++) {
		const struct store_block *o = &a->blocks[s->first_block + i].row;
		if (o->owner_stack && o->owner_tid == b->owner_tid && o->cause == b->cause &&
		    (!best || o->duration_ns > best->duration_ns))
			best = o;
	}
	return best ? best->owner_stack : 0;
}

const struct store_block *analysis_longest_block(const struct analysis *a,
						 const struct analysis_stall *s)
{
	const struct store_block *longest = NULL;

	for (size_t i = 0; i < s->nblocks; i++) {
		const struct store_block *b = &a->blocks[s->first_block + i].row;

		if (!longest || b->duration_ns > longest->duration_ns)
			longest = b;
	}
	return longest;
}

struct analysis_task *analysis_task_of(const struct analysis *a, int64_t id)
{
	return find(a->tasks, a->ntasks, sizeof(*a->tasks), id);
}

uint64_t analysis_duration_ns(const struct analysis *a)
{
	if (a->start_ns == ANALYSIS_UNKNOWN || a->end_ns == ANALYSIS_UNKNOWN ||
	    a->end_ns < a->start_ns)
		return ANALYSIS_UNKNOWN;
	return a->end_ns - a->start_ns;
}

int analysis_run(struct store *s, struct analysis *ret, struct lsc_err *err)
{
	struct analysis a = {.coverage = -1};
	int r = load_meta(s, &a);

	if (!r)
		r = load_rows(s, &a);
	if (!r)
		r = relate_all(&a);
	if (!r)
		stack_uses_merge(&a);
	if (!r)
		r = profile_all(&a);
	if (!r)
		r = blame_all(&a);
	if (!r)
		r = rules_run(&a);
	if (r < 0) {
		analysis_done(&a);
		return lsc_err_set(err, r,
				   r == -ENOMEM ? "out of memory reading the capture"
						: "the capture is damaged: %s",
				   strerror(-r));
	}
	*ret = a;
	return 0;
}

void analysis_done(struct analysis *a)
{
	for (size_t i = 0; i < a->nfindings; i++) {
		free(a->findings[i].loops.ids);
		free(a->findings[i].tasks.ids);
		free(a->findings[i].stalls.ids);
	}
	for (size_t i = 0; i < a->nprofiles; i++)
		free(a->profiles[i].stacks);
	free(a->targets);
	free(a->loops);
	free(a->tasks);
	free(a->stalls);
	free(a->stacks);
	free(a->blocks);
	free(a->samples);
	free(a->culprits);
	free(a->waits);
	free(a->victims);
	free(a->marks);
	free(a->counters);
	free(a->modes);
	free(a->steps);
	free(a->overhead);
	free(a->stack_uses);
	free(a->unseen);
	free(a->unresolved);
	free(a->findings);
	free(a->blame);
	free(a->profiles);
	finding_ungroup(a);
	arena_done(&a->arena);
	*a = (struct analysis){.coverage = -1};
}
