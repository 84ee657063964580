/* SPDX-License-Identifier: MIT */
/*
 * starvation: what could run and had to wait. The culprit is the stall that the wait overlaps most;
 * where no stall was long enough to be recorded, the longest step among the packed transitions.
 */
#include "analysis/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/internal.h"
#include "base/clock.h"
#include "base/duration.h"

#define WAIT_WARNING_NS (5 * LSC_NS_PER_MS)
#define WAIT_ERROR_NS	(50 * LSC_NS_PER_MS)
#define STEPS_LOOKED_AT 4096 /* of one wait: a hostile wait may span them all */

static int step_by_time(const void *x, const void *y)
{
	const struct step *a = x, *b = y;

	if (a->loop != b->loop)
		return a->loop < b->loop ? -1 : 1;
	return (a->start_ns > b->start_ns) - (a->start_ns < b->start_ns);
}

/* The step of another task that took most of the wait. Steps of a loop follow each other. */
static const struct step *longest_step(const struct analysis *a, const struct store_wait *w)
{
	const struct step key = {.loop = w->loop, .start_ns = w->ready_ns};
	const struct step *best = NULL;
	uint64_t best_ns = 0;
	size_t low = 0, high = a->nsteps;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (step_by_time(&a->steps[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low > 0)
		low--;
	for (size_t n = 0; low < a->nsteps && n < STEPS_LOOKED_AT; low++, n++) {
		const struct step *s = &a->steps[low];

		if (s->loop > w->loop ||
		    (s->loop == w->loop && s->start_ns >= add_sat(w->ready_ns, w->wait_ns)))
			break;
		uint64_t ns = relate_overlap(s->start_ns, s->end_ns - s->start_ns, w->ready_ns,
					     w->wait_ns);
		if (s->loop == w->loop && s->task != w->task && ns > best_ns) {
			best = s;
			best_ns = ns;
		}
	}
	return best;
}

static const char *waiter(struct analysis *a, const struct store_wait *w)
{
	const struct analysis_task *t = analysis_task_of(a, w->task);

	if (t && t->row.name)
		return arena_printf(&a->arena, "%s %s", store_task_kind_name(t->row.kind),
				    t->row.name);
	if (w->peer)
		return arena_printf(&a->arena, "socket %s", w->peer);
	if (w->name)
		return w->name;
	if (w->kind == STORE_WAIT_SOCKET && w->fd >= 0)
		return arena_printf(&a->arena, "fd %d", w->fd);
	return w->kind == STORE_WAIT_TIMER    ? "a timer"
	       : w->kind == STORE_WAIT_SOCKET ? "a socket"
					      : "a task";
}

static int check_wait(struct analysis *a, const struct rule *rule, const struct store_wait *w,
		      const struct victim *of)
{
	const struct analysis_stall *s = of ? &a->stalls[of->stall] : NULL;
	struct occurrence o = {
		.loop = w->loop,
		.stall = s,
		.ns = w->wait_ns,
		.severity = w->wait_ns > WAIT_ERROR_NS ? SEVERITY_ERROR : SEVERITY_WARNING,
		/* a timer's due time is concluded from what the loop asked its wait for */
		.inferred = w->kind == STORE_WAIT_TIMER,
		.evidence = {"wait", w->id, w->ready_ns, w->wait_ns, waiter(a, w)},
	};
	if (!o.evidence.text)
		return -ENOMEM;
	if (s && s->rule->host)
		return 0; /* host-contention and stopped speak for it */
	if (s) {
		o.site = s->site;
		o.task = s->row.task;
		if (!o.task && s->nculprits)
			o.task = a->culprits[s->first_culprit].task;
	} else {
		const struct step *step = longest_step(a, w);

		o.task = step ? step->task : 0;
	}
	return finding_add(a, rule, &o);
}

static int write_sentences(struct analysis *a, const struct rule *rule)
{
	for (size_t i = 0; i < a->nfindings; i++) {
		struct finding *f = &a->findings[i];
		char worst[32], total[64] = "", sum[32];

		if (f->rule != rule)
			continue;
		lsc_duration_format(f->worst_ns, worst, sizeof(worst));
		if (f->count > 1)
			snprintf(total, sizeof(total), ", %s in all",
				 lsc_duration_format(f->total_ns, sum, sizeof(sum)));
		f->message =
			arena_printf(&a->arena, "%llu ready %s behind %s: %s%s%s",
				     (unsigned long long)f->count, f->count == 1 ? "wait" : "waits",
				     f->subject, f->count > 1 ? "up to " : "", worst, total);
		if (!f->message)
			return -ENOMEM;
	}
	return 0;
}

int rule_check_starvation(struct analysis *a, const struct rule *rule)
{
	const struct victim **of = calloc(a->nwaits + 1, sizeof(const struct victim *));
	int r = of ? 0 : -ENOMEM;

	if (a->nsteps)
		qsort(a->steps, a->nsteps, sizeof(*a->steps), step_by_time);
	for (size_t i = 0; !r && i < a->nvictims; i++) {
		const struct victim *v = &a->victims[i];

		if (!of[v->wait] || v->ns > of[v->wait]->ns)
			of[v->wait] = v;
	}
	for (size_t i = 0; !r && i < a->nwaits; i++)
		if (a->waits[i].wait_ns > WAIT_WARNING_NS)
			r = check_wait(a, rule, &a->waits[i], of[i]);
	free(of);
	return r ? r : write_sentences(a, rule);
}
