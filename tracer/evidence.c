/* SPDX-License-Identifier: MIT */
/*
 * Blocks and samples, from the event to the row. A block is written at once and again
 * when its stack or its stall is known; a sample is written when its tick is over.
 */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define PC 16 /* in DWARF's order of registers */

static uint64_t start_sample(struct collector *c, struct loop *l, const struct sample *p,
			     const void *stack, size_t size)
{
	if (p->python)
		return job_unwind_python(c, l, JOB_SAMPLE, p->regs, p->python, stack, size);
	if (target_is_python(l->target))
		ledger_no_frames(c, l,
				 "a sample without the GIL before its thread was known, or of an "
				 "unknown version");
	return job_unwind(c, l, JOB_SAMPLE, p->regs, stack, size);
}

void evidence_put_block(struct collector *c, struct block *b)
{
	if (!collector_is_full(c)) /* or it was lost */
		ledger_stored(c, store_put_block(c->store, &b->row));
}

/* The task that the stack lies in, or the callback. 0: unknown. */
static int64_t task_of_stack(struct collector *c, struct loop *l, const struct inspector_result *r)
{
	int64_t task = task_meet(c, l, &r->task, STORE_TASK_TASK);

	return task ? task : callback_of(c, l, r);
}

/* None of its frames is of the language that the target is written in. */
static bool lacks_language(const struct target *t, const struct inspector_result *r)
{
	for (size_t i = 0; i < r->nframes; i++)
		if (r->frames[i].python || r->frames[i].js)
			return false;
	return target_language(t);
}

static bool lost_code(const struct inspector_result *r)
{
	for (size_t i = 0; i < r->nframes; i++)
		if (r->frames[i].python && !r->frames[i].function)
			return true;
	return false;
}

void evidence_sample_found(struct collector *c, const struct job *j,
			   const struct inspector_result *r)
{
	struct loop *l = j->loop;
	uint64_t cookie = r->cookie;
	int64_t stack = stack_intern_result(c, r), task = task_of_stack(c, l, r);

	l->loses_code |= lost_code(r);
	for (size_t i = 0; i < l->nsamples; i++) {
		if (l->samples[i].job == cookie) {
			l->samples[i].job = 0;
			l->samples[i].row.stack = stack;
			l->samples[i].broken = lacks_language(l->target, r) ? 2
					       : r->truncated || r->why	    ? 1
									    : 0;
			if (!l->samples[i].row.task)
				l->samples[i].row.task = task;
		}
	}
}

/* The block of this tick that slept at the same place in the same frames of Python; NULL: none. */
static const struct block *find_alike(const struct loop *l, const struct event_block *e,
				      const struct inspector_chain *python)
{
	const struct block *b = l->blocks;

	if (!l->alike.chain || l->alike.tick_ns != e->tick_ns || l->alike.pc != e->regs[PC] ||
	    l->alike.sp != e->regs[INSPECTOR_REG_SP] || !chain_is_same(l->alike.chain, python))
		return NULL;
	while (b && b->row.id != l->alike.block)
		b = b->next;
	return b && (b->job || b->row.stack) ? b : NULL;
}

/* Has the stack told, with its frames of Python. Takes python. */
static void tell_python(struct collector *c, struct loop *l, const struct event_block *e,
			struct inspector_chain *python, const void *stack, size_t size,
			struct block *b)
{
	const struct block *alike = find_alike(l, e, python);

	if (alike) {
		b->job = alike->job;
		b->row.stack = alike->row.stack;
		b->looked_into = alike->looked_into;
		if (!b->row.task)
			b->row.task = alike->row.task;
		free(python);
		return;
	}
	b->job = job_unwind_python(c, l, JOB_BLOCK, (const uint64_t *)e->regs, python, stack, size);
	free(l->alike.chain);
	l->alike.chain = python;
	l->alike.pc = e->regs[PC];
	l->alike.sp = e->regs[INSPECTOR_REG_SP];
	l->alike.tick_ns = e->tick_ns;
	l->alike.block = b->row.id;
}

void evidence_block_found(struct collector *c, struct loop *l, const struct inspector_result *r)
{
	int64_t stack = stack_intern_result(c, r), task = task_of_stack(c, l, r);

	for (struct block *b = l->blocks; b; b = b->next) {
		if (b->job != r->cookie)
			continue;
		b->job = 0;
		b->row.stack = stack;
		b->looked_into = !r->truncated && !r->why && !lacks_language(l->target, r);
		if (!b->row.task)
			b->row.task = task;
		evidence_put_block(c, b);
	}
}

static int64_t task_id(const struct loop *l, uint32_t ring_task)
{
	return ring_task ? l->id << 32 | ring_task : 0;
}

/* The block of which e tells a later end; NULL: it is not known. */
static struct block *find_told(const struct loop *l, const struct event_block *e)
{
	struct block *b = e->again ? l->blocks : NULL;

	while (b && b->row.start_ns != e->off_ns)
		b = b->next;
	return b;
}

/* The call went on after it had been interrupted: all of it is one block. */
static void extend(struct collector *c, const struct event_block *e, struct block *b)
{
	decode_block_end(e, b);
	ledger_stored_events(c, store_put_block(c->store, &b->row), 1);
}

void evidence_block(struct collector *c, struct loop *l, const struct event_block *e,
		    const void *stack, size_t size)
{
	struct block *b = find_told(l, e);

	if (b) {
		extend(c, e, b);
		return;
	}
	lsc_autofree struct inspector_chain *python = chain_take(l, e, l->ns_tid);
	b = malloc(sizeof(*b));
	if (!b) {
		ledger_undo(c, LSC_LOSS_STORE_ERROR, 1);
		return;
	}
	bool deep = deep_take(l, e, &stack, &size);
	evidence_retire(c, l, e->tick_ns);
	decode_block_row(e, b);
	b->row.id = ++c->next_block;
	b->row.loop = l->id;
	b->row.task = task_id(l, e->task);
	inquiry_close(c, l, e, python && size, b);
	if (!b->row.stack && size && python)
		tell_python(c, l, e, LSC_TAKE(python), stack, size, b);
	else if (!b->row.stack && size)
		b->job = job_unwind(c, l, JOB_BLOCK, (const uint64_t *)e->regs, stack, size);
	else if (!b->row.stack)
		c->no_stack++;
	if (deep)
		deep_forget(l);
	ledger_stored_events(c, store_put_block(c->store, &b->row), 1);
	c->blocks++;
	b->next = l->blocks;
	l->blocks = b;
	l->nblocks++;
}

static void drop_copies(struct sample *p)
{
	free(p->stack);
	free(p->python);
	p->stack = NULL;
	p->python = NULL;
}

/* Whether the nth sample of a tick is unwound at once, since the target may be gone when the tick
 * is over. Frames of JavaScript can be made sure of only as long as they are there, code of Python
 * that is made and freed has its names only as long: of such some more of each doubling of the
 * tick.
 */
static bool is_urgent(size_t nth, bool fleeting)
{
	size_t step = 1;

	for (size_t n = FLEETING; fleeting && n < nth; n *= 2)
		step *= 2;
	return fleeting ? nth % step == 0 : (nth & (nth - 1)) == 0;
}

void evidence_sample(struct collector *c, struct loop *l, const struct event_block *e,
		     const void *stack, size_t size, unsigned int stands_for)
{
	size_t nth = 1;
	bool js = !strcmp(l->target->runtime, "node");

	c->samples++;
	if (l->nsamples == SAMPLES_MAX) { /* a very long tick: keep every second one from here */
		size_t kept = 0;
		for (size_t i = 0; i < l->nsamples; i++) {
			if (i & 1) {
				drop_copies(&l->samples[i]);
				l->samples[kept - 1].row.ns += l->samples[i].row.ns;
			} else {
				l->samples[kept++] = l->samples[i];
			}
		}
		l->nsamples = kept;
	}
	if (!l->samples) {
		l->samples = calloc(SAMPLES_MAX, sizeof(*l->samples));
		if (!l->samples) {
			ledger_undo(c, LSC_LOSS_STORE_ERROR, 1);
			return;
		}
	}
	struct sample *s = &l->samples[l->nsamples++];
	memset(s, 0, sizeof(*s));
	s->row = (struct store_sample){.loop = l->id,
				       .task = task_id(l, e->task),
				       .ts_ns = e->e.ts_ns,
				       .ns = stands_for * c->sample_ns,
				       .kernel = e->kernel};
	s->ring_task = e->task;
	s->tick_ns = e->tick_ns;
	s->python = chain_take(l, e, l->ns_tid);
	memcpy(s->regs, e->regs, sizeof(s->regs));
	for (size_t i = 0; i + 1 < l->nsamples; i++)
		nth += l->samples[i].tick_ns == e->tick_ns;
	if (size && is_urgent(nth, js || l->loses_code)) {
		s->job = start_sample(c, l, s, stack, size);
	} else if (size && !js && (s->stack = malloc(size))) {
		memcpy(s->stack, stack, size);
		s->stack_size = size;
	}
}

void evidence_claim(struct collector *c, struct loop *l, struct stall *s)
{
	uint64_t begin = s->row.start_ns, end = begin + s->row.duration_ns;
	size_t mine = 0, nth = 0;

	for (struct block *b = l->blocks; b; b = b->next) {
		if (b->row.stall || b->row.start_ns < begin || b->row.start_ns >= end)
			continue;
		b->row.stall = s->row.id;
		evidence_put_block(c, b);
	}
	for (size_t i = 0; i < l->nsamples; i++) {
		struct sample *p = &l->samples[i];
		if (!p->row.stall && p->row.ts_ns >= begin && p->row.ts_ns <= end) {
			p->row.stall = s->row.id;
			mine++;
		}
	}
	/* unwind some of them, spread evenly over the tick */
	for (size_t i = 0; i < l->nsamples; i++) {
		struct sample *p = &l->samples[i];
		if (p->row.stall != s->row.id)
			continue;
		bool take = mine <= STALL_SAMPLES_MAX ||
			    nth * STALL_SAMPLES_MAX / mine != (nth + 1) * STALL_SAMPLES_MAX / mine;
		nth++;
		if (take && p->stack)
			p->job = start_sample(c, l, p, p->stack, p->stack_size);
		drop_copies(p);
	}
}

const struct sample *evidence_newest(const struct loop *l, uint64_t tick_ns)
{
	for (size_t i = l->nsamples; i-- > 0;) {
		const struct sample *p = &l->samples[i];
		if (p->tick_ns == tick_ns && (p->stack || p->row.stack))
			return p;
	}
	return NULL;
}

uint64_t evidence_unwind_sample(struct collector *c, struct loop *l, const struct sample *p)
{
	return p->python ? job_unwind_python(c, l, JOB_ONGOING, p->regs, p->python, p->stack,
					     p->stack_size)
			 : job_unwind(c, l, JOB_ONGOING, p->regs, p->stack, p->stack_size);
}

uint64_t evidence_unwind(struct collector *c, struct loop *l, const uint64_t regs[PROBE_REGS],
			 const void *stack, size_t size)
{
	return job_unwind(c, l, JOB_ONGOING, regs, stack, size);
}

static bool is_under_way(const struct block *b)
{
	return b->job || b->owner_job || b->own_job;
}

bool evidence_is_settled(const struct loop *l, const struct stall *s)
{
	for (const struct block *b = l->blocks; b; b = b->next)
		if (b->row.stall == s->row.id && is_under_way(b))
			return false;
	for (size_t i = 0; i < l->nsamples; i++)
		if (l->samples[i].row.stall == s->row.id && l->samples[i].job)
			return false;
	return true;
}

bool evidence_is_awaited(const struct loop *l)
{
	for (const struct block *b = l->blocks; b; b = b->next)
		if (is_under_way(b))
			return true;
	for (size_t i = 0; i < l->nsamples; i++)
		if (l->samples[i].job)
			return true;
	return false;
}

uint64_t evidence_sampled_ns(const struct loop *l, int64_t stall)
{
	uint64_t ns = 0;

	for (size_t i = 0; i < l->nsamples; i++)
		if (l->samples[i].row.stall == stall)
			ns += l->samples[i].row.ns;
	return ns;
}

const struct block *evidence_longest(const struct loop *l, int64_t stall)
{
	const struct block *longest = NULL;

	for (const struct block *b = l->blocks; b; b = b->next)
		if (b->row.stall == stall &&
		    (!longest || b->row.duration_ns > longest->row.duration_ns))
			longest = b;
	return longest;
}

const struct block *evidence_telling(const struct loop *l, int64_t stall, enum lsc_cause top)
{
	const struct block *longest = evidence_longest(l, stall), *best = NULL;

	if (top != LSC_CAUSE_GIL)
		return longest;
	for (const struct block *b = l->blocks; b; b = b->next)
		if (b->row.stall == stall && b->row.cause == top &&
		    (!best || b->looked_into > best->looked_into ||
		     (b->looked_into == best->looked_into &&
		      b->row.duration_ns > best->row.duration_ns)))
			best = b;
	return best ? best : longest;
}

const struct sample *evidence_heaviest(const struct loop *l, int64_t stall)
{
	const struct sample *best = NULL;
	size_t best_count = 0;

	for (size_t i = 0; i < l->nsamples; i++) {
		const struct sample *a = &l->samples[i];
		size_t n = 0;
		if (a->row.stall != stall || !a->row.stack)
			continue;
		for (size_t k = 0; k < l->nsamples; k++)
			n += l->samples[k].row.stall == stall &&
			     l->samples[k].row.stack == a->row.stack;
		if (!best || a->broken < best->broken ||
		    (a->broken == best->broken && n > best_count)) {
			best_count = n;
			best = a;
		}
	}
	return best;
}

int64_t evidence_sampled_task(const struct loop *l, int64_t stall)
{
	int64_t task = 0;

	for (size_t i = 0; i < l->nsamples; i++) {
		const struct store_sample *row = &l->samples[i].row;
		if (row->stall != stall || !row->task)
			continue;
		if (task && task != row->task)
			return 0;
		task = row->task;
	}
	return task;
}

static void write_samples(struct collector *c, struct loop *l,
			  bool (*final)(const struct sample *, int64_t, uint64_t), int64_t stall,
			  uint64_t before)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->nsamples; i++) {
		struct sample *p = &l->samples[i];
		if (!final(p, stall, before)) {
			l->samples[kept++] = *p;
			continue;
		}
		ledger_stored_events(c, store_put_sample(c->store, &p->row), 1);
		drop_copies(p);
	}
	l->nsamples = kept;
}

static void free_blocks(struct loop *l, bool (*final)(const struct block *, int64_t, uint64_t),
			int64_t stall, uint64_t before)
{
	for (struct block **at = &l->blocks; *at;) {
		struct block *b = *at;
		if (!final(b, stall, before)) {
			at = &b->next;
			continue;
		}
		*at = b->next;
		free(b);
		l->nblocks--;
	}
}

static bool sample_of_stall(const struct sample *p, int64_t stall, uint64_t before)
{
	(void)before;
	return p->row.stall == stall;
}

static bool block_of_stall(const struct block *b, int64_t stall, uint64_t before)
{
	(void)before;
	return b->row.stall == stall;
}

static bool sample_of_old_tick(const struct sample *p, int64_t stall, uint64_t before)
{
	(void)stall;
	return !p->row.stall && p->tick_ns < before;
}

static bool block_of_old_tick(const struct block *b, int64_t stall, uint64_t before)
{
	(void)stall;
	return !b->row.stall && !is_under_way(b) && b->tick_ns < before;
}

void evidence_release(struct collector *c, struct loop *l, int64_t stall)
{
	write_samples(c, l, sample_of_stall, stall, 0);
	free_blocks(l, block_of_stall, stall, 0);
}

void evidence_retire(struct collector *c, struct loop *l, uint64_t before_ns)
{
	if (l->feed) /* ticks come from the ring, later than the kernel's events */
		before_ns = before_ns > 2 * SETTLE_NS ? before_ns - 2 * SETTLE_NS : 0;
	write_samples(c, l, sample_of_old_tick, 0, before_ns);
	free_blocks(l, block_of_old_tick, 0, before_ns);
	if (l->nblocks >
	    BLOCKS_MAX) { /* one endless tick of many blocks: the oldest were written already */
		struct block **at = &l->blocks;
		for (size_t i = 0; i < BLOCKS_MAX / 2 && *at; i++)
			at = &(*at)->next;
		while (*at) {
			struct block *b = *at;
			*at = b->next;
			free(b);
			l->nblocks--;
		}
	}
}

void evidence_drop_loop(struct collector *c, struct loop *l)
{
	evidence_retire(c, l, UINT64_MAX);
	jobs_drop_loop(c, l);
	while (l->blocks) {
		struct block *b = l->blocks;
		l->blocks = b->next;
		free(b);
	}
	for (size_t i = 0; i < l->nsamples; i++) {
		ledger_stored_events(c, store_put_sample(c->store, &l->samples[i].row), 1);
		drop_copies(&l->samples[i]);
	}
	free(l->samples);
	callback_forget(l);
	chain_forget(l);
	deep_forget(l);
	l->samples = NULL;
	l->nsamples = l->nblocks = 0;
}
