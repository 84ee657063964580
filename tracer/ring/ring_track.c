/* SPDX-License-Identifier: MIT */
/*
 * The state machine behind ring_track.h. Each stretch of records without a gap is an epoch; what a
 * task was doing counts only within the epoch in which it was seen. Ended tasks stay until their
 * tick is reported.
 */
#include "ring_track.h"

#include <stdlib.h>
#include <string.h>

#include "ring_id.h"
#include "ring_turn.h"

struct ring_track {
	const struct ring_track_ops *ops; /* borrows */
	void *arg;
	struct ring_task *tasks; /* owns; by id */
	struct ring_task *dead;	 /* owns; ended in this tick */
	size_t ntasks;		 /* with the dead */
	struct ring_sites sites; /* owns */
	uint32_t epoch, snapshot;
	uint64_t snapshot_index; /* of the SNAPSHOT_BEGIN in progress; 0 none */

	struct ring_turn turn;	/* owns */
	uint64_t idle_since_ns; /* the end of the tick before; 0 unknown */
	struct ring_task *running;
	uint64_t step_begin_ns;
	struct ring_track_stats stats;
};

#define CALL(k, op, ...)                                                                           \
	do {                                                                                       \
		if ((k)->ops->op)                                                                  \
			(k)->ops->op(__VA_ARGS__, (k)->arg);                                       \
	} while (0)

struct ring_track *ring_track_new(const struct ring_track_ops *ops, void *arg)
{
	struct ring_track *k = calloc(1, sizeof(*k));

	ring_id_init();
	if (k)
		*k = (struct ring_track){.ops = ops, .arg = arg, .epoch = 1, .turn = {.number = 1}};
	return k;
}

static void free_task(struct ring_track *k, struct ring_task *t)
{
	free(t->name);
	free(t->ready_wait);
	free(t);
	k->ntasks--;
}

static void bury_dead(struct ring_track *k)
{
	while (k->dead) {
		struct ring_task *t = k->dead;
		k->dead = t->next_dead;
		free_task(k, t);
	}
}

struct ring_track *ring_track_free(struct ring_track *k)
{
	struct ring_task *t, *next_task;

	if (!k)
		return NULL;
	HASH_ITER(hh, k->tasks, t, next_task)
	{
		HASH_DEL(k->tasks, t);
		free_task(k, t);
	}
	bury_dead(k);
	ring_sites_done(&k->sites);
	ring_turn_done(&k->turn);
	free(k);
	return NULL;
}

struct ring_task *ring_track_find(struct ring_track *k, uint32_t id)
{
	struct ring_task *t;

	HASH_FIND(hh, k->tasks, &id, sizeof(id), t);
	return t;
}

int ring_track_each(struct ring_track *k, ring_task_fn *fn, void *arg)
{
	struct ring_task *t, *next;

	HASH_ITER(hh, k->tasks, t, next)
	{
		int r = fn(t, arg);
		if (r)
			return r;
	}
	return 0;
}

int ring_track_each_site(struct ring_track *k, ring_site_fn *fn, void *arg)
{
	struct ring_site *s, *next;

	HASH_ITER(hh, k->sites.by_id, s, next)
	{
		int r = fn(s, arg);
		if (r)
			return r;
	}
	return 0;
}

bool ring_track_in_tick(const struct ring_track *k, uint64_t *ret_begin_ns, uint32_t *ret_task)
{
	if (!k->turn.open)
		return false;
	*ret_begin_ns = k->turn.begin_ns;
	*ret_task = k->running ? k->running->id : 0;
	return true;
}

size_t ring_track_count(const struct ring_track *k)
{
	return HASH_COUNT(k->tasks);
}

int ring_track_state(const struct ring_track *k, const struct ring_task *t)
{
	return t->epoch == k->epoch ? t->state : RING_STATE_UNKNOWN;
}

struct ring_track_stats ring_track_stats(const struct ring_track *k)
{
	return k->stats;
}

/* Drops the tick in progress: nothing is said about it. */
static void drop_tick(struct ring_track *k)
{
	ring_turn_drop(&k->turn);
	k->running = NULL;
	bury_dead(k);
}

static struct ring_task *add_task(struct ring_track *k, uint32_t id)
{
	if (k->ntasks >= RING_TRACK_MAX_TASKS && k->dead)
		drop_tick(k); /* a tick without an end: its dead need the room */
	struct ring_task *t = k->ntasks < RING_TRACK_MAX_TASKS ? calloc(1, sizeof(*t)) : NULL;
	if (!t)
		return NULL;
	t->id = id;
	t->state = RING_STATE_UNKNOWN;
	HASH_ADD(hh, k->tasks, id, sizeof(t->id), t);
	if (!t->hh.tbl) { /* out of memory */
		free(t);
		return NULL;
	}
	k->ntasks++;
	return t;
}

/* The task of a record; one that nobody announced becomes known without a name. NULL: no room. */
static struct ring_task *meet(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = ring_track_find(k, rec->task);
	bool fresh = !t;

	if (fresh)
		t = add_task(k, rec->task);
	if (!t) {
		k->stats.refused++;
		return NULL;
	}
	t->last_index = rec->index;
	if (t->epoch != k->epoch) {
		t->epoch = k->epoch;
		t->state = RING_STATE_UNKNOWN;
		t->since_ns = 0;
	}
	if (fresh && rec->kind != LSC_REC_TASK_NEW)
		CALL(k, task_new, t, false);
	return t;
}

static void set_state(struct ring_track *k, struct ring_task *t, int state, uint64_t since_ns,
		      uint64_t now_ns)
{
	t->state = state;
	t->since_ns = since_ns;
	if (state != LSC_TASK_SUSPENDED)
		t->wait_kind = LSC_WAIT_NONE, t->wait_detail = 0;
	CALL(k, task_state, t, now_ns);
}

static void on_gap(struct ring_track *k)
{
	k->epoch++;
	k->snapshot_index = 0;
	k->stats.gaps++;
	k->idle_since_ns = 0;
	drop_tick(k);
	if (k->ops->gap)
		k->ops->gap(k->arg);
}

static void on_task_new(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = meet(k, rec);
	uint32_t site = (uint32_t)rec->arg64;
	bool snapshot = rec->arg16 == 1, known;

	if (!t)
		return;
	known = t->name || t->site || t->created_ns;
	if (snapshot)
		t->snapshot = k->snapshot;
	if (known && !snapshot)
		k->stats.odd++; /* announced twice */
	if (known)
		return;
	t->parent = (uint32_t)(rec->arg64 >> 32);
	if (site)
		t->site = ring_sites_find(&k->sites, site);
	if (rec->text && !t->name)
		t->name = strndup(rec->text, rec->text_size);
	if (!snapshot) {
		t->created_ns = rec->time_ns;
		t->state = LSC_TASK_CREATED;
		t->since_ns = rec->time_ns;
	}
	CALL(k, task_new, t, snapshot);
}

/* Since when it could run. What waits for a timer could from its time on; the loop says so when it
 * looks at its timers, which it does late while something holds it. A loop that idled then was
 * woken up late, which is nobody's doing in it: then from the begin of its tick on. */
static uint64_t ready_since(const struct ring_track *k, const struct ring_task *t,
			    const struct ring_record *rec)
{
	uint64_t due = t->wait_detail;

	if (t->state != LSC_TASK_SUSPENDED || t->wait_kind != LSC_WAIT_TIMER ||
	    rec->arg8 != LSC_WAIT_TIMER || !t->since_ns || due >= rec->time_ns || !k->turn.open)
		return rec->time_ns;
	if (due < t->since_ns)
		due = t->since_ns;
	return due >= k->idle_since_ns && due < k->turn.begin_ns ? k->turn.begin_ns : due;
}

static void on_ready(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = meet(k, rec);

	if (!t)
		return;
	if (t == k->running || t->state == LSC_TASK_READY)
		k->stats.odd++; /* the first word counts */
	else
		set_state(k, t, LSC_TASK_READY, ready_since(k, t, rec), rec->time_ns);
}

static void on_run(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = meet(k, rec);

	if (!t)
		return;
	if (k->running)
		k->stats.odd++; /* steps do not nest: the open one has no end */
	if (t->state == LSC_TASK_READY && t->since_ns) {
		uint64_t ready_ns = t->since_ns;
		if (!t->ready_wait)
			t->ready_wait = calloc(1, sizeof(*t->ready_wait));
		if (t->ready_wait)
			lsc_hist_add(t->ready_wait, rec->time_ns - ready_ns);
		CALL(k, ready_wait, t, ready_ns, rec->time_ns);
	}
	k->running = t;
	k->step_begin_ns = rec->time_ns;
	set_state(k, t, LSC_TASK_RUNNING, rec->time_ns, rec->time_ns);
}

/* The step of t ends, if its beginning was seen. */
static void end_step(struct ring_track *k, struct ring_task *t, uint64_t end_ns)
{
	if (k->running != t) {
		if (t->state != RING_STATE_UNKNOWN)
			k->stats.odd++;
		return;
	}
	uint64_t ns = end_ns - k->step_begin_ns;
	k->running = NULL;
	t->steps++;
	t->run_ns += ns;
	if (ns > t->max_step_ns)
		t->max_step_ns = ns;
	if (ring_turn_add(&k->turn, t, ns) < 0)
		k->stats.refused++;
	CALL(k, step, t, k->step_begin_ns, end_ns);
}

static void on_suspend(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = meet(k, rec);

	if (!t)
		return;
	end_step(k, t, rec->time_ns);
	t->wait_kind = rec->arg8;
	t->wait_detail = rec->arg64;
	set_state(k, t, LSC_TASK_SUSPENDED, rec->time_ns, rec->time_ns);
}

static void on_yield(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = meet(k, rec);

	if (!t)
		return;
	end_step(k, t, rec->time_ns);
	set_state(k, t, LSC_TASK_READY, rec->time_ns, rec->time_ns);
}

/* Takes t out of the living; it stays in memory until its tick is over. */
static void part(struct ring_track *k, struct ring_task *t)
{
	if (k->running == t)
		k->running = NULL;
	HASH_DEL(k->tasks, t);
	t->next_dead = k->dead;
	k->dead = t;
	CALL(k, task_gone, t);
	if (!k->turn.open)
		bury_dead(k);
}

static void on_done(struct ring_track *k, const struct ring_record *rec)
{
	static const int states[] = {LSC_TASK_DONE, LSC_TASK_FAILED, LSC_TASK_CANCELLED};
	struct ring_task *t = meet(k, rec);

	if (!t)
		return;
	/* a task that is cancelled before its first step is done without having run */
	if (k->running == t)
		end_step(k, t, rec->time_ns);
	t->ended_ns = rec->time_ns;
	set_state(k, t, states[rec->arg8], rec->time_ns, rec->time_ns);
	part(k, t);
}

static void on_state(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = meet(k, rec);

	if (!t)
		return;
	t->snapshot = k->snapshot;
	/* what was seen happening says more than the snapshot */
	if (t->state != RING_STATE_UNKNOWN || rec->arg8 == LSC_TASK_RUNNING)
		return;
	uint64_t since = rec->arg64 < rec->time_ns ? rec->arg64 : rec->time_ns;
	t->wait_kind = rec->arg16;
	t->wait_detail = 0;
	set_state(k, t, rec->arg8, since, rec->time_ns);
}

static void on_tick_begin(struct ring_track *k, const struct ring_record *rec)
{
	if (k->turn.open)
		k->stats.odd++;
	drop_tick(k);
	ring_turn_begin(&k->turn, rec->time_ns, rec->arg64);
}

static void on_tick_end(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_culprit culprits[RING_TRACK_CULPRITS];
	struct ring_tick tick;

	if (k->running)
		k->stats.odd++; /* no task runs between two ticks */
	k->idle_since_ns = rec->time_ns;
	if (k->turn.open) {
		ring_turn_end(&k->turn, rec->time_ns, culprits, &tick);
		k->stats.ticks++;
		CALL(k, tick, &tick);
	}
	drop_tick(k);
}

/* Tasks that lived before the snapshot and are not in it have ended unseen. */
static void on_snapshot_end(struct ring_track *k)
{
	struct ring_task *t, *next;

	if (!k->snapshot_index)
		return; /* its beginning was lost */
	HASH_ITER(hh, k->tasks, t, next)
	{
		if (t->snapshot == k->snapshot || t->last_index >= k->snapshot_index)
			continue;
		t->state = RING_STATE_UNKNOWN;
		part(k, t);
	}
	k->snapshot_index = 0;
}

static void on_said(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t = rec->task ? ring_track_find(k, rec->task) : NULL;

	if (rec->kind == LSC_REC_MARK)
		CALL(k, mark, t, rec->time_ns, rec->text, rec->text_size);
	else
		CALL(k, counter, t, rec->time_ns, rec->text, rec->text_size, (int64_t)rec->arg64);
}

void ring_track_feed(struct ring_track *k, const struct ring_record *rec)
{
	struct ring_task *t;

	if (rec->gap)
		on_gap(k);
	switch (rec->kind) {
	case LSC_REC_TICK_BEGIN:
		on_tick_begin(k, rec);
		break;
	case LSC_REC_TICK_END:
		on_tick_end(k, rec);
		break;
	case LSC_REC_TASK_NEW:
		on_task_new(k, rec);
		break;
	case LSC_REC_TASK_READY:
		on_ready(k, rec);
		break;
	case LSC_REC_TASK_RUN:
		on_run(k, rec);
		break;
	case LSC_REC_TASK_SUSPEND:
		on_suspend(k, rec);
		break;
	case LSC_REC_TASK_YIELD:
		on_yield(k, rec);
		break;
	case LSC_REC_TASK_DONE:
		on_done(k, rec);
		break;
	case LSC_REC_TASK_CANCEL:
		t = meet(k, rec);
		if (t)
			t->cancel_ns = rec->time_ns;
		break;
	case LSC_REC_SITE:
		if (ring_sites_put(&k->sites, rec) < 0)
			k->stats.refused++;
		break;
	case LSC_REC_SITE_STACK:
		ring_sites_stack(&k->sites, rec);
		break;
	case LSC_REC_SNAPSHOT_BEGIN:
		k->snapshot++;
		k->snapshot_index =
			rec->index + 1; /* never 0; nothing but this record has that index before */
		break;
	case LSC_REC_TASK_STATE:
		on_state(k, rec);
		break;
	case LSC_REC_SNAPSHOT_END:
		on_snapshot_end(k);
		break;
	case LSC_REC_MARK:
	case LSC_REC_COUNTER:
		on_said(k, rec);
		break;
	}
}
