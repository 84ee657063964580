/* SPDX-License-Identifier: MIT */
/*
 * CPython's global interpreter lock: a condition inside `_PyRuntime`, in all versions from 3.8 on
 * (the main interpreter's state lies there since 3.12). Its futexes are the only ones there: other
 * locks are allocated or on a stack. The kernel side is told where it lies, since a wait for the
 * lock is a string of 5 ms waits that may each be too short for an event.
 */
#include "state.h"

#include <string.h>

#define RUNTIME_SIZE_MAX (16ull << 20) /* 0.5 MB in 3.12, the largest */

void gil_look(struct collector *c, struct target *t, int tid)
{
	if (t->gil_sought || !c->probe || strcmp(t->runtime, "cpython"))
		return;
	t->gil_sought = true;
	struct job *j = evidence_job(c, NULL, JOB_GIL);
	if (!j)
		return;
	j->target = t->id;
	if (!evidence_job_begin(
		    c, j,
		    inspector_find(c->inspector, j->cookie, t->pid, tid, "python", "_PyRuntime")))
		t->gil_sought = false;
}

void gil_found(struct collector *c, int64_t target, const struct inspector_result *r)
{
	if (r->why || !r->address || r->size > RUNTIME_SIZE_MAX) {
		evidence_unresolved(c, "gil", r->why ? r->why : "the program has no _PyRuntime");
		return;
	}
	for (size_t i = 0; i < c->ntargets; i++)
		if (c->targets[i]->id == target && !c->targets[i]->gone)
			probe_set_gil(c->probe, c->targets[i]->pid, r->address, r->size);
}
