/* SPDX-License-Identifier: MIT */
/*
 * Puts rows to their stalls: blocks, samples and culprits by the stall they name, ready waits and
 * marks by time. Then says of each stall what caused it and where.
 */
#include "analysis/internal.h"
#include "analysis/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define OVERLAP_MIN_NS LSC_NS_PER_MS /* a wait that ended as the stall began is not its victim */
#define VICTIMS_MAX    1000000
#define SITES_COMPARED 64 /* within one stall */
#define OVERLAP_STALLS 64 /* stalls that one wait may reach into; more is not believed */

struct by_id {
	int64_t id;
	size_t index;
};

#define COMPARE(x, y) (((x) > (y)) - ((x) < (y)))

static int by_id(const void *x, const void *y)
{
	return COMPARE(((const struct by_id *)x)->id, ((const struct by_id *)y)->id);
}

static int stall_by_time(const void *x, const void *y)
{
	const struct store_stall *a = &((const struct analysis_stall *)x)->row;
	const struct store_stall *b = &((const struct analysis_stall *)y)->row;
	int r = COMPARE(a->start_ns, b->start_ns);

	return r ? r : COMPARE(a->id, b->id);
}

static int block_by_stall(const void *x, const void *y)
{
	const struct analysis_block *a = x, *b = y;
	int r = COMPARE(a->stall, b->stall);

	r = r ? r : COMPARE(a->row.start_ns, b->row.start_ns);
	return r ? r : COMPARE(a->row.id, b->row.id);
}

static int sample_by_stall(const void *x, const void *y)
{
	const struct analysis_sample *a = x, *b = y;
	int r = COMPARE(a->stall, b->stall);

	r = r ? r : COMPARE(a->row.loop, b->row.loop);
	return r ? r : COMPARE(a->row.stack, b->row.stack);
}

static int culprit_by_stall(const void *x, const void *y)
{
	const struct store_culprit *a = x, *b = y;
	int r = COMPARE(a->stall, b->stall);

	r = r ? r : COMPARE(b->ns, a->ns);
	return r ? r : COMPARE(a->task, b->task);
}

static int wait_by_loop(const void *x, const void *y)
{
	const struct store_wait *a = x, *b = y;
	int r = COMPARE(a->loop, b->loop);

	r = r ? r : COMPARE(a->ready_ns, b->ready_ns);
	return r ? r : COMPARE(a->id, b->id);
}

static int mark_by_loop(const void *x, const void *y)
{
	const struct store_mark *a = x, *b = y;
	int r = COMPARE(a->loop, b->loop);

	return r ? r : COMPARE(a->ts_ns, b->ts_ns);
}

static int victim_by_stall(const void *x, const void *y)
{
	const struct victim *a = x, *b = y;
	int r = COMPARE(a->stall, b->stall);

	r = r ? r : COMPARE(b->ns, a->ns);
	return r ? r : COMPARE(a->wait, b->wait);
}

static void sort(void *rows, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	if (n)
		qsort(rows, n, size, compare);
}

uint64_t relate_overlap(uint64_t start1, uint64_t len1, uint64_t start2, uint64_t len2)
{
	uint64_t from = start1 > start2 ? start1 : start2;
	uint64_t end1 = add_sat(start1, len1), end2 = add_sat(start2, len2);
	uint64_t to = end1 < end2 ? end1 : end2;

	return to > from ? to - from : 0;
}

static size_t stall_index(const struct by_id *ids, size_t n, int64_t id)
{
	const struct by_id key = {.id = id};
	const struct by_id *found = id && n ? bsearch(&key, ids, n, sizeof(*ids), by_id) : NULL;

	return found ? found->index : ANALYSIS_NONE;
}

static void put_blocks(struct analysis *a, const struct by_id *ids)
{
	for (size_t i = 0; i < a->nblocks; i++)
		a->blocks[i].stall = stall_index(ids, a->nstalls, a->blocks[i].row.stall);
	sort(a->blocks, a->nblocks, sizeof(*a->blocks), block_by_stall);
	for (size_t i = a->nblocks; i-- > 0;) {
		if (a->blocks[i].stall == ANALYSIS_NONE)
			continue;
		struct analysis_stall *s = &a->stalls[a->blocks[i].stall];
		s->first_block = i;
		s->nblocks++;
	}
}

/* Samples of one stack within one stall (or outside of any, on one loop) become one. */
static void put_samples(struct analysis *a, const struct by_id *ids)
{
	size_t n = 0;

	for (size_t i = 0; i < a->nsamples; i++) {
		struct analysis_sample *p = &a->samples[i];
		p->stall = stall_index(ids, a->nstalls, p->row.stall);
		if (p->stall == ANALYSIS_NONE || !p->row.task)
			continue;
		struct analysis_stall *s = &a->stalls[p->stall];
		s->sampled_tasks_ns = add_sat(s->sampled_tasks_ns, p->row.ns);
	}
	sort(a->samples, a->nsamples, sizeof(*a->samples), sample_by_stall);
	for (size_t i = 0; i < a->nsamples; i++) {
		if (n && !sample_by_stall(&a->samples[n - 1], &a->samples[i]))
			a->samples[n - 1].row.ns =
				add_sat(a->samples[n - 1].row.ns, a->samples[i].row.ns);
		else
			a->samples[n++] = a->samples[i];
	}
	a->nsamples = n;
	for (size_t i = n; i-- > 0;) {
		if (a->samples[i].stall == ANALYSIS_NONE)
			continue;
		struct analysis_stall *s = &a->stalls[a->samples[i].stall];
		s->first_sample = i;
		s->nsamples++;
	}
}

static void put_culprits(struct analysis *a, const struct by_id *ids)
{
	sort(a->culprits, a->nculprits, sizeof(*a->culprits), culprit_by_stall);
	for (size_t i = a->nculprits; i-- > 0;) {
		size_t at = stall_index(ids, a->nstalls, a->culprits[i].stall);
		struct analysis_task *t = analysis_task_of(a, a->culprits[i].task);

		if (at == ANALYSIS_NONE)
			continue;
		a->stalls[at].first_culprit = i;
		a->stalls[at].nculprits++;
		if (t)
			t->referenced = true;
	}
}

struct by_loop {
	int64_t loop;
	uint64_t start_ns;
	size_t index;
};

static int stall_by_loop(const void *x, const void *y)
{
	const struct by_loop *a = x, *b = y;
	int r = COMPARE(a->loop, b->loop);

	return r ? r : COMPARE(a->start_ns, b->start_ns);
}

static int put_wait(struct analysis *a, const struct by_loop *order, size_t wait)
{
	const struct store_wait *w = &a->waits[wait];
	const struct by_loop key = {.loop = w->loop, .start_ns = w->ready_ns};
	size_t low = 0, high = a->nstalls;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (stall_by_loop(&order[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low > 0) /* stalls of a loop follow each other: only the one before may reach in */
		low--;
	for (size_t n = 0; low < a->nstalls && n < OVERLAP_STALLS; low++, n++) {
		struct analysis_stall *s = &a->stalls[order[low].index];

		if (s->row.loop > w->loop)
			break;
		if (s->row.loop != w->loop || (w->task && w->task == s->row.task))
			continue;
		uint64_t ns = relate_overlap(s->row.start_ns, s->row.duration_ns, w->ready_ns,
					     w->wait_ns);
		if (ns < OVERLAP_MIN_NS && (!ns || ns < w->wait_ns))
			continue;
		if (a->nvictims == VICTIMS_MAX)
			return -ENOSPC;
		struct victim *v = rows_push(&a->victims, &a->nvictims, sizeof(*v));
		if (!v)
			return -ENOMEM;
		*v = (struct victim){order[low].index, wait, ns};
	}
	return 0;
}

static int put_waits(struct analysis *a)
{
	struct by_loop *order = calloc(a->nstalls + 1, sizeof(*order));
	int r = order ? 0 : -ENOMEM;

	sort(a->waits, a->nwaits, sizeof(*a->waits), wait_by_loop);
	for (size_t i = 0; !r && i < a->nstalls; i++)
		order[i] = (struct by_loop){a->stalls[i].row.loop, a->stalls[i].row.start_ns, i};
	if (!r)
		sort(order, a->nstalls, sizeof(*order), stall_by_loop);
	for (size_t i = 0; !r && i < a->nwaits; i++)
		r = put_wait(a, order, i);
	free(order);
	if (r == -ENOSPC)
		r = load_unseen(a, "victims", "more ready waits lie in stalls than are related", 0);
	sort(a->victims, a->nvictims, sizeof(*a->victims), victim_by_stall);
	for (size_t i = a->nvictims; i-- > 0;) {
		const struct victim *v = &a->victims[i];
		struct analysis_stall *s = &a->stalls[v->stall];
		struct analysis_task *t = analysis_task_of(a, a->waits[v->wait].task);

		s->first_victim = i;
		s->nvictims++;
		s->victim_sum_ns = add_sat(s->victim_sum_ns, v->ns);
		s->victim_max_ns = v->ns;
		if (t)
			t->referenced = true;
	}
	return r;
}

/* The first mark of the loop that is not earlier. */
static size_t mark_from(const struct analysis *a, int64_t loop, uint64_t ns)
{
	const struct store_mark key = {.loop = loop, .ts_ns = ns};
	size_t low = 0, high = a->nmarks;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mark_by_loop(&a->marks[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void put_marks(struct analysis *a)
{
	sort(a->marks, a->nmarks, sizeof(*a->marks), mark_by_loop);
	for (size_t i = 0; i < a->nstalls; i++) {
		struct analysis_stall *s = &a->stalls[i];
		uint64_t end_ns = add_sat(s->row.start_ns, s->row.duration_ns);

		s->first_mark = mark_from(a, s->row.loop, s->row.start_ns);
		s->nmarks = mark_from(a, s->row.loop, add_sat(end_ns, 1)) - s->first_mark;
		for (size_t m = 0; m < s->nmarks && m < ANALYSIS_MARKS_MAX; m++) {
			struct analysis_task *t =
				analysis_task_of(a, a->marks[s->first_mark + m].task);

			if (t)
				t->referenced = true;
		}
	}
}

static bool is_cpu(enum lsc_cause cause)
{
	return CPU_CAUSES & CAUSE_BIT(cause);
}

/* How much of the application's own a site must be: so much as a quarter of the samples reach.
 * Where stacks could not be walked to their ends, others tell what they ran for. */
static int least_rank(const struct analysis *a, const struct analysis_stall *s)
{
	uint64_t ns[SITE_RANKS] = {0}, all = 0, reached = 0;
	int rank = SITE_RANKS;

	for (size_t i = 0; i < s->nsamples; i++) {
		const struct store_sample *p = &a->samples[s->first_sample + i].row;
		const struct analysis_stack *k = analysis_stack_of(a, p->stack);

		if (!k || !k->site.function)
			continue;
		ns[k->site.rank] = add_sat(ns[k->site.rank], p->ns);
		all = add_sat(all, p->ns);
	}
	while (--rank > 0) {
		reached = add_sat(reached, ns[rank]);
		if (reached && reached >= all / 4)
			break;
	}
	return rank;
}

/* The site on which most of the stall's samples lie, whatever the stacks above it. */
static const struct site *hottest_site(const struct analysis *a, const struct analysis_stall *s)
{
	int least = least_rank(a, s);
	struct {
		const struct site *site;
		uint64_t ns;
	} sites[SITES_COMPARED];
	size_t n = 0, best = 0;

	for (size_t i = 0; i < s->nsamples; i++) {
		const struct store_sample *p = &a->samples[s->first_sample + i].row;
		const struct analysis_stack *k = analysis_stack_of(a, p->stack);
		size_t at = 0;

		if (!k || !k->site.function || k->site.rank < least)
			continue;
		while (at < n && (sites[at].site->function != k->site.function ||
				  sites[at].site->file != k->site.file))
			at++;
		if (at == SITES_COMPARED)
			continue;
		if (at == n) {
			sites[at].site = &k->site;
			sites[n++].ns = 0;
		}
		sites[at].ns = add_sat(sites[at].ns, p->ns);
	}
	for (size_t i = 1; i < n; i++)
		if (sites[i].ns > sites[best].ns)
			best = i;
	return n ? sites[best].site : NULL;
}

/* The site of a block of that cause, if it has one and lasted as long. NULL: neither. */
static const struct site *site_of_block(const struct analysis *a, const struct store_block *b,
					enum lsc_cause cause, uint64_t least_ns)
{
	const struct analysis_stack *k = analysis_stack_of(a, b->stack);

	return b->cause == cause && b->duration_ns >= least_ns && k && k->site.function ? &k->site
											: NULL;
}

/* The site of the longest block, or of another that lasted for a quarter as long and whose stack
 * shows more of the application: of many short waits for CPython's lock few are looked into. */
static const struct site *blocked_site(const struct analysis *a, const struct analysis_stall *s)
{
	const struct store_block *b;
	const struct site *best = NULL, *site;
	uint64_t longest_ns = 0, best_ns = 0;

	for (size_t i = 0; i < s->nblocks; i++) {
		b = &a->blocks[s->first_block + i].row;
		if (site_of_block(a, b, s->cause, longest_ns))
			longest_ns = b->duration_ns;
	}
	for (size_t i = 0; i < s->nblocks; i++) {
		b = &a->blocks[s->first_block + i].row;
		site = site_of_block(a, b, s->cause, longest_ns / 4);
		if (site && (!best || site->rank > best->rank ||
			     (site->rank == best->rank && b->duration_ns >= best_ns))) {
			best = site;
			best_ns = b->duration_ns;
		}
	}
	return best;
}

/* The site of a callback that ended in the call: what is left on its stack is not to blame. */
static void clear_site(struct analysis *a, int64_t task, int64_t stack)
{
	const struct analysis_task *t = analysis_task_of(a, task);

	if (!t || t->row.kind != STORE_TASK_CALLBACK || !t->row.name ||
	    strncmp(t->row.name, STORE_CALLED_FROM, strlen(STORE_CALLED_FROM)) != 0)
		return;
	const struct analysis_stack *k = analysis_stack_of(a, stack);
	if (k)
		a->stacks[k - a->stacks].site = (struct site){0};
}

static void clear_sites(struct analysis *a)
{
	for (size_t i = 0; i < a->nblocks; i++)
		clear_site(a, a->blocks[i].row.task, a->blocks[i].row.stack);
	for (size_t i = 0; i < a->nsamples; i++)
		clear_site(a, a->samples[i].row.task, a->samples[i].row.stack);
}

static bool same_site(const struct site *x, const struct site *y)
{
	return x->function == y->function && x->file == y->file;
}

/* Of a turn that computes in one place and waits in another, the stack and the task are those of
 * the place that it is put down to. */
static void take_place(const struct analysis *a, struct analysis_stall *s)
{
	const struct analysis_stack *k = analysis_stack_of(a, s->row.stack);
	const struct store_sample *best = NULL;

	if (k && same_site(&k->site, &s->site))
		return;
	for (size_t i = 0; i < s->nsamples; i++) {
		const struct store_sample *p = &a->samples[s->first_sample + i].row;

		k = analysis_stack_of(a, p->stack);
		if (k && same_site(&k->site, &s->site) && (!best || p->ns > best->ns))
			best = p;
	}
	if (!best)
		return;
	s->row.stack = best->stack;
	if (s->row.mode != STORE_MODE_RING) /* which knows its tasks by itself */
		s->row.task = best->task;
}

static void conclude(struct analysis *a, struct analysis_stall *s)
{
	const struct analysis_stack *k;
	const struct site *site;

	for (int c = 0; c < LSC_CAUSE_COUNT; c++)
		if (s->row.split[c] > s->row.split[s->cause])
			s->cause = (enum lsc_cause)c;
	if (!s->row.split[s->cause])
		s->cause = LSC_CAUSE_OTHER;
	if (!s->row.stack) {
		uint64_t most = 0;

		for (size_t i = 0; i < s->nblocks; i++) {
			const struct store_block *b = &a->blocks[s->first_block + i].row;

			if (b->stack && b->duration_ns > most) {
				most = b->duration_ns;
				s->row.stack = b->stack;
			}
		}
		for (size_t i = 0; !s->nblocks && i < s->nsamples; i++) {
			const struct store_sample *p = &a->samples[s->first_sample + i].row;

			if (p->stack && p->ns > most) {
				most = p->ns;
				s->row.stack = p->stack;
			}
		}
	}
	site = is_cpu(s->cause) ? hottest_site(a, s) : blocked_site(a, s);
	k = analysis_stack_of(a, s->row.stack);
	if (!site && k && k->site.function)
		site = &k->site;
	if (site)
		s->site = *site;
	if (site && is_cpu(s->cause))
		take_place(a, s);
	s->rule = rules_explaining(a, s);
	a->stalled_ns = add_sat(a->stalled_ns, s->row.duration_ns);
	if (s->row.duration_ns > a->worst_ns)
		a->worst_ns = s->row.duration_ns;
	struct analysis_task *t = analysis_task_of(a, s->row.task);
	if (t)
		t->referenced = true;
}

/* A loop's own numbers are from the last time it was written: the stalls that are there count. */
static int count_by_loop(struct analysis *a)
{
	struct seen {
		uint64_t count, ns;
	} *seen = calloc(a->nloops + 1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < a->nstalls; i++) {
		const struct store_loop *l = analysis_loop_of(a, a->stalls[i].row.loop);

		if (!l)
			continue;
		struct seen *at = &seen[l - a->loops];
		at->count++;
		at->ns = add_sat(at->ns, a->stalls[i].row.duration_ns);
	}
	for (size_t i = 0; i < a->nloops; i++) {
		struct store_loop *l = &a->loops[i];

		a->loops_stalled += seen[i].count > 0;
		l->stall_count = seen[i].count > l->stall_count ? seen[i].count : l->stall_count;
		l->stalled_ns = seen[i].ns > l->stalled_ns ? seen[i].ns : l->stalled_ns;
	}
	free(seen);
	return 0;
}

int relate_all(struct analysis *a)
{
	struct by_id *ids = calloc(a->nstalls + 1, sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	sort(a->stalls, a->nstalls, sizeof(*a->stalls), stall_by_time);
	for (size_t i = 0; i < a->nstalls; i++)
		ids[i] = (struct by_id){a->stalls[i].row.id, i};
	sort(ids, a->nstalls, sizeof(*ids), by_id);
	put_blocks(a, ids);
	put_samples(a, ids);
	put_culprits(a, ids);
	free(ids);
	clear_sites(a);
	put_marks(a);
	int r = put_waits(a);
	for (size_t i = 0; !r && i < a->nstalls; i++)
		conclude(a, &a->stalls[i]);
	return r ? r : count_by_loop(a);
}
