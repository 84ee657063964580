/* SPDX-License-Identifier: MIT */
/* Marks and counters of one loop's application. */
#include "said.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "feed_row.h"
#include "loopscope/wire.h"
#include "state.h"

#define COUNTERS_MAX	 256  /* of one loop */
#define MARKS_PER_SECOND 1000 /* of one loop; a flood would fill the capture */
#define MARKS_KEPT	 64   /* for live lines */

struct counter {
	struct store_counter row; /* its name lies behind it */
	bool stored;
	UT_hash_handle hh;
	char name[];
};

struct said {
	struct collector *c;
	struct loop *l;
	struct counter *counters; /* owns; by name */
	uint64_t second;	  /* in which marks were stored last, and ... */
	unsigned marks;		  /* ... how many */
	struct {
		uint64_t ns;
		char text[64];
	} kept[MARKS_KEPT];
	size_t nkept; /* ever */
};

struct said *said_new(struct collector *c, struct loop *l)
{
	struct said *s = calloc(1, sizeof(*s));

	if (s)
		*s = (struct said){.c = c, .l = l};
	return s;
}

struct said *said_free(struct said *s)
{
	struct counter *k, *next;

	if (!s)
		return NULL;
	HASH_ITER(hh, s->counters, k, next)
	{
		HASH_DEL(s->counters, k);
		free(k);
	}
	free(s);
	return NULL;
}

/* By our own clock: the times of the records are the target's choice. */
static bool too_many(struct said *s)
{
	uint64_t second = lsc_now_ns() / LSC_NS_PER_S;

	if (second != s->second) {
		s->second = second;
		s->marks = 0;
	}
	return s->marks++ >= MARKS_PER_SECOND;
}

void said_mark(struct said *s, const struct ring_task *t, uint64_t ns, const char *text,
	       size_t size)
{
	char copy[LSC_TEXT_MAX + 1];

	if (ns < s->c->start_ns)
		return;
	if (too_many(s)) {
		ledger_unresolved(s->c, "mark", "more than 1000 in a second, on one loop");
		return;
	}
	if (text) {
		memcpy(copy, text, size);
		copy[size] = '\0';
	}
	if (text) {
		s->kept[s->nkept % MARKS_KEPT].ns = ns;
		snprintf(s->kept[s->nkept++ % MARKS_KEPT].text, sizeof(s->kept[0].text), "%.63s",
			 copy);
	}
	struct store_mark row = {.loop = s->l->id,
				 .task = t ? feed_row_id(s->l->id, t->id) : 0,
				 .ts_ns = ns,
				 .text = text ? copy : NULL};
	ledger_stored(s->c, store_put_mark(s->c->store, &row));
}

const char *said_in(const struct said *s, uint64_t begin_ns, uint64_t end_ns, uint64_t *ret_ns)
{
	for (size_t i = s->nkept; i > 0 && s->nkept - i < MARKS_KEPT; i--) {
		const __typeof__(s->kept[0]) *mark = &s->kept[(i - 1) % MARKS_KEPT];

		if (mark->ns < begin_ns)
			return NULL;
		if (mark->ns <= end_ns) {
			*ret_ns = mark->ns;
			return mark->text;
		}
	}
	return NULL;
}

static struct counter *counter_new(struct said *s, const char *name, size_t size)
{
	unsigned n = HASH_COUNT(s->counters);
	struct counter *k = n < COUNTERS_MAX ? calloc(1, sizeof(*k) + size + 1) : NULL;

	if (!k)
		return NULL;
	memcpy(k->name, name, size);
	k->row = (struct store_counter){
		.id = feed_row_id(s->l->id, n + 1), .loop = s->l->id, .name = k->name};
	HASH_ADD_KEYPTR(hh, s->counters, k->name, size, k);
	if (!k->hh.tbl) {
		free(k);
		return NULL;
	}
	return k;
}

void said_counter(struct said *s, uint64_t ns, const char *name, size_t size, int64_t value)
{
	struct counter *k;

	if (!name) {
		ledger_unresolved(s->c, "counter", "its name was lost");
		return;
	}
	HASH_FIND(hh, s->counters, name, size, k);
	bool fresh = !k;
	if (fresh)
		k = counter_new(s, name, size);
	if (!k) {
		ledger_unresolved(s->c, "counter", "more than 256 of one loop, or out of memory");
		return;
	}
	struct store_counter *row = &k->row;
	bool before = ns < s->c->start_ns;
	k->stored = false;
	if (fresh)
		row->first_ns = ns;
	if (fresh || before || value < row->min)
		row->min = value;
	if (fresh || before || value > row->max)
		row->max = value;
	row->last = value;
	row->last_ns = ns;
	row->count += !before;
}

void said_store(struct said *s)
{
	for (struct counter *k = s->counters; k; k = k->hh.next) {
		if (!k->stored)
			ledger_stored(s->c, store_put_counter(s->c->store, &k->row));
		k->stored = true;
	}
}
