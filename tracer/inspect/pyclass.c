/* SPDX-License-Identifier: MIT */
/* Names of types as their C definitions have them, 3.8 to 3.15. */
#include "inspect/pyclass.h"

#include <string.h>

#include "base/cleanup.h"

#define TYPE_NAME 24
#define TYPE_BASE 256
#define BASES_MAX 16
#define NAME_MAX  32

static const struct {
	const char *name;
	enum pyclass class;
} names[] = {
	{"coroutine", PYCLASS_CORO},
	{"generator", PYCLASS_CORO},
	{"async_generator", PYCLASS_CORO},
	{"coroutine_wrapper", PYCLASS_WRAPPER},
	{"async_generator_asend", PYCLASS_WRAPPER},
	{"async_generator_athrow", PYCLASS_WRAPPER},
	{"anext_awaitable", PYCLASS_WRAPPER},
	{"_asyncio.FutureIter", PYCLASS_FUTURE_ITER},
	{"_asyncio.Future", PYCLASS_FUTURE},
	{"_asyncio.Task", PYCLASS_TASK},
	{"function", PYCLASS_FUNCTION},
	{"method", PYCLASS_METHOD},
	{"functools.partial", PYCLASS_PARTIAL},
	{"cell", PYCLASS_CELL},
	{"tuple", PYCLASS_TUPLE},
	{"list", PYCLASS_LIST},
	{"set", PYCLASS_SET},
	{"weakref", PYCLASS_WEAKREF},		    /* up to 3.10 */
	{"weakref.ReferenceType", PYCLASS_WEAKREF}, /* since 3.11 */
};

static enum pyclass by_name(const struct pyview *v, uint64_t type)
{
	char text[NAME_MAX];
	uint64_t at;

	if (!pyobject_read(v, type + TYPE_NAME, &at, sizeof(at)))
		return PYCLASS_OTHER;
	for (size_t i = 0; i < LSC_ARRAY_LEN(names); i++) {
		size_t size = strlen(names[i].name) + 1;
		if (pyobject_read(v, at, text, size) && memcmp(text, names[i].name, size) == 0)
			return names[i].class;
	}
	return PYCLASS_OTHER;
}

/* Of classes derived from others those of futures and tasks alone count. */
static enum pyclass classify(const struct pyview *v, uint64_t type)
{
	enum pyclass class = by_name(v, type);

	for (int i = 0; i < BASES_MAX && class == PYCLASS_OTHER && type; i++) {
		if (!cpython_read_pointer(&v->py, type + TYPE_BASE, &type) || !type)
			return PYCLASS_OTHER;
		enum pyclass base = by_name(v, type);
		if (base == PYCLASS_FUTURE || base == PYCLASS_TASK)
			class = base;
	}
	return class;
}

enum pyclass pyclass_of(struct pyview *v, uint64_t object)
{
	uint64_t type;

	if (!object || object % 8 || !cpython_read_pointer(&v->py, object + 8, &type) || !type)
		return PYCLASS_OTHER;
	size_t slot = (type * 0x9e3779b97f4a7c15ull) >> 54; /* of PYVIEW_CLASSES */
	if (v->classes[slot].type != type) {
		v->classes[slot].class = (uint8_t)classify(v, type);
		v->classes[slot].type = type;
	}
	return v->classes[slot].class;
}

void pyclass_forget(struct pyview *v)
{
	memset(v->classes, 0, sizeof(v->classes));
}
