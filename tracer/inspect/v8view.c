/* SPDX-License-Identifier: MIT */
/* Looks for the constants among the files of a space, and for objects in its memory. */
#include "inspect/v8view.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/find.h"
#include "inspect/v8function.h"

#define ADDRESS_END (1ull << 47)
#define TAG	    1
#define PAGE	    4096u
#define PAGES_LOG   6

/* The pages of one pass; the worker has one thread. */
static struct {
	const struct v8view *view;
	uint64_t addresses[1 << PAGES_LOG]; /* 0: free */
	uint8_t bytes[1 << PAGES_LOG][PAGE];
} pages;

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
	if (space_wants(s))
		return v8view_free(v);
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

void v8view_begin(const struct v8view *v)
{
	pages.view = v;
	memset(pages.addresses, 0, sizeof(pages.addresses));
}

/* The bytes of a page; NULL: it is not to be had. */
static const uint8_t *get_page(const struct v8view *v, uint64_t address)
{
	size_t slot = address / PAGE * 0x9e3779b97f4a7c15ull >> (64 - PAGES_LOG);

	if (pages.addresses[slot] != address) {
		bool read = v->read(v->arg, address, pages.bytes[slot], PAGE);
		pages.addresses[slot] = read ? address : 0;
	}
	return pages.addresses[slot] ? pages.bytes[slot] : NULL;
}

bool v8view_bytes(const struct v8view *v, uint64_t address, void *buf, size_t size)
{
	uint8_t *to = buf;

	if (pages.view != v || address < PAGE)
		return v->read(v->arg, address, buf, size);
	while (size) {
		size_t from = address % PAGE, n = PAGE - from < size ? PAGE - from : size;
		const uint8_t *page = get_page(v, address - from);
		if (!page)
			return false;
		memcpy(to, page + from, n);
		to += n;
		address += n;
		size -= n;
	}
	return true;
}

bool v8view_read(const struct v8view *v, uint64_t object, int32_t offset, void *buf, size_t size)
{
	return v8view_is_object(object) &&
	       v8view_bytes(v, object - TAG + (uint64_t)offset, buf, size);
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

/* Then its map is that place, without a tag. */
uint64_t v8view_moved(const struct v8view *v, uint64_t object)
{
	uint64_t map;

	if (!v8view_read(v, object, v->layout.map, &map, sizeof(map)) || map & 7 || !map)
		return 0;
	return map + (uint64_t)v->layout.heap_tag;
}

bool v8view_integer(uint64_t value, int32_t *ret)
{
	if (value & UINT32_MAX)
		return false;
	*ret = (int32_t)(value >> 32);
	return true;
}
