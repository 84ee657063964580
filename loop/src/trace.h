/* SPDX-License-Identifier: MIT */
/*
 * Which transition becomes which record, and what a reader must be told besides: sites, names, the
 * snapshot of live tasks. Everything here is a few stores, or nothing when the ring does not
 * record.
 */
#ifndef LSC_LOOP_TRACE_H
#define LSC_LOOP_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "ring.h"
#include "task.h"

struct trace {
	struct ring ring;
	uint64_t last_at;   /* index behind the record that ended a step or made a task, ... */
	uint64_t last_time; /* ... and its time, which the record directly behind it shares */
	struct list *next; /* the task the running snapshot comes to next; NULL: no snapshot runs */
	uint32_t listener; /* the header's, when last seen */
	uint32_t last_id;  /* of a task */
	uint64_t *announced; /* by site id: index of its latest SITE record, plus 1; 0: never */
	size_t nannounced;
	uint64_t snapshot_at; /* index of the latest SNAPSHOT_BEGIN */
};

/* Records nothing until trace_open(), which may fail to record, and says nothing. */
void trace_init(struct trace *trace);
void trace_open(struct trace *trace, unsigned record_bits);
void trace_close(struct trace *trace);

/* How much of a text is recorded: at most LSC_TEXT_MAX bytes, not cut within a UTF-8 character. */
uint32_t trace_text_length(const char *text);

/* Ids are not used twice: after 2^32 - 1 tasks the rest are 0, which is not recorded. */
static inline uint32_t trace_next_id(struct trace *trace)
{
	return trace->last_id == UINT32_MAX ? 0 : ++trace->last_id;
}

void trace_cancel(struct trace *trace, struct task *task, const struct task *asker);

/* The most stack that a task from the site has used, if that is known. */
void trace_site_stack(struct trace *trace, const struct lsc_site *site);

/* Only while trace_records(). */
void trace_task_new(struct trace *trace, struct task *task, const struct task *parent);

/* Whether a reader asks for a snapshot, or one runs. */
static inline bool trace_snapshot_is_due(const struct trace *trace)
{
	const struct ring_producer *p = trace->ring.producer;

	return p->slots && (trace->next || __atomic_load_n(&p->header->listener,
							   __ATOMIC_RELAXED) != trace->listener);
}

/* While that is so: begins a snapshot of the live tasks (a list of task.live), or goes on with it:
 * at most a quarter of the ring at a time, so that a reader can follow. Once a tick; true while
 * there is more to come. */
bool trace_snapshot(struct trace *trace, struct list *live);

/* To be called before a task leaves the list of live tasks. */
static inline void trace_forget(struct trace *trace, struct task *task)
{
	if (trace->next == &task->live)
		trace->next = task->live.next;
}

/* ---- ticks and steps: inline, since they are most of what is recorded ---- */

static inline bool trace_records(const struct trace *trace)
{
	return trace->ring.producer->slots;
}

static inline void trace_tick_end(struct trace *trace, uint64_t timeout_ns)
{
	ring_put(&trace->ring, LSC_REC_TICK_END, 0, 0, 0, timeout_ns);
}

static inline void trace_tick_begin(struct trace *trace, uint64_t events)
{
	struct ring_producer *p = trace->ring.producer;

	if (!p->slots)
		return;
	__atomic_store_n(&p->header->tick, p->header->tick + 1, __ATOMIC_RELAXED);
	ring_put_at(p, ring_now(p), LSC_REC_TICK_BEGIN, 0, 0, 0, events);
}

static inline uint64_t trace_put(struct trace *trace, uint8_t kind, uint8_t arg8,
				 const struct task *task, uint64_t arg64)
{
	return task->id ? ring_put(&trace->ring, kind, arg8, 0, task->id, arg64) : 0;
}

/* The record that follows directly belongs to the same moment: reading the clock is most of what a
 * record costs. */
static inline void trace_share_time(struct trace *trace, uint64_t time)
{
	if (time == 0)
		return; /* there was no record */
	trace->last_at = trace->ring.producer->head;
	trace->last_time = time;
}

/* Like trace_put(), in the moment of the record directly before, if that shares it. */
static inline __attribute__((always_inline)) uint64_t trace_put_behind(struct trace *trace,
								       uint8_t kind, uint8_t arg8,
								       const struct task *task,
								       uint64_t arg64)
{
	struct ring_producer *p = trace->ring.producer;

	if (!p->slots || task->id == 0)
		return 0;
	uint64_t time = p->head == trace->last_at ? trace->last_time : ring_now(p);
	ring_put_at(p, time, kind, arg8, 0, task->id, arg64);
	return time;
}

static inline void trace_current(struct trace *trace, uint32_t id)
{
	struct ring_producer *p = trace->ring.producer;

	if (p->slots)
		__atomic_store_n(&p->header->current_task, id, __ATOMIC_RELAXED);
}

static inline void trace_ready(struct trace *trace, struct task *task, const struct task *waker)
{
	task->since = trace_put_behind(trace, LSC_REC_TASK_READY, task->wait_kind, task,
				       waker ? waker->id : 0);
}

static inline void trace_run(struct trace *trace, struct task *task)
{
	trace_current(trace, task->id);
	task->since = trace_put_behind(trace, LSC_REC_TASK_RUN, 0, task, 0);
}

static inline void trace_suspend(struct trace *trace, struct task *task, uint64_t detail)
{
	task->since = trace_put(trace, LSC_REC_TASK_SUSPEND, task->wait_kind, task, detail);
	trace_share_time(trace, task->since);
	trace_current(trace, 0);
}

/* It goes on when the others have had their turn: suspended and ready at once. */
static inline void trace_yield(struct trace *trace, struct task *task)
{
	task->since = trace_put(trace, LSC_REC_TASK_YIELD, 0, task, 0);
	trace_share_time(trace, task->since);
	trace_current(trace, 0);
}

static inline void trace_done(struct trace *trace, struct task *task, int result)
{
	uint8_t how = task->state == LSC_TASK_CANCELLED ? 2 : task->state == LSC_TASK_FAILED;
	uint64_t error = result < 0 ? (uint64_t) - (int64_t)result : 0;

	trace_share_time(trace, trace_put(trace, LSC_REC_TASK_DONE, how, task, error));
	trace_current(trace, 0);
}

#endif
