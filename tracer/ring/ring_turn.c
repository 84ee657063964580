/* SPDX-License-Identifier: MIT */
#include "ring_turn.h"

#include <errno.h>
#include <stdlib.h>

void ring_turn_begin(struct ring_turn *u, uint64_t begin_ns, uint64_t events)
{
	u->open = true;
	u->begin_ns = begin_ns;
	u->events = events;
}

int ring_turn_add(struct ring_turn *u, struct ring_task *t, uint64_t ns)
{
	if (!u->open)
		return 0;
	if (t->tick != u->number) {
		if (u->n == u->space) {
			size_t space = u->space ? 2 * u->space : 64;
			struct ring_task **ran = realloc(u->ran, space * sizeof(*ran));
			if (!ran) {
				u->open = false;
				return -ENOMEM;
			}
			u->ran = ran;
			u->space = space;
		}
		u->ran[u->n++] = t;
		t->tick = u->number;
		t->tick_ns = 0;
	}
	t->tick_ns += ns;
	if (!u->longest || ns > u->longest_ns) {
		u->longest = t;
		u->longest_ns = ns;
	}
	return 0;
}

static int longest_first(const void *a, const void *b)
{
	const struct ring_task *x = *(struct ring_task *const *)a,
			       *y = *(struct ring_task *const *)b;

	return (x->tick_ns < y->tick_ns) - (x->tick_ns > y->tick_ns);
}

void ring_turn_end(struct ring_turn *u, uint64_t end_ns,
		   struct ring_culprit culprits[RING_TRACK_CULPRITS], struct ring_tick *ret)
{
	*ret = (struct ring_tick){.begin_ns = u->begin_ns,
				  .end_ns = end_ns,
				  .events = u->events,
				  .culprits = culprits,
				  .ntasks = u->n,
				  .longest = u->longest,
				  .longest_ns = u->longest_ns};
	if (u->n > 1)
		qsort(u->ran, u->n, sizeof(u->ran[0]), longest_first);
	while (ret->nculprits < u->n && ret->nculprits < RING_TRACK_CULPRITS) {
		const struct ring_task *t = u->ran[ret->nculprits];
		culprits[ret->nculprits++] = (struct ring_culprit){t, t->tick_ns};
	}
}

void ring_turn_drop(struct ring_turn *u)
{
	u->open = false;
	u->n = 0;
	u->longest = NULL;
	u->longest_ns = 0;
	u->number++;
}

void ring_turn_done(struct ring_turn *u)
{
	free(u->ran);
}
