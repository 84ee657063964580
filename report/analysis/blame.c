/* SPDX-License-Identifier: MIT */
/*
 * Who made whom wait, over all stalls. Sockets and timers of one loop count as one victim each:
 * a client's port number says nothing. Stalls that the host caused blame nobody.
 */
#include "analysis/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/rules.h"

static int by_pair(const void *x, const void *y)
{
	const struct blame *a = x, *b = y;

	if (a->culprit != b->culprit)
		return a->culprit < b->culprit ? -1 : 1;
	if (a->victim != b->victim)
		return a->victim < b->victim ? -1 : 1;
	int r = strcmp(a->culprit_name ? a->culprit_name : "",
		       b->culprit_name ? b->culprit_name : "");
	return r ? r
		 : strcmp(a->victim_name ? a->victim_name : "",
			  b->victim_name ? b->victim_name : "");
}

static int by_wait(const void *x, const void *y)
{
	const struct blame *a = x, *b = y;

	if (a->wait_ns != b->wait_ns)
		return a->wait_ns > b->wait_ns ? -1 : 1;
	return by_pair(x, y);
}

static const char *victim_name(const struct analysis *a, const struct store_wait *w)
{
	const struct analysis_task *t = analysis_task_of(a, w->task);

	if (w->kind == STORE_WAIT_SOCKET)
		return "sockets";
	if (w->kind == STORE_WAIT_TIMER)
		return "timers";
	return t ? t->row.name : w->name;
}

static int blame_stall(struct analysis *a, const struct analysis_stall *s)
{
	const struct analysis_task *t = analysis_task_of(a, s->row.task);

	for (size_t i = 0; i < s->nvictims; i++) {
		const struct victim *v = &a->victims[s->first_victim + i];
		const struct store_wait *w = &a->waits[v->wait];
		struct blame *b = rows_push(&a->blame, &a->nblame, sizeof(*b));

		if (!b)
			return -ENOMEM;
		*b = (struct blame){
			.culprit = t ? s->row.task : 0,
			.victim = analysis_task_of(a, w->task) ? w->task : 0,
			.culprit_name = t && t->row.name ? t->row.name : s->site.function,
			.victim_name = victim_name(a, w),
			.count = 1,
			.wait_ns = v->ns,
		};
	}
	return 0;
}

int blame_all(struct analysis *a)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; !r && i < a->nstalls; i++)
		if (!a->stalls[i].rule->host)
			r = blame_stall(a, &a->stalls[i]);
	if (r || !a->nblame)
		return r;
	qsort(a->blame, a->nblame, sizeof(*a->blame), by_pair);
	for (size_t i = 0; i < a->nblame; i++) {
		if (n && !by_pair(&a->blame[n - 1], &a->blame[i])) {
			a->blame[n - 1].count++;
			a->blame[n - 1].wait_ns =
				add_sat(a->blame[n - 1].wait_ns, a->blame[i].wait_ns);
		} else {
			a->blame[n++] = a->blame[i];
		}
	}
	qsort(a->blame, n, sizeof(*a->blame), by_wait);
	a->nblame = n < ANALYSIS_BLAME_MAX ? n : ANALYSIS_BLAME_MAX;
	a->blame_omitted = n - a->nblame;
	return 0;
}
