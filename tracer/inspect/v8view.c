/* SPDX-License-Identifier: MIT */
/* Looks for the constants among the files of a space, and for objects in its memory. */
#include "inspect/v8view.h"

#include <stdlib.h>

#include "inspect/find.h"
#include "inspect/v8function.h"

#define ADDRESS_END (1ull << 47)
#define TAG	    1

static bool read_mem(void *arg, uint64_t address, void *buf, size_t size)
{
	return space_read(arg, address, buf, size);
}

static bool take_constant(const char *name, uint64_t address, uint64_t size, void *arg)
{
	struct v8view *v = arg;
	int32_t value;

	if (!v8layout_wants(name))
		return false;
	v->present = true;
	if (size == sizeof(value) && v->read(v->arg, address, &value, sizeof(value)))
		v8layout_set(&v->layout, name, value);
	return false;
}

struct v8view *v8view_get(struct space *s, unwind_phase_fn *phase, void *arg)
{
	struct v8view *v = s->v8;

	if (v)
		return v;
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->read = read_mem;
	v->arg = s;
	v8layout_init(&v->layout);
	phase(MESSAGE_PHASE_INDEX, arg);
	find_each(s, V8VIEW_FILE, take_constant, v);
	phase(MESSAGE_PHASE_UNWIND, arg);
	v->why = v8layout_is_whole(&v->layout) ? MESSAGE_WHY_NONE : MESSAGE_WHY_VERSION;
	s->v8 = v;
	return v;
}

struct v8view *v8view_free(struct v8view *v)
{
	if (!v)
		return NULL;
	v8function_forget(v);
	free(v);
	return NULL;
}

bool v8view_is_object(uint64_t value)
{
	return (value & 3) == TAG && value < ADDRESS_END;
}

bool v8view_read(const struct v8view *v, uint64_t object, int32_t offset, void *buf, size_t size)
{
	return v8view_is_object(object) &&
	       v->read(v->arg, object - TAG + (uint64_t)offset, buf, size);
}

int32_t v8view_type(const struct v8view *v, uint64_t object)
{
	uint64_t map;
	uint16_t type;

	/* while it is being moved, its map is the place that it has moved to, and no object */
	if (!v8view_read(v, object, v->layout.map, &map, sizeof(map)) ||
	    !v8view_read(v, map, v->layout.map_type, &type, sizeof(type)))
		return -1;
	return type;
}

bool v8view_integer(uint64_t value, int32_t *ret)
{
	if (value & UINT32_MAX)
		return false;
	*ret = (int32_t)(value >> 32);
	return true;
}
