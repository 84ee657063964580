/* SPDX-License-Identifier: MIT */
/* The roll first, then each task of it. Source: Modules/_asynciomodule.c. */
#include "inspect/pylist.h"

#include <string.h>

#include "inspect/bytes.h"
#include "inspect/pypages.h"
#include "inspect/pyroll.h"

#define TASK_BYTES	 192 /* of a TaskObject, up to its name */
#define FUTURE_LOOP	 16
#define STATE_PENDING	 0
#define CHUNK		 128 /* tasks between their first and their second reading */
#define TRIES		 3
#define HOLDER_LOOP	 16 /* of what a thread has for its running loop, up to 3.11 */
#define STATES_MAX	 4096
#define GROUP_EXIT	 "TaskGroup.__aexit__"
#define GROUP_EXIT_INNER "TaskGroup._aexit" /* since 3.13 the former calls it */

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

static bool is_pending(struct pyview *v, uint64_t future)
{
	enum pyclass class = pyclass_of(v, future);
	int32_t state;

	return (class == PYCLASS_FUTURE || class == PYCLASS_TASK) &&
	       pyobject_read(v, future + v->layout.task_state, &state, sizeof(state)) &&
	       state == STATE_PENDING;
}

/* What the coroutine of a task that runs has called: the inner frames of its loop's thread. */
static void add_calls(struct pyview *v, struct pylist_task *t)
{
	static struct pyframe frames[PYFRAME_MAX]; /* the worker has one thread */
	struct pyawait *a = &t->chain;
	uint32_t tid = pylist_thread(v, t->loop);
	size_t n = 0, at = 0;
	bool cut;

	if (!tid || pyframe_walk(v, tid, frames, &n, &cut) != MESSAGE_WHY_NONE)
		return;
	while (at < n && frames[at].address != a->frames[0].address)
		at++;
	if (at == n)
		return;
	while (at-- > 0) {
		if (frames[at].hidden)
			continue;
		if (a->n < PYAWAIT_MAX)
			a->frames[a->n++] = frames[at];
		else
			a->cut = true;
	}
}

static enum verdict read_task(struct pyview *v, uint64_t address, struct pylist_task *t)
{
	const struct pylayout *l = &v->layout;
	uint8_t b[TASK_BYTES];
	int32_t state;

	t->chain.n = t->wakes.n = 0; /* the rest of these is large */
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
	if (!is_pending(v, t->waiter))
		t->waiter = 0; /* none, or it is done and the task is about to run */
	if (!t->coro || t->coro % 8 || !pyawait_walk(v, t->coro, &t->chain))
		return TASK_ODD;
	pywaker_collect(v, address, &t->wakes);
	t->group = find_group(v, &t->chain);
	t->own = t->chain.n;
	if (t->chain.state == PYAWAIT_RUNNING)
		add_calls(v, t);
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
	    x->state != y->state || a->own != b->own || x->waits != y->waits)
		return false;
	if (x->state != PYAWAIT_RUNNING && x->cut != y->cut)
		return false;
	/* one that runs is at another instruction each time */
	for (size_t i = 0; i < x->n && x->state != PYAWAIT_RUNNING; i++)
		if (!is_same_frame(&x->frames[i], &y->frames[i]))
			return false;
	return true;
}

/* What it calls is told of a task whose thread stood still in it. */
static void drop_calls(struct pylist_task *a, const struct pylist_task *b)
{
	bool same = a->chain.n == b->chain.n;

	for (size_t i = a->own; same && i < a->chain.n; i++)
		same = is_same_frame(&a->chain.frames[i], &b->chain.frames[i]);
	if (same || a->chain.state != PYAWAIT_RUNNING)
		return;
	a->chain.n = a->own;
	a->chain.cut = false;
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
		if (a == b && a != TASK_ODD && (a == TASK_ENDED || is_same(t, &second))) {
			if (a == TASK_GOOD)
				drop_calls(t, &second);
			return a;
		}
	}
	return TASK_ODD;
}

static bool read_chunk(struct reading *r, const uint64_t *address, size_t n)
{
	struct pylist_task second;

	pypages_forget(r->pages);
	for (size_t i = 0; i < n; i++)
		r->verdict[i] = read_task(r->v, address[i], &r->first[i]);
	bool same = pypages_verify(r->pages); /* nothing has changed, nearly always */
	if (!same)
		pypages_forget(r->pages);
	for (size_t i = 0; i < n && !same; i++) {
		enum verdict b = read_task(r->v, address[i], &second), a = r->verdict[i];
		if (a != b || a == TASK_ODD || (a == TASK_GOOD && !is_same(&r->first[i], &second)))
			r->verdict[i] = TASK_ODD;
		else if (a == TASK_GOOD)
			drop_calls(&r->first[i], &second);
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
	struct pyroll roll;

	*ret_tally = (struct pylist_tally){0};
	if (v->why)
		return v->why;
	r = (struct reading){.v = v, .pages = &pages, .fn = fn, .arg = arg, .tally = ret_tally};
	pyclass_forget(v);
	pypages_begin(&pages, &v->py);
	enum message_why why = pyroll_read(v, &pages, &roll);
	for (size_t i = 0; !why && i < roll.n; i += CHUNK) {
		size_t n = roll.n - i < CHUNK ? roll.n - i : CHUNK;
		if (read_chunk(&r, roll.address + i, n))
			continue;
		ret_tally->omitted += roll.n - i - n;
		break;
	}
	pypages_end(&pages, &v->py);
	ret_tally->omitted += roll.omitted;
	ret_tally->torn = roll.torn;
	pyroll_done(&roll);
	return why;
}

/* ---- threads ---- */

/* The loop that a thread says it runs: in its state, or in its dictionary, up to 3.11 in an object
 * of its own. */
static uint64_t running_loop(struct pyview *v, uint64_t state)
{
	const struct pylayout *l = &v->layout;
	uint64_t at, loop;

	if (l->state_loop)
		return cpython_read_pointer(&v->py, state + l->state_loop, &loop) ? loop : 0;
	if (!cpython_read_pointer(&v->py, state + l->state_dict, &at) || !at)
		return 0;
	loop = pyobject_find(v, at, "__asyncio_running_event_loop__");
	if (!loop || l->minor >= 12)
		return loop;
	return cpython_read_pointer(&v->py, loop + HOLDER_LOOP, &at) ? at : 0;
}

uint32_t pylist_thread(struct pyview *v, uint64_t loop)
{
	const struct pylayout *l = &v->layout;
	uint64_t state, running;

	if (!loop || !cpython_read_pointer(&v->py, v->interp + l->interp_threads, &state))
		return 0;
	for (int i = 0; i < STATES_MAX && state; i++) {
		running = running_loop(v, state);
		if (running == loop)
			return pylayout_thread(&v->py, l, state);
		if (!cpython_read_pointer(&v->py, state + l->state_next, &state))
			return 0;
	}
	return 0;
}
