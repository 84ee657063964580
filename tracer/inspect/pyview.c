/* SPDX-License-Identifier: MIT */
/* Looks for the runtime among the files of a space, and for its layout in its memory. */
#include "inspect/pyview.h"

#include <stdlib.h>

#include "inspect/find.h"

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
	else if (v->py.address && pylayout_find(&v->py, &v->layout) && v->layout.frames) {
		v->interp = pylayout_interpreter(&v->py, &v->layout);
		v->why = v->interp ? MESSAGE_WHY_NONE : MESSAGE_WHY_LAYOUT;
	}
}

struct pyview *pyview_get(struct space *s, unwind_phase_fn *phase, void *arg)
{
	uint64_t version, size;
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
	if (find_symbol(s, "python", "_PyRuntime", &v->py.address, &v->py.size) &&
	    find_symbol(s, "python", "Py_Version", &version, &size))
		v->no_version = !v->py.read(s, version, &v->py.version, sizeof(v->py.version));
	phase(MESSAGE_PHASE_UNWIND, arg);
	pyview_check(v);
	s->python = v;
	return v;
}
