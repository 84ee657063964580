/* SPDX-License-Identifier: MIT */
/*
 * Blocks, samples and their stacks, from the event to the row. A block is written at once and again
 * when its stack or its stall is known; a sample is written when its tick is over.
 */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- stacks ---- */

static void hash_bytes(uint64_t h[2], const void *data, size_t size)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < size; i++) { /* FNV-1a, and a second one with another offset */
		h[0] = (h[0] ^ p[i]) * 0x100000001b3ull;
		h[1] = (h[1] ^ p[i]) * 0x10000000233ull;
	}
}

static void hash_text(uint64_t h[2], const char *s)
{
	hash_bytes(h, s ? s : "\1", s ? strlen(s) + 1 : 1);
}

static void frame_name(const struct store_frame *f, char *buf, size_t size)
{
	const char *base = f->module ? strrchr(f->module, '/') : NULL;
	const char *file = f->file ? strrchr(f->file, '/') : NULL;

	if (f->function && f->lang == STORE_LANG_PYTHON && f->file)
		snprintf(buf, size, "%s (%s:%d)", f->function, file ? file + 1 : f->file, f->line);
	else if (f->function)
		snprintf(buf, size, "%s", f->function);
	else
		snprintf(buf, size, "%s%s0x%llx",
			 base	     ? base + 1
			 : f->module ? f->module
				     : "",
			 f->module ? "+" : "", (unsigned long long)f->offset);
}

/* The C library's own frames around a system call say nothing that the call's name does not. */
static bool is_wrapper(const struct store_frame *f)
{
	const char *base = f->module ? strrchr(f->module, '/') : NULL;

	base = base ? base + 1 : f->module ? f->module : "";
	return !strncmp(base, "libc.so", 7) || !strncmp(base, "libc-", 5) ||
	       !strncmp(base, "libpthread", 10) || !strncmp(base, "ld-", 3) ||
	       !strcmp(base, "[vdso]");
}

static bool has_python(const struct store_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (frames[i].lang == STORE_LANG_PYTHON)
			return true;
	return false;
}

static void stack_free(struct known_stack *k)
{
	for (size_t i = 0; i < k->nframes; i++)
		free((char *)k->frame[i]);
	free(k);
}

int64_t evidence_intern(struct collector *c, const struct store_frame *frames, size_t nframes,
			bool truncated)
{
	uint64_t h[2] = {0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
	struct known_stack *k;
	char name[256];

	hash_bytes(h, &truncated, sizeof(truncated));
	for (size_t i = 0; i < nframes; i++) {
		const struct store_frame *f = &frames[i];
		hash_bytes(h, &f->lang, sizeof(f->lang));
		hash_text(h, f->function);
		hash_text(h, f->module);
		hash_text(h, f->file);
		hash_bytes(h, &f->offset, sizeof(f->offset));
		hash_bytes(h, &f->line, sizeof(f->line)); /* Python has no offsets */
	}
	HASH_FIND(hh, c->stacks, h, sizeof(h), k);
	if (k)
		return k->id;
	k = calloc(1, sizeof(*k));
	if (!k)
		return 0;
	k->hash[0] = h[0];
	k->hash[1] = h[1];
	k->id = ++c->next_stack;
	bool python = has_python(frames, nframes); /* which says all that the interpreter's would */
	size_t first = 0;
	while (first < nframes && is_wrapper(&frames[first]))
		first++;
	for (size_t i = first < nframes ? first : 0; i < nframes && k->nframes < LIVE_FRAMES; i++) {
		if (python && frames[i].lang != STORE_LANG_PYTHON)
			continue;
		frame_name(&frames[i], name, sizeof(name));
		char *copy = strdup(name);
		if (copy)
			k->frame[k->nframes++] = copy;
	}
	HASH_ADD(hh, c->stacks, hash, sizeof(k->hash), k);
	struct store_stack row = {
		.id = k->id, .truncated = truncated, .nframes = nframes, .frames = frames};
	ledger_stored(c, store_put_stack(c->store, &row));
	return k->id;
}

int64_t evidence_intern_result(struct collector *c, const struct inspector_result *r)
{
	struct store_frame frames[INSPECTOR_FRAMES_MAX];

	for (size_t i = 0; i < r->nframes; i++) {
		const struct inspector_frame *f = &r->frames[i];
		frames[i] = (struct store_frame){.lang = f->python ? STORE_LANG_PYTHON
							 : f->js   ? STORE_LANG_JS
								   : STORE_LANG_NATIVE,
						 .function = f->function,
						 .file = f->file,
						 .module = f->module,
						 .build_id = f->build_id,
						 .line = f->line,
						 .offset = f->offset,
						 .inlined = f->inlined};
	}
	return r->nframes ? evidence_intern(c, frames, r->nframes, r->truncated || r->why)
			  : 0;
}

const struct known_stack *evidence_stack(const struct collector *c, int64_t id)
{
	for (const struct known_stack *k = c->stacks; id && k; k = k->hh.next)
		if (k->id == id)
			return k;
	return NULL;
}

void evidence_unresolved(struct collector *c, const char *what, const char *why)
{
	ledger_stored(c, store_add_unresolved(c->store, what, why, 1));
}

void evidence_no_frames(struct collector *c, const struct loop *l, const char *why)
{
	const char *language = target_language(l->target);
	char what[64];

	snprintf(what, sizeof(what), "frames of %s", language ? language : "its language");
	evidence_unresolved(c, what, why);
}

/* What is missing without it; NULL: nothing that is stored. */
static const char *const job_texts[] = {
	[JOB_BLOCK] = "stack", [JOB_SAMPLE] = "stack", [JOB_OWNER] = "stack of a lock's owner",
	[JOB_GIL] = "gil",     [JOB_ONGOING] = NULL,   [JOB_OWN] = NULL,
	[JOB_WARM] = NULL,     [JOB_HOME] = NULL};

struct job *evidence_job(struct collector *c, struct loop *l, enum job_kind kind)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->cookie = ++c->next_cookie;
	j->loop = l;
	j->kind = kind;
	return j;
}

uint64_t evidence_job_begin(struct collector *c, struct job *j, int r)
{
	if (r < 0) {
		if (job_texts[j->kind])
			evidence_unresolved(c, job_texts[j->kind],
					    r == -EAGAIN ? "too many stacks at once"
							 : strerror(-r));
		free(j);
		return 0;
	}
	HASH_ADD(hh, c->jobs, cookie, sizeof(j->cookie), j);
	return j->cookie;
}

/* Hands a raw stack to the inspector. The job's number, 0 when it was refused (and counted). */
static uint64_t job_start(struct collector *c, struct loop *l, enum job_kind kind,
			  const uint64_t *regs, const void *stack, size_t size)
{
	struct job *j = evidence_job(c, l, kind);

	if (!j)
		return 0;
	return evidence_job_begin(c, j,
				  inspector_unwind(c->inspector, j->cookie, l->target->pid, l->tid,
						   regs, stack, size));
}

/* The same of a sample, with the frames of Python that were taken with it. */
static uint64_t job_start_python(struct collector *c, struct loop *l, enum job_kind kind,
				 const struct sample *p, const void *stack, size_t size)
{
	struct job *j = evidence_job(c, l, kind);

	if (!j)
		return 0;
	j->tick_ns = p->tick_ns;
	return evidence_job_begin(c, j,
				  inspector_unwind_python(c->inspector, j->cookie, l->target->pid,
							  l->tid, p->regs, stack, size, p->python));
}

static uint64_t start_sample(struct collector *c, struct loop *l, const struct sample *p,
			     const void *stack, size_t size)
{
	if (p->python)
		return job_start_python(c, l, JOB_SAMPLE, p, stack, size);
	if (!strcmp(l->target->runtime, "cpython"))
		evidence_no_frames(c, l, "a sample without the GIL, or of an unknown version");
	return job_start(c, l, JOB_SAMPLE, p->regs, stack, size);
}

void evidence_put_block(struct collector *c, struct block *b)
{
	ledger_stored(c, store_put_block(c->store, &b->row));
}

/* The loop is in that tick still: a task whose coroutine was in the sample, and which is current
 * now, was current then. */
static bool same_tick(struct collector *c, const struct loop *l, uint64_t tick_ns)
{
	struct thread_state t;

	return tick_ns && !l->exited && probe_thread(c->probe, l->tid, &t) == 0 &&
	       t.tick_ns == tick_ns;
}

/* None of its frames is of the language that the target is written in. */
static bool lacks_language(const struct target *t, const struct inspector_result *r)
{
	for (size_t i = 0; i < r->nframes; i++)
		if (r->frames[i].python || r->frames[i].js)
			return false;
	return target_language(t);
}

static void take_sample(struct collector *c, const struct job *j, const struct inspector_result *r)
{
	struct loop *l = j->loop;
	uint64_t cookie = r->cookie;
	int64_t stack = evidence_intern_result(c, r);
	int64_t task = same_tick(c, l, j->tick_ns) ? task_meet(c, l, &r->task, STORE_TASK_TASK)
						   : callback_of(c, l, r);

	for (size_t i = 0; i < l->nsamples; i++) {
		if (l->samples[i].job == cookie) {
			l->samples[i].job = 0;
			l->samples[i].row.stack = stack;
			l->samples[i].broken = r->truncated || r->why ||
					       lacks_language(l->target, r);
			if (!l->samples[i].row.task)
				l->samples[i].row.task = task;
		}
	}
}

static void take_block(struct collector *c, struct loop *l, const struct inspector_result *r)
{
	int64_t stack = evidence_intern_result(c, r), task = callback_of(c, l, r);

	for (struct block *b = l->blocks; b; b = b->next) {
		if (b->job != r->cookie)
			continue;
		b->job = 0;
		b->row.stack = stack;
		if (!b->row.task)
			b->row.task = task;
		evidence_put_block(c, b);
		return;
	}
}

void evidence_result(const struct inspector_result *r, void *arg)
{
	struct collector *c = arg;
	struct job *j;

	HASH_FIND(hh, c->jobs, &r->cookie, sizeof(r->cookie), j);
	if (!j)
		return;
	HASH_DEL(c->jobs, j);
	if (j->loop && r->why && job_texts[j->kind])
		evidence_unresolved(c, job_texts[j->kind], r->why);
	if (j->loop && r->language_why && (j->kind == JOB_BLOCK || j->kind == JOB_SAMPLE))
		evidence_no_frames(c, j->loop, r->language_why);
	if (j->kind == JOB_GIL)
		gil_found(c, j->target, r);
	else if (j->loop && j->kind == JOB_ONGOING)
		ongoing_stack(j->loop, r->cookie, evidence_intern_result(c, r));
	else if (j->loop && (j->kind == JOB_OWNER || j->kind == JOB_OWN))
		inquiry_result(c, j, r);
	else if (j->loop && j->kind == JOB_HOME)
		callback_home(c, j, r);
	else if (j->loop && j->kind == JOB_SAMPLE)
		take_sample(c, j, r);
	else if (j->loop)
		take_block(c, j->loop, r);
	free(j);
}

/* ---- blocks and samples ---- */

static int64_t task_id(const struct loop *l, uint32_t ring_task)
{
	return ring_task ? l->id << 32 | ring_task : 0;
}

void evidence_block(struct collector *c, struct loop *l, const struct event_block *e,
		    const void *stack, size_t size)
{
	struct block *b = malloc(sizeof(*b));

	if (!b) {
		ledger_lose(c, LSC_LOSS_STORE_ERROR, 1);
		return;
	}
	evidence_retire(c, l, e->tick_ns);
	decode_block_row(e, b);
	b->row.id = ++c->next_block;
	b->row.loop = l->id;
	b->row.task = task_id(l, e->task);
	inquiry_close(c, l, e, b);
	if (!b->row.stack && size)
		b->job = job_start(c, l, JOB_BLOCK, (const uint64_t *)e->regs, stack, size);
	else if (!b->row.stack)
		c->no_stack++;
	evidence_put_block(c, b);
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

/* Whether the nth sample of a tick is unwound at once, since the target may be gone when the tick is
 * over. Frames of JavaScript can be made sure of only as long as they are there: of these all are
 * that ever will be, some more of each doubling of the tick. */
static bool is_urgent(size_t nth, bool js)
{
	size_t step = 1;

	for (size_t n = JS_SAMPLES; js && n < nth; n *= 2)
		step *= 2;
	return js ? nth % step == 0 : (nth & (nth - 1)) == 0;
}

void evidence_sample(struct collector *c, struct loop *l, const struct event_block *e,
		     const void *stack, size_t size)
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
		if (!l->samples)
			return;
	}
	struct sample *s = &l->samples[l->nsamples++];
	memset(s, 0, sizeof(*s));
	s->row = (struct store_sample){.loop = l->id,
				       .task = task_id(l, e->task),
				       .ts_ns = e->e.ts_ns,
				       .ns = c->sample_ns,
				       .kernel = e->kernel};
	s->ring_task = e->task;
	s->tick_ns = e->tick_ns;
	s->python = chain_take(l, e);
	memcpy(s->regs, e->regs, sizeof(s->regs));
	for (size_t i = 0; i + 1 < l->nsamples; i++)
		nth += l->samples[i].tick_ns == e->tick_ns;
	if (size && is_urgent(nth, js)) {
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
	return p->python ? job_start_python(c, l, JOB_ONGOING, p, p->stack, p->stack_size)
			 : job_start(c, l, JOB_ONGOING, p->regs, p->stack, p->stack_size);
}

uint64_t evidence_unwind(struct collector *c, struct loop *l, const uint64_t regs[PROBE_REGS],
			 const void *stack, size_t size)
{
	return job_start(c, l, JOB_ONGOING, regs, stack, size);
}

bool evidence_is_settled(const struct loop *l, const struct stall *s)
{
	for (const struct block *b = l->blocks; b; b = b->next)
		if (b->row.stall == s->row.id && (b->job || b->owner_job))
			return false;
	for (size_t i = 0; i < l->nsamples; i++)
		if (l->samples[i].row.stall == s->row.id && l->samples[i].job)
			return false;
	return true;
}

bool evidence_is_awaited(const struct loop *l)
{
	for (const struct block *b = l->blocks; b; b = b->next)
		if (b->job || b->owner_job)
			return true;
	for (size_t i = 0; i < l->nsamples; i++)
		if (l->samples[i].job)
			return true;
	return false;
}

size_t evidence_samples(const struct loop *l, int64_t stall)
{
	size_t n = 0;

	for (size_t i = 0; i < l->nsamples; i++)
		n += l->samples[i].row.stall == stall;
	return n;
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

const struct block *evidence_telling(const struct loop *l, int64_t stall)
{
	const struct block *longest = evidence_longest(l, stall), *best = longest;

	if (!longest || longest->row.cause != LSC_CAUSE_GIL || longest->looked_into)
		return longest;
	for (const struct block *b = l->blocks; b; b = b->next)
		if (b->row.stall == stall && b->row.cause == LSC_CAUSE_GIL && b->looked_into &&
		    (!best->looked_into || b->row.duration_ns > best->row.duration_ns))
			best = b;
	return best;
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
		ledger_stored(c, store_put_sample(c->store, &p->row));
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
	return !b->row.stall && !b->job && !b->owner_job && b->tick_ns < before;
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
	for (struct job *j = c->jobs; j; j = j->hh.next) {
		if (j->loop != l)
			continue;
		j->loop = NULL;
		if (job_texts[j->kind])
			evidence_unresolved(c, job_texts[j->kind], "the thread had ended");
	}
	while (l->blocks) {
		struct block *b = l->blocks;
		l->blocks = b->next;
		free(b);
	}
	for (size_t i = 0; i < l->nsamples; i++) {
		ledger_stored(c, store_put_sample(c->store, &l->samples[i].row));
		drop_copies(&l->samples[i]);
	}
	free(l->samples);
	callback_forget(l);
	free(l->chain);
	l->chain = NULL;
	l->samples = NULL;
	l->nsamples = l->nblocks = 0;
}

void evidence_free(struct collector *c)
{
	struct known_stack *k, *nextk;
	struct job *j, *nextj;

	HASH_ITER(hh, c->stacks, k, nextk)
	{
		HASH_DEL(c->stacks, k);
		stack_free(k);
	}
	HASH_ITER(hh, c->jobs, j, nextj)
	{
		HASH_DEL(c->jobs, j);
		free(j);
	}
}
