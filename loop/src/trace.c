/* SPDX-License-Identifier: MIT */
/* Fills the ring as docs/wire.md describes. Keeps no state of tasks but the id and `since`. */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "list.h"
#include "loop.h"
#include "loopscope/mark.h"
#include "task.h"

void trace_init(struct trace *trace)
{
	*trace = (struct trace){0};
	ring_init(&trace->ring);
}

void trace_open(struct trace *trace, unsigned record_bits)
{
	ring_open(&trace->ring, record_bits);
}

void trace_close(struct trace *trace)
{
	ring_close(&trace->ring);
	free(trace->announced);
	trace->announced = NULL;
	trace->nannounced = 0;
}

/* ---- announcements ---- */

uint32_t trace_text_length(const char *text)
{
	size_t n = strnlen(text, LSC_TEXT_MAX + 1);

	if (n > LSC_TEXT_MAX)
		for (n = LSC_TEXT_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
			n--;
	return (uint32_t)n;
}

static uint32_t site_id(struct lsc_site *site)
{
	static uint32_t last_id; /* of the process: a site keeps its id in every loop */
	uint32_t id = __atomic_load_n(&site->id, __ATOMIC_RELAXED);

	if (id != 0)
		return id;
	uint32_t fresh = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
	/* Two threads may meet here; the first one's id stays. */
	if (__atomic_compare_exchange_n(&site->id, &id, fresh, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		return fresh;
	return id;
}

/* "function\0file" in at most LSC_TEXT_MAX bytes: a long path loses its beginning. */
static uint32_t site_text(const struct lsc_site *site, char text[LSC_TEXT_MAX])
{
	size_t function = strnlen(site->function, 100), file = strlen(site->file);
	size_t room = LSC_TEXT_MAX - function - 1, skip = file > room ? file - room : 0;

	while (skip < file && ((unsigned char)site->file[skip] & 0xc0) == 0x80)
		skip++; /* not within a UTF-8 character */
	memcpy(text, site->function, function);
	text[function] = '\0';
	memcpy(text + function + 1, site->file + skip, file - skip);
	return (uint32_t)(function + 1 + file - skip);
}

static bool remember_site(struct trace *trace, uint32_t id, uint64_t index)
{
	if (id >= trace->nannounced) {
		size_t n = id + 64u;
		uint64_t *grown = realloc(trace->announced, n * sizeof(*grown));

		if (!grown)
			return false;
		memset(grown + trace->nannounced, 0, (n - trace->nannounced) * sizeof(*grown));
		trace->announced = grown;
		trace->nannounced = n;
	}
	trace->announced[id] = index + 1;
	return true;
}

void trace_site_stack(struct trace *trace, const struct lsc_site *site)
{
	uint32_t high = __atomic_load_n(&site->stack_high, __ATOMIC_RELAXED);
	uint32_t size = __atomic_load_n(&site->stack_size, __ATOMIC_RELAXED);
	uint32_t id = __atomic_load_n(&site->id, __ATOMIC_RELAXED);

	if (id != 0 && high != 0)
		ring_put(&trace->ring, LSC_REC_SITE_STACK,
			 (uint8_t)(size ? __builtin_ctz(size) : 0), 0, id, high);
}

/* Announces a site, unless a reader that follows, or comes late, finds it in the newer half of the
 * ring and behind the latest snapshot's begin. Without memory to remember it is announced each
 * time. */
static uint32_t announce_site(struct trace *trace, struct lsc_site *site)
{
	const struct ring_producer *p = trace->ring.producer;
	uint32_t id = site_id(site);
	uint64_t half = p->head > p->mask / 2 ? p->head - p->mask / 2 : 0;
	uint64_t at = id < trace->nannounced ? trace->announced[id] : 0;
	char text[LSC_TEXT_MAX];

	if (at > half && at > trace->snapshot_at)
		return id;
	remember_site(trace, id, p->head);
	uint64_t now = ring_put(&trace->ring, LSC_REC_SITE, 0, 0, id, site->line);
	ring_put_text(&trace->ring, now, text, site_text(site, text));
	trace_site_stack(trace, site);
	return id;
}

static uint64_t announce_task(struct trace *trace, const struct task *task, bool in_snapshot)
{
	uint64_t site = announce_site(trace, task->site);
	uint64_t now = ring_put(&trace->ring, LSC_REC_TASK_NEW, 0, in_snapshot, task->id,
				site | (uint64_t)task->parent << 32);
	ring_put_text(&trace->ring, now, task_name(task), task->name_length);
	return now;
}

/* ---- transitions ---- */

void trace_task_new(struct trace *trace, struct task *task, const struct task *parent)
{
	task->parent = parent ? parent->id : 0;
	task->since = task->id != 0 ? announce_task(trace, task, false) : 0;
	trace_share_time(trace, task->since);
}

void trace_cancel(struct trace *trace, struct task *task, const struct task *asker)
{
	trace_put(trace, LSC_REC_TASK_CANCEL, 0, task, asker ? asker->id : 0);
}

/* ---- what the application says ---- */

static void say(uint8_t kind, uint64_t arg64, const char *text)
{
	if (!loop_thread)
		return;
	const struct task *task = loop_thread->current;
	struct ring *ring = &loop_thread->trace.ring;
	uint64_t now = ring_put(ring, kind, 0, 0, task ? task->id : 0, arg64);

	ring_put_text(ring, now, text, trace_text_length(text));
}

void lsc_trace_mark(const char *text)
{
	say(LSC_REC_MARK, 0, text ? text : "");
}

void lsc_trace_counter(const char *name, int64_t value)
{
	if (name && *name)
		say(LSC_REC_COUNTER, (uint64_t)value, name);
}

/* ---- snapshot ---- */

/* The most records that one task can take: SITE and TASK_NEW with full texts, SITE_STACK twice,
 * TASK_STATE. */
#define TEXT_RECORDS_MAX ((LSC_TEXT_MAX + 11) / 12)
#define TASK_RECORDS_MAX (5 + 2 * TEXT_RECORDS_MAX)

static void put_state(struct trace *trace, struct task *task)
{
	if (task->id == 0)
		return;
	announce_task(trace, task, true);
	if (task->future.loop->debug && task->runner)
		debug_stack(task->future.loop, task);
	ring_put(&trace->ring, LSC_REC_TASK_STATE, task->state, task->wait_kind, task->id,
		 task->since);
}

bool trace_snapshot(struct trace *trace, struct list *live)
{
	struct ring_producer *p = trace->ring.producer;
	uint32_t listener = __atomic_load_n(&p->header->listener, __ATOMIC_RELAXED);

	if (listener != trace->listener) {
		uint64_t count = 0;

		for (struct list *l = live->next; l != live; l = l->next)
			count++;
		trace->listener = listener;
		trace->next = live->next;
		trace->snapshot_at = p->head;
		ring_put(&trace->ring, LSC_REC_SNAPSHOT_BEGIN, 0, 0, 0, count);
	}
	uint64_t stop = p->head + (p->mask + 1) / 4;
	for (; trace->next != live; trace->next = trace->next->next) {
		if (p->head + TASK_RECORDS_MAX > stop)
			return true;
		put_state(trace, container_of(trace->next, struct task, live));
	}
	trace->next = NULL;
	ring_put(&trace->ring, LSC_REC_SNAPSHOT_END, 0, 0, 0, 0);
	return false;
}
