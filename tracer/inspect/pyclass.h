/* SPDX-License-Identifier: MIT */
/* What an object is to those who follow awaits, by its type's name and those that it is derived
 * from.
 */
#ifndef LSC_INSPECT_PYCLASS_H
#define LSC_INSPECT_PYCLASS_H

#include "inspect/pyobject.h"

enum pyclass {
	PYCLASS_OTHER,
	PYCLASS_CORO,	     /* a coroutine or generator: it has a frame */
	PYCLASS_WRAPPER,     /* stands for one, or for what it awaits */
	PYCLASS_FUTURE_ITER, /* an await of a future of the C accelerator */
	PYCLASS_FUTURE,	     /* of the C accelerator, or of a class derived from that; no task */
	PYCLASS_TASK,	     /* the same of tasks */
	PYCLASS_FUNCTION,
	PYCLASS_METHOD,
	PYCLASS_PARTIAL,
	PYCLASS_CELL,
	PYCLASS_TUPLE,
	PYCLASS_LIST,
	PYCLASS_SET,
	PYCLASS_WEAKREF,
};

/* Of an address where no object lies: OTHER. */
enum pyclass pyclass_of(struct pyview *v, uint64_t object);

/* Types are remembered from here on, as they may come and go before. */
void pyclass_forget(struct pyview *v);

#endif
