/* SPDX-License-Identifier: MIT */
/* A ring that is read: its records are tracked, packed and stored. feed_find.c finds it. */
#include "feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "chunk.h"
#include "feed_kernel.h"
#include "feed_row.h"
#include "ring.h"
#include "ring_track.h"
#include "said.h"
#include "state.h"

#define READ_MAX      16384 /* records of one ring at a time */
#define RECENT_WAITS  1024  /* kept for live lines */
#define PENDING_TICKS 64

struct pending_tick {
	uint64_t begin_ns, end_ns, until_ns;
	uint32_t task;
	size_t nculprits;
	struct {
		uint32_t task;
		uint64_t ns;
	} culprits[RING_TRACK_CULPRITS];
};

struct recent_wait {
	uint64_t ready_ns, wait_ns;
	char name[64];
};

struct feed {
	struct collector *c;
	struct loop *l;
	uint64_t ino;
	struct ring *ring;
	struct ring_track *track;
	bool broken; /* not to be trusted any more */
	struct chunk_writer chunk;
	uint64_t delivered; /* accounted for so far */
	struct recent_wait waits[RECENT_WAITS];
	size_t nwaits; /* ever */
	struct feed_kernel kernel;
	struct pending_tick pending[PENDING_TICKS];
	size_t npending;
	uint64_t ticks, busy_ns, idle_ns, last_end_ns;
	uint64_t unsure_ns; /* of what the ring does not tell */
	uint64_t until_ns;  /* a tick that has no end goes on until then; 0 unknown */
	struct lsc_histogram lag;
	struct said *said;   /* owns */
	struct feed_row row; /* of feed_task() */
};

/* ---- transitions ---- */

static void flush_chunk(struct feed *f)
{
	struct chunk_writer *w = &f->chunk;

	if (!w->count)
		return;
	struct store_chunk row = {.id = ++f->c->next_chunk,
				  .loop = f->l->id,
				  .first_ns = w->first_ns,
				  .last_ns = w->last_ns,
				  .count = w->count,
				  .data = w->data,
				  .size = w->size};
	ledger_stored_events(f->c, store_put_chunk(f->c->store, &row), w->count);
	chunk_writer_reset(w);
}

static void pack(struct feed *f, const struct ring_record *r)
{
	static const uint8_t kinds[] = {
		[LSC_REC_TICK_BEGIN] = CHUNK_TICK_BEGIN,
		[LSC_REC_TICK_END] = CHUNK_TICK_END,
		[LSC_REC_TASK_NEW] = CHUNK_TASK_NEW,
		[LSC_REC_TASK_READY] = CHUNK_TASK_READY,
		[LSC_REC_TASK_RUN] = CHUNK_TASK_RUN,
		[LSC_REC_TASK_SUSPEND] = CHUNK_TASK_SUSPEND,
		[LSC_REC_TASK_DONE] = CHUNK_TASK_DONE,
		[LSC_REC_TASK_CANCEL] = CHUNK_TASK_CANCEL,
		[LSC_REC_MARK] = CHUNK_MARK,
		[LSC_REC_TASK_YIELD] = CHUNK_TASK_SUSPEND,
	};

	if (r->kind >= LSC_ARRAY_LEN(kinds) || !kinds[r->kind])
		return;
	struct chunk_event e = {.ts_ns = r->time_ns,
				.kind = kinds[r->kind],
				.task = r->task,
				.detail = r->kind == LSC_REC_TASK_YIELD ? LSC_WAIT_YIELD : r->arg8,
				.arg = r->arg64};
	int err = chunk_writer_append(&f->chunk, &e);
	if (err == -ENOSPC) {
		flush_chunk(f);
		err = chunk_writer_append(&f->chunk, &e);
	}
	if (err < 0)
		ledger_stored(f->c, err);
}

static void on_record(const struct ring_record *r, void *arg)
{
	struct feed *f = arg;

	ring_track_feed(f->track, r);
	if (!r->history)
		pack(f, r);
}

/* ---- what the tracker tells ---- */

static void put_task(struct feed *f, struct ring_task *t)
{
	feed_row_fill(&f->row, f->l->id, t, ring_track_state(f->track, t));
	ledger_stored(f->c, store_put_task(f->c->store, &f->row.task));
}

static void on_task_new(struct ring_task *t, bool snapshot, void *arg)
{
	(void)snapshot;
	(void)arg;
	t->user = NULL; /* not stored yet, or more is known */
}

static void on_task_gone(struct ring_task *t, void *arg)
{
	struct feed *f = arg;

	if (!t->ended_ns || t->ended_ns >= f->c->start_ns)
		put_task(f, t);
}

static void on_ready_wait(struct ring_task *t, uint64_t ready_ns, uint64_t run_ns, void *arg)
{
	struct feed *f = arg;
	uint64_t wait = run_ns - ready_ns;

	if (wait < f->c->o.ready_wait_ns || ready_ns < f->c->start_ns)
		return;
	struct store_wait row = {.id = ++f->c->next_wait,
				 .loop = f->l->id,
				 .kind = STORE_WAIT_TASK,
				 .fd = -1,
				 .task = feed_row_id(f->l->id, t->id),
				 .ready_ns = ready_ns,
				 .wait_ns = wait};
	ledger_stored(f->c, store_put_wait(f->c->store, &row));
	struct recent_wait *w = &f->waits[f->nwaits++ % RECENT_WAITS];
	w->ready_ns = ready_ns;
	w->wait_ns = wait;
	snprintf(w->name, sizeof(w->name), "%.63s", t->name ? t->name : "");
}

static void on_tick(const struct ring_tick *tick, void *arg)
{
	struct feed *f = arg;
	uint64_t begin = tick->begin_ns, start = f->c->start_ns;

	feed_kernel_told(&f->kernel, tick->begin_ns, tick->end_ns, f->c->o.stall_ns);
	if (begin >= start) {
		f->ticks++;
		f->busy_ns += tick->end_ns - begin;
		if (f->last_end_ns >= start && begin > f->last_end_ns)
			f->idle_ns += begin - f->last_end_ns;
		lsc_hist_add(&f->lag, tick->end_ns - begin);
	} else { /* what of it lies in the capture may be a stall all the same */
		begin = start;
	}
	f->last_end_ns = tick->end_ns;
	if (tick->end_ns < begin + f->c->o.stall_ns ||
	    stall_was_told(f->l, begin, tick->end_ns)) /* before the ring was found */
		return;
	if (f->npending == PENDING_TICKS) { /* its records are stored: it counts besides */
		f->c->ring_emitted++;
		ledger_lose(f->c, LSC_LOSS_QUOTA, 1);
		return;
	}
	struct pending_tick *p = &f->pending[f->npending++];
	*p = (struct pending_tick){.begin_ns = begin,
				   .end_ns = tick->end_ns,
				   .until_ns = lsc_now_ns() + TELL_NS / 2,
				   .task = tick->longest ? tick->longest->id : 0,
				   .nculprits = tick->nculprits};
	for (size_t i = 0; i < tick->nculprits; i++) {
		p->culprits[i].task = tick->culprits[i].task->id;
		p->culprits[i].ns = tick->culprits[i].ns;
	}
}

static void on_mark(struct ring_task *t, uint64_t ns, const char *text, size_t size, void *arg)
{
	struct feed *f = arg;

	said_mark(f->said, t, ns, text, size);
}

static void on_counter(struct ring_task *t, uint64_t ns, const char *name, size_t size,
		       int64_t value, void *arg)
{
	struct feed *f = arg;

	(void)t;
	said_counter(f->said, ns, name, size, value);
}

static void on_gap(void *arg)
{
	struct feed *f = arg;

	ring_request_snapshot(
		f->ring); /* without one, what is known comes back as tasks are seen again */
}

static const struct ring_track_ops track_ops = {
	.task_new = on_task_new,
	.task_gone = on_task_gone,
	.ready_wait = on_ready_wait,
	.tick = on_tick,
	.mark = on_mark,
	.counter = on_counter,
	.gap = on_gap,
};

/* ---- long ticks ---- */

bool feed_kernel_tick(struct feed *f, const struct event_stall *e)
{
	if (f->broken)
		return false;
	if (!feed_kernel_add(&f->kernel, e))
		ledger_undo(f->c, LSC_LOSS_QUOTA, 1);
	return true;
}

/* Of busy periods of which the ring says nothing the kernel's account is told: the ring was written
 * over, the thread runs something else than its loop. */
static void tell_untold(struct feed *f)
{
	uint64_t open_ns, unsure_ns = f->l->unsure_ns;
	struct event_stall e;
	uint32_t task;
	bool part;

	if (!feed_tick(f, &open_ns, &task))
		open_ns = UINT64_MAX;
	while (feed_kernel_untold(&f->kernel, open_ns, f->c->o.stall_ns, &e, &part)) {
		if (e.confidence == 3)
			stall_from_account(f->c, f->l, &e, false, part);
		else if (e.e.kind == EVENT_STALL) /* no loop's tick, as far as is known */
			ledger_undo(f->c, LSC_LOSS_UNCONFIRMED, 1);
	}
	f->unsure_ns += f->l->unsure_ns - unsure_ns;
}

/* The tick that the ring began to tell ends with the thread, or with the capture. */
static void end_open_tick(struct feed *f)
{
	uint64_t begin, end = f->until_ns;
	uint32_t task;

	if (!feed_tick(f, &begin, &task))
		return;
	if (begin < f->c->start_ns)
		begin = f->c->start_ns;
	const struct event_stall *k = feed_kernel_last(&f->kernel, begin);
	if (k)
		end = k->end_ns;
	else if (!end && !f->l->kernel) /* it ended before it was seen to be over */
		f->unsure_ns += f->l->last_ns > begin ? f->l->last_ns - begin : 0;
	if (end > begin && end - begin >= f->c->o.stall_ns)
		stall_from_ring(f->c, f->l, begin, end, task, k, true);
}

static void settle_ticks(struct feed *f, bool force)
{
	uint64_t now = lsc_now_ns();
	size_t done = 0;

	for (; done < f->npending; done++) {
		struct pending_tick *p = &f->pending[done];
		const struct event_stall *k = feed_kernel_find(&f->kernel, p->begin_ns, p->end_ns);
		if (!k && f->l->kernel && !force && now < p->until_ns)
			break;
		int64_t id = stall_from_ring(f->c, f->l, p->begin_ns, p->end_ns, p->task, k, false);
		for (size_t i = 0; id && i < p->nculprits; i++) {
			struct store_culprit row = {
				.stall = id,
				.task = feed_row_id(f->l->id, p->culprits[i].task),
				.ns = p->culprits[i].ns};
			ledger_stored(f->c, store_put_culprit(f->c->store, &row));
		}
	}
	memmove(f->pending, f->pending + done, (f->npending - done) * sizeof(f->pending[0]));
	f->npending -= done;
}

/* ---- reading ---- */

/* Returns whether there may be more. */
static bool read_some(struct feed *f)
{
	int n = f->broken ? 0 : ring_read(f->ring, READ_MAX, on_record, f);
	struct ring_ledger led = ring_ledger(f->ring);
	uint64_t fresh = led.delivered - f->delivered;

	f->delivered = led.delivered;
	if (f->c->store_error)
		ledger_lose(f->c,
			    f->c->store_error == -EFBIG ? LSC_LOSS_STORE_FULL
							: LSC_LOSS_STORE_ERROR,
			    fresh);
	else
		f->c->stored += fresh;
	if (n < 0) {
		f->broken = true;
		ledger_stored(f->c, store_put_unseen(f->c->store, "tasks",
						     "the ring's content is not sound"));
		return false;
	}
	return n == READ_MAX;
}

void feed_read(struct collector *c, struct loop *l)
{
	(void)c;
	bool more = read_some(l->feed);
	settle_ticks(l->feed, false);
	if (!more)
		tell_untold(l->feed);
}

void feed_goes_on(struct feed *f, uint64_t now_ns)
{
	f->until_ns = now_ns;
}

struct storing {
	struct feed *f;
	bool all;
};

static int store_task(struct ring_task *t, void *arg)
{
	struct storing *s = arg;

	if (s->all || !t->user)
		put_task(s->f, t);
	t->user = s->f;
	return s->f->c->store_error;
}

static void store_tasks(struct feed *f, bool all)
{
	struct storing s = {f, all};

	ring_track_each(f->track, store_task, &s);
}

static int store_site_stack(struct ring_site *s, void *arg)
{
	struct feed *f = arg;
	struct store_site_stack row = {.id = feed_row_id(f->l->id, s->id),
				       .loop = f->l->id,
				       .site = {s->function, s->file, s->line},
				       .used = s->stack_used,
				       .size = s->stack_size};

	if (s->stack_news)
		ledger_stored(f->c, store_put_site_stack(f->c->store, &row));
	s->stack_news = false;
	return f->c->store_error;
}

void feed_store(struct collector *c, struct loop *l)
{
	(void)c;
	flush_chunk(l->feed);
	said_store(l->feed->said);
	ring_track_each_site(l->feed->track, store_site_stack, l->feed);
	store_tasks(l->feed, false);
}

void feed_end(struct collector *c, struct loop *l)
{
	struct feed *f = l->feed;
	uint64_t until = lsc_now_ns() + LSC_NS_PER_S; /* a writer may be faster than we are */

	while (read_some(f) && lsc_now_ns() < until)
		;
	settle_ticks(f, true);
	tell_untold(f);
	end_open_tick(f);
	stall_settle(c, l, lsc_now_ns(), true);
	flush_chunk(f);
	said_store(f->said);
	ring_track_each_site(f->track, store_site_stack, f);
	store_tasks(f, true);
	struct ring_ledger led = ring_ledger(f->ring);
	c->ring_emitted += led.emitted;
	ledger_lose(c, LSC_LOSS_TASK_RING_OVERRUN, led.overrun);
	ledger_lose(c, LSC_LOSS_TASK_RING_INVALID, led.invalid);
}

struct feed *feed_free(struct feed *f)
{
	if (!f)
		return NULL;
	ring_track_free(f->track);
	said_free(f->said);
	ring_close(f->ring);
	chunk_writer_done(&f->chunk);
	free(f);
	return NULL;
}

/* ---- begin ---- */

struct feed *feed_new(struct collector *c, struct loop *l, struct ring *ring)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->c = c;
	f->l = l;
	f->ino = ring_info(ring)->ino;
	f->ring = ring;
	f->track = ring_track_new(&track_ops, f);
	f->said = said_new(c, l);
	if (f->track && f->said)
		return f;
	ring_track_free(f->track);
	said_free(f->said);
	free(f);
	return NULL;
}

uint64_t feed_inode(const struct feed *f)
{
	return f->ino;
}

/* ---- for others ---- */

bool feed_tick(const struct feed *f, uint64_t *ret_begin_ns, uint32_t *ret_task)
{
	return !f->broken && ring_track_in_tick(f->track, ret_begin_ns, ret_task);
}

void feed_totals(const struct feed *f, uint64_t *ret_ticks, uint64_t *ret_busy_ns,
		 uint64_t *ret_idle_ns, const struct lsc_histogram **ret_lag)
{
	*ret_ticks = f->ticks;
	*ret_busy_ns = f->busy_ns;
	*ret_idle_ns = f->idle_ns;
	*ret_lag = &f->lag;
}

uint64_t feed_unsure_ns(const struct feed *f)
{
	return f->unsure_ns;
}

const char *feed_runtime(const struct feed *f)
{
	return ring_info(f->ring)->runtime;
}

const struct store_task *feed_task(struct feed *f, uint32_t ring_task)
{
	struct ring_task *t = ring_task ? ring_track_find(f->track, ring_task) : NULL;

	if (!t)
		return NULL;
	feed_row_fill(&f->row, f->l->id, t, ring_track_state(f->track, t));
	return &f->row.task;
}

const char *feed_mark(const struct feed *f, uint64_t begin_ns, uint64_t end_ns, uint64_t *ret_ns)
{
	return said_in(f->said, begin_ns, end_ns, ret_ns);
}

struct feed_victims feed_victims(const struct feed *f, uint64_t begin_ns, uint64_t end_ns)
{
	size_t n = f->nwaits < RECENT_WAITS ? f->nwaits : RECENT_WAITS;
	struct feed_victims v = {0};

	for (size_t i = 0; i < n; i++) {
		const struct recent_wait *w = &f->waits[i];
		if (w->ready_ns >= end_ns || w->ready_ns + w->wait_ns <= begin_ns)
			continue;
		v.count[STORE_WAIT_TASK]++;
		v.sum_ns += w->wait_ns;
		if (w->wait_ns > v.max_ns) {
			v.max_ns = w->wait_ns;
			v.worst = w->name[0] ? w->name : NULL;
		}
	}
	return v;
}
