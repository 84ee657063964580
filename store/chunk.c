/* SPDX-License-Identifier: MIT */
/*
 * Packs task transitions: one byte of kind and flags, then only what differs from the event before.
 * docs/schema.md draws the layout. A blob starts from zero, so each is decodable without the
 * others.
 */
#include "chunk.h"

#include <errno.h>
#include <stdlib.h>

#include "varint.h"

#define KIND_MASK  0x0f /* 0: the kind does not fit and follows as a varint */
#define HAS_TASK   0x10 /* not the task of the event before */
#define HAS_DETAIL 0x20
#define HAS_ARG	   0x40
#define RESERVED   0x80
#define EVENT_MAX  (1 + 5 * VARINT_MAX)

int chunk_writer_append(struct chunk_writer *w, const struct chunk_event *e)
{
	if (!e->kind)
		return -EINVAL;
	if (!w->data && !(w->data = malloc(CHUNK_MAX_BYTES)))
		return -ENOMEM;
	if (w->size + EVENT_MAX > CHUNK_MAX_BYTES)
		return -ENOSPC;

	uint8_t *p = w->data + w->size;
	uint8_t *head = p++;

	*head = e->kind <= KIND_MASK ? (uint8_t)e->kind : 0;
	if (!*head)
		p = varint_put(p, e->kind);
	p = varint_put(p, varint_zigzag(e->ts_ns - w->prev_ts));
	if (e->task != w->prev_task) {
		*head |= HAS_TASK;
		p = varint_put(p, varint_zigzag((uint64_t)e->task - w->prev_task));
	}
	if (e->detail) {
		*head |= HAS_DETAIL;
		p = varint_put(p, e->detail);
	}
	if (e->arg) {
		*head |= HAS_ARG;
		p = varint_put(p, e->arg);
	}
	w->size = (size_t)(p - w->data);
	w->prev_ts = e->ts_ns;
	w->prev_task = e->task;
	if (!w->count || e->ts_ns < w->first_ns)
		w->first_ns = e->ts_ns;
	if (!w->count || e->ts_ns > w->last_ns)
		w->last_ns = e->ts_ns;
	w->count++;
	return 0;
}

void chunk_writer_reset(struct chunk_writer *w)
{
	*w = (struct chunk_writer){.data = w->data};
}

void chunk_writer_done(struct chunk_writer *w)
{
	free(w->data);
	*w = (struct chunk_writer){0};
}

/* Decodes the event at p on top of the one before, which *e holds. NULL when damaged. */
static const uint8_t *decode(const uint8_t *p, const uint8_t *end, struct chunk_event *e)
{
	uint8_t head = *p++;
	uint64_t kind = head & KIND_MASK, ts = 0, task = 0, detail = 0, arg = 0;

	if (head & RESERVED)
		return NULL;
	if (!kind)
		p = varint_get(p, end, &kind);
	p = varint_get(p, end, &ts);
	if (head & HAS_TASK)
		p = varint_get(p, end, &task);
	if (head & HAS_DETAIL)
		p = varint_get(p, end, &detail);
	if (head & HAS_ARG)
		p = varint_get(p, end, &arg);
	if (!p)
		return NULL;
	task = e->task + varint_unzigzag(task);
	if (!kind || kind > UINT32_MAX || task > UINT32_MAX || detail > UINT32_MAX)
		return NULL;
	*e = (struct chunk_event){
		.ts_ns = e->ts_ns + varint_unzigzag(ts),
		.kind = (uint32_t)kind,
		.task = (uint32_t)task,
		.detail = (uint32_t)detail,
		.arg = arg,
	};
	return p;
}

int chunk_each(const void *data, size_t size, chunk_event_fn *fn, void *arg)
{
	const uint8_t *p = data, *end = p + size;
	struct chunk_event e = {0};

	if (size > CHUNK_MAX_BYTES)
		return -EBADMSG;
	while (p < end) {
		p = decode(p, end, &e);
		if (!p)
			return -EBADMSG;
		int r = fn(&e, arg);
		if (r)
			return r;
	}
	return 0;
}
