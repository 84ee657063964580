/* SPDX-License-Identifier: MIT */
/* Looks for the runtime among the files of a space, and for its layout in its memory. */
#include "inspect/pyview.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "inspect/find.h"
#include "inspect/pyasyncio.h"

static bool read_mem(void *arg, uint64_t address, void *buf, size_t size)
{
	return space_read(arg, address, buf, size);
}

void pyview_check(struct pyview *v)
{
	v->interp = 0;
	v->why = MESSAGE_WHY_VERSION;
	if (v->no_version)
		v->why = MESSAGE_WHY_LAYOUT;
	else if (v->py.address)
		v->why = pylayout_find(&v->py, &v->layout);
	if (v->why)
		return;
	v->interp = pylayout_interpreter(&v->py, &v->layout);
	pyasyncio_take(v);
	v->why = !v->layout.frames ? MESSAGE_WHY_VERSION
		 : !v->interp	   ? MESSAGE_WHY_LAYOUT
				   : MESSAGE_WHY_NONE;
}

struct pyview *pyview_get(struct space *s, unwind_phase_fn *phase, void *arg)
{
	struct find_sought sought[] = {{.symbol = "_PyRuntime"}, {.symbol = "Py_Version"}};
	uint64_t address, size;
	struct pyview *v = s->python;

	if (v) {
		if (v->why == MESSAGE_WHY_LAYOUT && !v->no_version)
			pyview_check(v);
		return v;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->py.read = read_mem;
	v->py.arg = s;
	phase(MESSAGE_PHASE_INDEX, arg);
	if (find_symbols(s, "python", sought, LSC_ARRAY_LEN(sought))) {
		v->py.address = sought[0].address;
		v->py.size = sought[0].size;
		v->no_version = sought[1].size && !v->py.read(s, sought[1].address, &v->py.version,
							      sizeof(v->py.version));
	}
	pyview_check(v);
	if (v->layout.minor >= 14 &&
	    (find_section(s, "_asyncio", PYASYNCIO_SECTION, &address, &size) ||
	     find_section(s, "python", PYASYNCIO_SECTION, &address, &size)) &&
	    size >= PYASYNCIO_BYTES) {
		v->asyncio = address;
		pyasyncio_take(v);
	}
	phase(MESSAGE_PHASE_UNWIND, arg);
	if (space_wants(s)) {
		free(v);
		return NULL;
	}
	s->python = v;
	return v;
}
