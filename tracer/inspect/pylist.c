/* SPDX-License-Identifier: MIT */
/*
 * Up to 3.11 all tasks are in one WeakSet, then in another while only those that are just being
 * started eagerly are in a set beside it. Sources: Lib/_weakrefset.py, Objects/setobject.c,
 * Modules/_asynciomodule.c.
 */
#include "inspect/pylist.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/pypages.h"
#include "inspect/pytask.h"

#define TASK_BYTES	 192 /* of a TaskObject, up to its name */
#define FUTURE_LOOP	 16
#define STATE_PENDING	 0
#define SET_MASK	 32 /* the table follows */
#define SET_SLOTS_MAX	 (4u << 20)
#define SLOTS_AT_A_TIME	 512
#define WEAKREF_OBJECT	 16
#define CHUNK		 128 /* tasks between their first and their second reading */
#define TRIES		 3
#define STATES_MAX	 4096
#define GROUP_EXIT	 "TaskGroup.__aexit__"
#define GROUP_EXIT_INNER "TaskGroup._aexit" /* since 3.13 the former calls it */

struct list {
	uint64_t *address; /* owned */
	size_t n, room;
	uint64_t omitted;
	bool failed;
};

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t w;

	memcpy(&w, bytes + offset, sizeof(w));
	return w;
}

/* ---- where they all are ---- */

static void add(struct list *l, uint64_t address)
{
	if (l->n == PYLIST_TASKS_MAX) {
		l->omitted++;
		return;
	}
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 256;
		uint64_t *more = realloc(l->address, room * sizeof(*more));
		if (!more) {
			l->omitted++;
			return;
		}
		l->address = more;
		l->room = room;
	}
	l->address[l->n++] = address;
}

/* The members of a set, or what they refer to. False: it is none, or changed meanwhile. */
static bool add_set(struct pyview *v, uint64_t set, bool weak, struct list *l)
{
	uint64_t head[2], again[2], some[SLOTS_AT_A_TIME][2], object; /* head: mask, table */

	if (pyclass_of(v, set) != PYCLASS_SET ||
	    !pyobject_read(v, set + SET_MASK, head, sizeof(head)) || head[0] >= SET_SLOTS_MAX)
		return false;
	for (uint64_t done = 0; done <= head[0]; done += SLOTS_AT_A_TIME) {
		size_t n =
			head[0] + 1 - done < SLOTS_AT_A_TIME ? head[0] + 1 - done : SLOTS_AT_A_TIME;
		if (!pyobject_read(v, head[1] + done * sizeof(some[0]), some, n * sizeof(some[0])))
			return false;
		for (size_t i = 0; i < n; i++) {
			object = some[i][0];
			if (!object || object % sizeof(object))
				continue;
			if (weak &&
			    (pyclass_of(v, object) != PYCLASS_WEAKREF ||
			     !cpython_read_pointer(&v->py, object + WEAKREF_OBJECT, &object)))
				continue;
			add(l, object);
		}
	}
	return v->py.read(v->py.arg, set + SET_MASK, again, sizeof(again)) &&
	       memcmp(head, again, sizeof(head)) == 0;
}

static bool add_weak_set(struct pyview *v, uint64_t weak_set, struct list *l)
{
	return weak_set && add_set(v, pyobject_attribute(v, weak_set, "data"), true, l);
}

static int compare(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

/* By address: those that were made together lie together. One may be in both sets. */
static void sort(struct list *l)
{
	size_t kept = 0;

	if (l->n)
		qsort(l->address, l->n, sizeof(l->address[0]), compare);
	for (size_t i = 0; i < l->n; i++)
		if (!i || l->address[i] != l->address[i - 1])
			l->address[kept++] = l->address[i];
	l->n = kept;
}

/* NONE also where asyncio is not there: then there are no tasks. */
static enum message_why find_all(struct pyview *v, struct pypages *pages, struct list *l)
{
	bool one = v->layout.minor <= 11, sound = false;

	for (int i = 0; i < TRIES && !sound; i++) {
		pypages_forget(pages);
		l->n = l->omitted = 0;
		uint64_t weak = pytask_global(v, one ? "_all_tasks" : "_scheduled_tasks");
		if (!weak)
			return MESSAGE_WHY_NONE;
		sound = add_weak_set(v, weak, l) &&
			(one || add_set(v, pytask_global(v, "_eager_tasks"), false, l));
	}
	sort(l);
	return sound ? MESSAGE_WHY_NONE : MESSAGE_WHY_LAYOUT;
}

/* ---- one task ---- */

enum verdict { TASK_GOOD, TASK_ENDED, TASK_ODD };

/* A chain that ends in the end of a group: the group. */
static uint64_t find_group(struct pyview *v, const struct pyawait *a)
{
	char name[sizeof(GROUP_EXIT)];
	uint64_t text, length;

	if (v->layout.minor < 11 || !a->n)
		return 0;
	text = a->frames[a->n - 1].name;
	if (!pyobject_read(v, text + 16, &length, sizeof(length)) ||
	    (length != strlen(GROUP_EXIT) && length != strlen(GROUP_EXIT_INNER)) ||
	    !pyobject_text(v, text, name, sizeof(name)) ||
	    (strcmp(name, GROUP_EXIT) != 0 && strcmp(name, GROUP_EXIT_INNER) != 0))
		return 0;
	return pyawait_self(v, a);
}

static enum verdict read_task(struct pyview *v, uint64_t address, struct pylist_task *t)
{
	const struct pylayout *l = &v->layout;
	uint8_t b[TASK_BYTES];
	int32_t state;

	memset(t, 0, sizeof(*t));
	if (!pyobject_read(v, address, b, l->task_coro + 2 * sizeof(uint64_t)) ||
	    pyclass_of(v, address) != PYCLASS_TASK)
		return TASK_ENDED; /* freed, or None in a dead reference */
	memcpy(&state, b + l->task_state, sizeof(state));
	if (state != STATE_PENDING)
		return state == 1 || state == 2 ? TASK_ENDED : TASK_ODD;
	t->address = address;
	t->loop = word_at(b, FUTURE_LOOP);
	t->waiter = word_at(b, l->task_coro - 8);
	t->coro = word_at(b, l->task_coro);
	t->name = word_at(b, l->task_coro + 8);
	enum pyclass class = pyclass_of(v, t->waiter);
	if (class != PYCLASS_FUTURE && class != PYCLASS_TASK)
		t->waiter = 0; /* none */
	if (!t->coro || t->coro % 8 || !pyawait_walk(v, t->coro, &t->chain))
		return TASK_ODD;
	pywaker_collect(v, address, &t->wakes);
	t->group = find_group(v, &t->chain);
	return TASK_GOOD;
}

static bool is_same_frame(const struct pyframe *a, const struct pyframe *b)
{
	return a->address == b->address && a->name == b->name && a->table == b->table &&
	       a->at == b->at && a->first == b->first;
}

static bool is_same(const struct pylist_task *a, const struct pylist_task *b)
{
	const struct pyawait *x = &a->chain, *y = &b->chain;

	if (a->loop != b->loop || a->waiter != b->waiter || a->coro != b->coro ||
	    a->name != b->name || a->group != b->group || a->wakes.n != b->wakes.n ||
	    memcmp(a->wakes.found, b->wakes.found, a->wakes.n * sizeof(a->wakes.found[0])) != 0 ||
	    x->state != y->state || x->n != y->n || x->cut != y->cut || x->waits != y->waits)
		return false;
	/* one that runs is at another instruction each time */
	for (size_t i = 0; i < x->n && x->state != PYAWAIT_RUNNING; i++)
		if (!is_same_frame(&x->frames[i], &y->frames[i]))
			return false;
	return true;
}

/* ---- all of them ---- */

struct reading {
	struct pyview *v;
	struct pypages *pages;
	pylist_fn *fn;
	void *arg;
	struct pylist_tally *tally;
	struct pylist_task first[CHUNK];
	enum verdict verdict[CHUNK];
};

/* Once more, and its second reading at once. */
static enum verdict read_again(struct reading *r, uint64_t address, struct pylist_task *t)
{
	struct pylist_task second;

	for (int i = 1; i < TRIES; i++) {
		pypages_forget(r->pages);
		enum verdict a = read_task(r->v, address, t);
		pypages_forget(r->pages);
		enum verdict b = read_task(r->v, address, &second);
		if (a == b && a != TASK_ODD && (a == TASK_ENDED || is_same(t, &second)))
			return a;
	}
	return TASK_ODD;
}

static bool read_chunk(struct reading *r, const uint64_t *address, size_t n)
{
	struct pylist_task second;

	pypages_forget(r->pages);
	for (size_t i = 0; i < n; i++)
		r->verdict[i] = read_task(r->v, address[i], &r->first[i]);
	pypages_forget(r->pages);
	for (size_t i = 0; i < n; i++) {
		enum verdict b = read_task(r->v, address[i], &second), a = r->verdict[i];
		if (a != b || a == TASK_ODD || (a == TASK_GOOD && !is_same(&r->first[i], &second)))
			r->verdict[i] = TASK_ODD;
	}
	for (size_t i = 0; i < n; i++) {
		if (r->verdict[i] == TASK_ODD)
			r->verdict[i] = read_again(r, address[i], &r->first[i]);
		r->tally->changed += r->verdict[i] == TASK_ODD;
		if (r->verdict[i] != TASK_GOOD)
			continue;
		r->tally->told++;
		if (!r->fn(r->v, &r->first[i], r->arg)) {
			r->tally->omitted += n - i;
			return false;
		}
	}
	return true;
}

enum message_why pylist_read(struct pyview *v, pylist_fn *fn, void *arg,
			     struct pylist_tally *ret_tally)
{
	static struct pypages pages; /* the worker has one thread */
	static struct reading r;
	struct list l = {0};

	*ret_tally = (struct pylist_tally){0};
	if (v->why || !v->layout.task_coro)
		return v->why ? v->why : MESSAGE_WHY_VERSION;
	r = (struct reading){.v = v, .pages = &pages, .fn = fn, .arg = arg, .tally = ret_tally};
	pyclass_forget(v);
	pypages_begin(&pages, &v->py);
	enum message_why why = find_all(v, &pages, &l);
	for (size_t i = 0; !why && i < l.n; i += CHUNK) {
		size_t n = l.n - i < CHUNK ? l.n - i : CHUNK;
		if (read_chunk(&r, l.address + i, n))
			continue;
		ret_tally->omitted += l.n - i - n;
		break;
	}
	pypages_end(&pages, &v->py);
	ret_tally->omitted += l.omitted;
	free(l.address);
	return why;
}

/* ---- threads ---- */

uint32_t pylist_thread(struct pyview *v, uint64_t loop)
{
	const struct pylayout *l = &v->layout;
	uint64_t identity, state, other;
	uint32_t tid;
	uint64_t number = loop ? pyobject_attribute(v, loop, "_thread_id") : 0;

	if (!number || !pyobject_count(v, number, &identity) || !identity ||
	    !cpython_read_pointer(&v->py, v->interp + l->interp_threads, &state))
		return 0;
	/* thread_id, which is a pthread_t; native_thread_id follows it where there is one */
	uint32_t place = l->state_id_hop ? l->state_id : l->state_id - 8;
	for (int i = 0; i < STATES_MAX && state; i++) {
		tid = pylayout_thread(&v->py, l, state);
		if (pyobject_read(v, state + place, &other, sizeof(other)) && other == identity)
			return tid;
		if (!cpython_read_pointer(&v->py, state + l->state_next, &state))
			return 0;
	}
	return 0;
}
