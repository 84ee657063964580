/* SPDX-License-Identifier: MIT */
/* Sources: Lib/asyncio/tasks.py, taskgroups.py, FutureObj of Modules/_asynciomodule.c. */
#include "inspect/pywaker.h"

#include <string.h>

#define CALLBACK0	  24 /* of a future; the context follows */
#define CALLBACKS	  40 /* a list of the others, of (function, context) */
#define CALLBACKS_MAX	  32
#define ITEMS_MAX	  16 /* of a closure, of arguments */
#define LIST_ITEMS	  24
#define TUPLE_ITEMS	  24
#define TUPLE_ITEMS_314	  32 /* behind its hash */
#define CELL_VALUE	  16
#define METHOD_FUNCTION	  16 /* the object follows */
#define PARTIAL_ARGUMENTS 24 /* behind the function */
#define GROUP_CALLBACK	  "_on_task_done"

/* Another task than the first one is not woken by it: that goes on by itself. */
static bool is_woken(struct pyview *v, uint64_t object)
{
	return pyclass_of(v, object) == PYCLASS_FUTURE;
}

static void add(struct pywaker *w, uint64_t object)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->found[i] == object)
			return;
	if (w->n < PYWAKER_MAX)
		w->found[w->n++] = object;
}

/* The words of a tuple or list at most max of them; how many. */
static size_t read_items(struct pyview *v, uint64_t object, enum pyclass class, uint64_t *items,
			 size_t max)
{
	uint64_t n, at = object + (v->layout.minor >= 14 ? TUPLE_ITEMS_314 : TUPLE_ITEMS);

	if (pyclass_of(v, object) != class || !pyobject_read(v, object + 16, &n, sizeof(n)) ||
	    (class == PYCLASS_LIST && !cpython_read_pointer(&v->py, object + LIST_ITEMS, &at)))
		return 0;
	if (n > max)
		n = max;
	return pyobject_read(v, at, items, n * sizeof(items[0])) ? n : 0;
}

static void look_at_function(struct pyview *v, uint64_t function, struct pywaker *w)
{
	uint64_t closure, cells[ITEMS_MAX], value;

	if (!cpython_read_pointer(&v->py, function + v->layout.function_closure, &closure))
		return;
	size_t n = read_items(v, closure, PYCLASS_TUPLE, cells, ITEMS_MAX);
	for (size_t i = 0; i < n; i++)
		if (pyclass_of(v, cells[i]) == PYCLASS_CELL &&
		    cpython_read_pointer(&v->py, cells[i] + CELL_VALUE, &value) &&
		    is_woken(v, value))
			add(w, value);
}

static void look_at_method(struct pyview *v, uint64_t method, struct pywaker *w)
{
	uint64_t pair[2], name;
	char text[32];

	if (pyobject_read(v, method + METHOD_FUNCTION, pair, sizeof(pair)) && pair[1] &&
	    pyclass_of(v, pair[0]) == PYCLASS_FUNCTION &&
	    cpython_read_pointer(&v->py, pair[0] + v->layout.function_name, &name) &&
	    pyobject_text(v, name, text, sizeof(text)) && strcmp(text, GROUP_CALLBACK) == 0)
		add(w, pair[1]);
}

static void look_at_partial(struct pyview *v, uint64_t partial, struct pywaker *w)
{
	uint64_t arguments, values[ITEMS_MAX];

	if (!cpython_read_pointer(&v->py, partial + PARTIAL_ARGUMENTS, &arguments))
		return;
	size_t n = read_items(v, arguments, PYCLASS_TUPLE, values, ITEMS_MAX);
	for (size_t i = 0; i < n; i++)
		if (is_woken(v, values[i]))
			add(w, values[i]);
}

static void look_at_callback(struct pyview *v, uint64_t callback, struct pywaker *w)
{
	switch (pyclass_of(v, callback)) {
	case PYCLASS_FUNCTION:
		look_at_function(v, callback, w);
		break;
	case PYCLASS_METHOD:
		look_at_method(v, callback, w);
		break;
	case PYCLASS_PARTIAL:
		look_at_partial(v, callback, w);
		break;
	default:
		break;
	}
}

static void look_at_future(struct pyview *v, uint64_t future, struct pywaker *w)
{
	uint64_t callback, list, pairs[CALLBACKS_MAX], pair[2];

	if (cpython_read_pointer(&v->py, future + CALLBACK0, &callback))
		look_at_callback(v, callback, w);
	if (!cpython_read_pointer(&v->py, future + CALLBACKS, &list))
		return;
	size_t n = read_items(v, list, PYCLASS_LIST, pairs, CALLBACKS_MAX);
	for (size_t i = 0; i < n; i++)
		if (read_items(v, pairs[i], PYCLASS_TUPLE, pair, 2))
			look_at_callback(v, pair[0], w);
}

void pywaker_collect(struct pyview *v, uint64_t future, struct pywaker *ret)
{
	ret->n = 0;
	add(ret, future);
	/* what is found is looked at in turn; nothing twice, and no more than there is room for */
	for (size_t i = 0; i < ret->n; i++)
		if (!i || is_woken(v, ret->found[i]))
			look_at_future(v, ret->found[i], ret);
}
