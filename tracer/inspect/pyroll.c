/* SPDX-License-Identifier: MIT */
/*
 * Up to 3.11 all tasks are in one WeakSet; in 3.12 and 3.13 in another, while those that are just
 * being started eagerly are in a set beside it; since 3.14 in a linked list of the thread that made
 * them, or of the interpreter when that thread has ended. Sources: Lib/_weakrefset.py,
 * Objects/setobject.c, Modules/_asynciomodule.c, Include/internal/pycore_llist.h.
 */
#include "inspect/pyroll.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/pyclass.h"
#include "inspect/pytask.h"

#define SET_MASK	32 /* the table follows */
#define SET_SLOTS_MAX	(4u << 20)
#define SLOTS_AT_A_TIME 512
#define WEAKREF_OBJECT	16
#define TRIES		3
#define STATES_MAX	4096
#define STEPS_MAX	(4 * PYROLL_MAX) /* in all lists of a process */
#define REPAIRS_MAX	1024		 /* in one */
#define REPAIRS_ALL	8192

/* False: it has no room any more. */
static bool add(struct pyroll *r, uint64_t address)
{
	if (r->n == PYROLL_MAX) {
		r->omitted++;
		return false;
	}
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 256;
		uint64_t *more = realloc(r->address, room * sizeof(*more));
		if (!more) {
			r->omitted++;
			return false;
		}
		r->address = more;
		r->room = room;
	}
	r->address[r->n++] = address;
	return true;
}

/* ---- sets ---- */

/* The members of a set, or what they refer to. False: it is none, or changed meanwhile. */
static bool add_set(struct pyview *v, uint64_t set, bool weak, struct pyroll *r)
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
			add(r, object);
		}
	}
	return v->py.read(v->py.arg, set + SET_MASK, again, sizeof(again)) &&
	       memcmp(head, again, sizeof(head)) == 0;
}

static bool add_weak_set(struct pyview *v, uint64_t weak_set, struct pyroll *r)
{
	return weak_set && add_set(v, pyobject_attribute(v, weak_set, "data"), true, r);
}

static enum message_why add_sets(struct pyview *v, struct pypages *pages, struct pyroll *r)
{
	bool one = v->layout.minor <= 11, sound = false;

	for (int i = 0; i < TRIES && !sound; i++) {
		pypages_forget(pages);
		r->n = r->omitted = 0;
		uint64_t weak = pytask_global(v, one ? "_all_tasks" : "_scheduled_tasks");
		if (!weak)
			return MESSAGE_WHY_NONE;
		sound = add_weak_set(v, weak, r) &&
			(one || add_set(v, pytask_global(v, "_eager_tasks"), false, r));
	}
	return sound ? MESSAGE_WHY_NONE : MESSAGE_WHY_LAYOUT;
}

/* ---- linked lists ---- */

struct node {
	uint64_t next, before;
};

static bool read_node(struct pyview *v, uint64_t address, struct node *ret)
{
	return address && address % sizeof(address) == 0 &&
	       pyobject_read(v, address, ret, sizeof(*ret));
}

/* Counts those that there is no room for. */
static bool count_rest(struct pyview *v, uint64_t head, uint64_t at, struct pyroll *r)
{
	struct node node;

	while (at != head) {
		if (r->steps++ >= STEPS_MAX || !read_node(v, at, &node))
			return false;
		r->omitted++;
		at = node.next;
	}
	return true;
}

/*
 * One list. Tasks are put in at its end and taken out anywhere, and one that is taken out may soon
 * be another one at the end. So a step counts only between two that name each other: then nothing
 * is passed over that stays in the list. Where that does not hold, memory has changed, and the walk
 * goes back to the last one that is still where it was.
 *
 * False: it does not come back to its head.
 */
static bool add_list(struct pyview *v, struct pypages *pages, uint64_t head, struct pyroll *r)
{
	const uint64_t inner = v->layout.task_node;
	const unsigned int left = REPAIRS_ALL - r->repairs;
	const unsigned int most = r->repairs + (left < REPAIRS_MAX ? left : REPAIRS_MAX);
	size_t base = r->n;
	struct node last, next;

	while (r->steps++ < STEPS_MAX && r->repairs < most) {
		size_t n = r->n - base;
		uint64_t at = n ? r->address[r->n - 1] + inner : head,
			 before = n > 1 ? r->address[r->n - 2] + inner : head;
		if (!read_node(v, at, &last))
			return false;
		if (!n && !last.next)
			return false; /* of a state that is being made */
		if (n && last.before != before) {
			r->n--;
		} else if (read_node(v, last.next, &next) && next.before == at) {
			if (last.next == head)
				return true;
			if (add(r, last.next - inner))
				continue;
			return count_rest(v, head, next.next, r);
		}
		r->repairs++;
		pypages_forget(pages);
	}
	return false;
}

static enum message_why add_lists(struct pyview *v, struct pypages *pages, struct pyroll *r)
{
	const struct pylayout *l = &v->layout;
	uint64_t state, owner;

	if (!l->task_node) /* it does not tell where they are, or is not there */
		return pytask_global(v, "Task") ? MESSAGE_WHY_VERSION : MESSAGE_WHY_NONE;
	if (!cpython_read_pointer(&v->py, v->interp + l->interp_threads, &state))
		return MESSAGE_WHY_LAYOUT;
	for (int i = 0; i < STATES_MAX && state; i++) {
		if (!cpython_read_pointer(&v->py, state + l->state_interp, &owner) ||
		    owner != v->interp) {
			r->torn++; /* threads come and go */
			break;
		}
		r->torn += !add_list(v, pages, state + l->state_tasks, r);
		if (!cpython_read_pointer(&v->py, state + l->state_next, &state))
			break;
	}
	/* last: tasks of a thread that ends meanwhile come here */
	r->torn += !add_list(v, pages, v->interp + l->interp_tasks, r);
	return MESSAGE_WHY_NONE;
}

/* ---- both ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

/* By address: those that were made together lie together. One may be there twice. */
static void sort(struct pyroll *r)
{
	size_t kept = 0;

	if (r->n)
		qsort(r->address, r->n, sizeof(r->address[0]), compare);
	for (size_t i = 0; i < r->n; i++)
		if (!i || r->address[i] != r->address[i - 1])
			r->address[kept++] = r->address[i];
	r->n = kept;
}

enum message_why pyroll_read(struct pyview *v, struct pypages *pages, struct pyroll *ret)
{
	*ret = (struct pyroll){0};
	enum message_why why =
		v->layout.minor >= 14 ? add_lists(v, pages, ret) : add_sets(v, pages, ret);
	sort(ret);
	return why;
}

void pyroll_done(struct pyroll *r)
{
	free(r->address);
	*r = (struct pyroll){0};
}
