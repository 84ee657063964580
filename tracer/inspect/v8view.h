/* SPDX-License-Identifier: MIT */
/* One process's V8 as the worker knows it: kept as long as the table of its address space. */
#ifndef LSC_INSPECT_V8VIEW_H
#define LSC_INSPECT_V8VIEW_H

#include "inspect/space.h"
#include "inspect/unwind.h"
#include "inspect/v8layout.h"

/* Reads size bytes of the target at address; false when they are not all there. */
typedef bool v8view_read_fn(void *arg, uint64_t address, void *buf, size_t size);

#define V8VIEW_FILE	 "node" /* V8 is looked for in files whose names hold this */
#define V8VIEW_CODES_LOG 10

struct v8function;

struct v8code { /* an address whose kind of code is known; 0: free */
	uint64_t address;
	bool generated;
};

struct v8view {
	bool present;	      /* it has some of the constants */
	enum message_why why; /* NONE: layout is set */
	struct v8layout layout;
	v8view_read_fn *read;
	void *arg;
	struct v8code codes[1 << V8VIEW_CODES_LOG];
	uint64_t code_map;	      /* what code begins with; 0: not known yet */
	struct v8function *functions; /* owns; those that were met, see v8function.h */
};

/* Looks for it (slow, once). NULL out of memory; borrowed from s. */
struct v8view *v8view_get(struct space *s, unwind_phase_fn *phase, void *arg);

/* Frees what it owns and itself. NULL is fine. Returns NULL. */
struct v8view *v8view_free(struct v8view *v);

/* A value that points to an object of the heap. */
bool v8view_is_object(uint64_t value);

/* From here on pages in which objects lie are read once and kept: before each stack, and when
 * objects have been moved since. */
void v8view_begin(const struct v8view *v);

/* Reads size bytes at an address. */
bool v8view_bytes(const struct v8view *v, uint64_t address, void *buf, size_t size);

/* The same at an offset in an object. */
bool v8view_read(const struct v8view *v, uint64_t object, int32_t offset, void *buf, size_t size);

/* The type of an object, by its map; -1: it is none, or not to be read. */
int32_t v8view_type(const struct v8view *v, uint64_t object);

/* Where an object has been moved to; 0: it has not. */
uint64_t v8view_moved(const struct v8view *v, uint64_t object);

/* The value of a small integer; false: it is none. */
bool v8view_integer(uint64_t value, int32_t *ret);

#endif
