/* SPDX-License-Identifier: MIT */
/* Frames of Python that the sampler took: an event of their own, right ahead of the sample's. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct python_frame) == sizeof(struct inspector_pyframe) &&
		       PYTHON_FRAMES == INSPECTOR_PYFRAMES_MAX,
	       "the kernel side's frames are the inspector's");

void chain_keep(struct loop *l, const struct event_python *e)
{
	if (!l->chain)
		l->chain = malloc(sizeof(*l->chain));
	if (l->chain)
		memcpy(l->chain, e,
		       offsetof(struct event_python, frames) + e->count * sizeof(e->frames[0]));
}

struct inspector_chain *chain_take(const struct loop *l, const struct event_block *sample)
{
	const struct event_python *p = l->chain;

	if (!p || p->e.ts_ns != sample->e.ts_ns || p->ns_tid != (__u32)l->ns_tid)
		return NULL;
	struct inspector_chain *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->tid = p->ns_tid;
	c->count = p->count;
	c->cut = p->cut;
	memcpy(c->frames, p->frames, p->count * sizeof(p->frames[0]));
	return c;
}
