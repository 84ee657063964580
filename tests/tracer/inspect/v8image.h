/* SPDX-License-Identifier: MIT */
/* A process with a V8 in little: its constants, a heap with a few functions and their scripts, and
 * a stack of frames that are in them. */
#ifndef LSC_TESTS_V8IMAGE_H
#define LSC_TESTS_V8IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inspect/v8stack.h"

#define V8_HEAP	      0x200000000000ull
#define V8_HEAP_BYTES 0x20000ull
#define V8_STACK      0x7ff000000000ull
#define V8_FRAME      128 /* bytes of the stack for each */
#define V8_FUNCTIONS  6

/* What differs among the versions of node, by the constants of each. */
struct v8_version {
	int node;
	int32_t fixed_array, bytecode, script, map, scope_info, shared, function; /* types */
	int32_t first_context, last_context, irregexp;
	int32_t function_shared, name, flags; /* offsets; the script is two words behind the name */
	int32_t first_vars;
};

/* And its optimized code. */
struct v8_code {
	int32_t stream_type, code_type;	  /* 0: code and its instructions are one object */
	int32_t start, data, size, flags; /* offsets: of instructions, then in the Code object */
	int32_t maglev, turbofan;	  /* kinds; 0: it has none */
	int32_t literals, shared, first;  /* words of the data */
	bool wrapped;			  /* the function in the data is in another object */
	bool slots;			  /* their number is ahead of the table of places */
	int32_t begin, frame, own, value, last; /* operations; own: a frame of V8's own */
	int32_t more;				/* operands of a frame beyond two */
};

#define V8_VERSIONS 4
extern const struct v8_version v8_versions[V8_VERSIONS];

struct v8_function {
	const char *name, *file;
	int line;
	uint64_t object, shared, bytecode, scope;
};

extern struct v8_image {
	const struct v8_version *v;
	uint8_t heap[V8_HEAP_BYTES], stack[(V8_FUNCTIONS + 1) * V8_FRAME];
	uint64_t used, meta;   /* of the heap; the map of maps */
	uint64_t maps[0x1000]; /* by type; 0 not made yet */
	uint64_t undefined, context;
	struct v8_function functions[V8_FUNCTIONS];
	uint64_t data, literals; /* of the last v8_inline() */
	uint64_t plain;		 /* instructions that are not optimized */
	unsigned int reads;
} v8_image;

/* Objects, tagged. */
uint64_t v8_make(int32_t type, size_t size);
uint64_t v8_make_text(const char *text);		      /* one byte a character */
uint64_t v8_make_wide(const uint16_t *text, uint32_t length); /* two */
uint64_t v8_make_string(int32_t form, uint64_t first, uint64_t second, uint32_t length);
void v8_put(uint64_t object, int32_t offset, uint64_t value);
uint64_t v8_get(uint64_t object, int32_t offset);

/* A whole one, whose functions lie in scripts of all kinds. */
struct v8view v8_build(const struct v8_version *v);
/* Optimized code of one function where n others are inlined, each into the one before it; the
 * frame of the function in walk is there. By Maglev, or Turbofan. False: that version has none. */
bool v8_inline(struct v8walk *walk, size_t outer, const size_t *inlined, size_t n, bool maglev);

/* Sets the constants as that version exports them. */
void v8_tell_constants(struct v8layout *l, const struct v8_version *v);
/* The native walk: each function in a frame of its own, leaf first, with its bytecode if wanted. */
void v8_walk(struct v8walk *ret, bool asleep, bool bytecode);

#endif
