/* SPDX-License-Identifier: MIT */
/* One process's CPython as the worker knows it: kept as long as the table of its address space. */
#ifndef LSC_INSPECT_PYVIEW_H
#define LSC_INSPECT_PYVIEW_H

#include "inspect/pylayout.h"

enum pytype {
	PYTYPE_CODE,
	PYTYPE_STR,
	PYTYPE_BYTES,
	PYTYPE_INT,
	PYTYPE_DICT,
	PYTYPE_FRAME,
	PYTYPE_NONE,
	PYTYPE_COUNT,
};

#define PYVIEW_CLASSES 1024

struct pyview {
	struct cpython py;    /* address 0: it has no _PyRuntime */
	bool no_version;      /* Py_Version is there and cannot be read */
	enum message_why why; /* NONE: layout and interp are set */
	struct pylayout layout;
	uint64_t interp;
	uint64_t asyncio; /* since 3.14: where _asyncio tells its offsets; 0 not loaded */
	uint64_t types[PYTYPE_COUNT]; /* where they lie, by their first object; 0 not met yet */
	struct {
		uint64_t type; /* 0 none */
		uint8_t class; /* enum pyclass */
	} classes[PYVIEW_CLASSES];
	struct {
		uint64_t dict;	      /* of the current ones; 0 not found */
		uint64_t keys, count; /* sys.modules, in which it was not found */
	} tasks;
};

/* Finds it (slow, once) and makes sure of its layout, which a process that is about to start has
 * not yet: that is tried again. NULL out of memory; borrowed from s. */
struct pyview *pyview_get(struct space *s, unwind_phase_fn *phase, void *arg);

/* Sets why, layout and interp by py. */
void pyview_check(struct pyview *v);

#endif
