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

#include "ring.h"

struct list;
struct task;
struct lsc_site;

struct trace {
	struct ring ring;
	uint32_t last_id;    /* of a task */
	uint32_t listener;   /* the header's, when last seen */
	uint64_t *announced; /* by site id: index of its latest SITE record, plus 1; 0: never */
	size_t nannounced;
	uint64_t snapshot_at; /* index of the latest SNAPSHOT_BEGIN */
	struct list *next; /* the task the running snapshot comes to next; NULL: no snapshot runs */
};

void trace_open(struct trace *trace, unsigned record_bits);
void trace_close(struct trace *trace);

/* How much of a text is recorded: at most LSC_TEXT_MAX bytes, not cut within a UTF-8 character. */
uint32_t trace_text_length(const char *text);

uint32_t trace_next_id(struct trace *trace);

void trace_tick_end(struct trace *trace, uint64_t timeout_ns);
void trace_tick_begin(struct trace *trace, uint64_t events);

void trace_task_new(struct trace *trace, struct task *task);
void trace_ready(struct trace *trace, struct task *task, const struct task *waker);
void trace_run(struct trace *trace, struct task *task);
void trace_suspend(struct trace *trace, struct task *task, uint64_t detail);
/* It goes on when the others have had their turn: suspended and ready at once. */
void trace_yield(struct trace *trace, struct task *task);
void trace_done(struct trace *trace, struct task *task, int result);
void trace_cancel(struct trace *trace, struct task *task, const struct task *asker);

/* Starts a snapshot of the live tasks (a list of task.live) when a reader asks for one, and goes on
 * with one that runs: at most a quarter of the ring at a time, so that a reader can follow. Once a
 * tick; true while there is more to come. */
bool trace_snapshot(struct trace *trace, struct list *live);

/* To be called before a task leaves the list of live tasks. */
void trace_forget(struct trace *trace, struct task *task);

#endif
