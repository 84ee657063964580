/* SPDX-License-Identifier: MIT */
/* Frames of Python that the kernel side took: an event of their own, ahead of the one of the
 * sample, the owner or the block that they belong to. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct python_frame) == sizeof(struct inspector_pyframe) &&
		       PYTHON_FRAMES == INSPECTOR_PYFRAMES_MAX,
	       "the kernel side's frames are the inspector's");
_Static_assert(sizeof(struct python_task) == sizeof(struct inspector_seen_task),
	       "and so is its task");

void chain_keep(struct loop *l, const struct event_python *e)
{
	struct event_python **kept = e->of_block ? &l->block_chain : &l->chain;

	if (!*kept)
		*kept = malloc(sizeof(**kept));
	if (*kept)
		memcpy(*kept, e,
		       offsetof(struct event_python, frames) + e->count * sizeof(e->frames[0]));
}

void chain_forget(struct loop *l)
{
	free(l->chain);
	free(l->block_chain);
	free(l->alike.chain);
	l->chain = l->block_chain = NULL;
	l->alike.chain = NULL;
}

static bool is_same_task(const struct inspector_seen_task *a, const struct inspector_seen_task *b)
{
	return a->address == b->address &&
	       (!a->address || (a->frame == b->frame && a->name == b->name && a->size == b->size &&
				memcmp(a->bytes, b->bytes, a->size) == 0));
}

bool chain_is_same(const struct inspector_chain *a, const struct inspector_chain *b)
{
	return is_same_task(&a->task, &b->task) && a->count == b->count && a->cut == b->cut &&
	       memcmp(a->frames, b->frames, a->count * sizeof(a->frames[0])) == 0;
}

bool chain_of_block(const struct loop *l, uint64_t off_ns)
{
	const struct event_python *p = l->block_chain;

	return p && p->e.ts_ns == off_ns && p->ns_tid == (__u32)l->ns_tid;
}

struct inspector_chain *chain_take(const struct loop *l, const struct event_block *e, int ns_tid)
{
	bool block = e->e.kind == EVENT_BLOCK;
	const struct event_python *p = block ? l->block_chain : l->chain;

	if (!p || p->e.ts_ns != (block ? e->off_ns : e->e.ts_ns) || p->ns_tid != (__u32)ns_tid)
		return NULL;
	struct inspector_chain *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->tid = p->ns_tid;
	c->count = p->count;
	c->cut = p->cut;
	memcpy(&c->task, &p->task, sizeof(c->task));
	memcpy(c->frames, p->frames, p->count * sizeof(p->frames[0]));
	return c;
}
