/* SPDX-License-Identifier: MIT */
/*
 * CPython's global interpreter lock: a condition inside `_PyRuntime`, in all versions from 3.8 on
 * (the main interpreter's state lies there since 3.12). Its futexes are the only ones there: other
 * locks are allocated or on a stack. The kernel side is told where it lies, since a wait for the
 * lock is a string of 5 ms waits that may each be too short for an event, and where it names its
 * holder. What is read there is the target's to choose: a holder is one of its threads, or nobody.
 */
#include "evidence.h"

#include <string.h>

#define RUNTIME_SIZE_MAX (16ull << 20) /* 0.5 MB in 3.12, the largest */
#define TID_MAX		 0x400000      /* PID_MAX_LIMIT */
#define HOLDER		 "holder of the GIL"

void gil_look(struct collector *c, struct loop *l)
{
	struct target *t = l->target;

	if (!c->probe || !target_is_python(t) || (t->gil_sought && l->confidence < 3) ||
	    (l->python && t->python_tasks))
		return;
	t->gil_sought = true;
	struct job *j = job_new(c, NULL, JOB_GIL);
	if (!j)
		return;
	j->target = t->id;
	j->tid = l->tid;
	if (!job_begin(c, j, inspector_cpython(c->inspector, j->cookie, t->pid, l->tid, l->ns_tid)))
		t->gil_sought = false;
}

/* The first answer tells what is known of the program, later ones more of its threads. */
static void take_place(struct collector *c, struct target *t, const struct inspector_result *r)
{
	struct gil_place place = {.begin = r->address,
				  .end = r->address + r->size,
				  .holder = r->gil.holder,
				  .id_offset = r->gil.id_offset,
				  .id_hop = r->gil.id_hop};

	_Static_assert(sizeof(place.python) == sizeof(r->place), "the same fields");
	memcpy(&place.python, &r->place, sizeof(place.python));
	if (!t->gil && r->why)
		ledger_unresolved(c, HOLDER, r->why);
	if (!t->gil && r->place.code_name)
		inquiry_warm_up(c, t, t->pid);
	t->gil = r->gil.holder;
	t->python_tasks = r->place.tasks || r->place.state_task;
	probe_set_gil(c->probe, t->pid, &place);
}

void gil_found(struct collector *c, const struct job *j, const struct inspector_result *r)
{
	struct loop *l = watch_loop(c, j->tid);

	if (!r->address || r->size > RUNTIME_SIZE_MAX) {
		ledger_unresolved(c, "gil", r->why ? r->why : "the program has no _PyRuntime");
		return;
	}
	for (size_t i = 0; i < c->ntargets; i++)
		if (c->targets[i]->id == j->target && !c->targets[i]->gone)
			take_place(c, c->targets[i], r);
	if (l && l->target->id == j->target && !l->target->gone && r->state)
		l->python = probe_set_python(c->probe, l->tid, r->state) == 0;
}

void gil_forget(struct collector *c, struct target *t)
{
	t->gil_sought = t->gil_doubted = t->python_tasks = false;
	t->gil = 0;
	probe_drop_gil(c->probe, t->pid);
}

bool gil_name_owner(struct collector *c, const struct loop *l, const struct aux *aux,
		    struct owner *ret)
{
	struct target *t = l->target;
	struct owner o = {.word = t->gil, .gil = aux->gil.state};

	o.lock.ns_tid = (int)aux->gil.ns_tid;
	if (!t->gil || !o.gil || o.lock.ns_tid == l->ns_tid)
		return false;
	if (aux->gil.ns_tid > 0 && aux->gil.ns_tid <= TID_MAX)
		o.tid = target_find_thread(t, o.lock.ns_tid, false, o.comm);
	if (o.tid > 0) {
		*ret = o;
		return true;
	}
	if (!t->gil_doubted)
		ledger_unresolved(c, HOLDER, "it names no thread of the process");
	t->gil_doubted = true;
	return false;
}

bool gil_is_held(const struct owner *o, const uint32_t words[INSPECTOR_WORDS])
{
	uint64_t state;

	memcpy(&state, words, sizeof(state));
	return state == o->gil && words[2] == 1;
}
