/* SPDX-License-Identifier: MIT */
/* What a function of JavaScript is called, and where it is defined. */
#ifndef LSC_INSPECT_V8FUNCTION_H
#define LSC_INSPECT_V8FUNCTION_H

#include "inspect/v8view.h"

#define V8FUNCTION_BYTES 128 /* of a SharedFunctionInfo, at most */

struct v8function {
	uint64_t shared;		 /* where its SharedFunctionInfo lies; 0: free */
	uint8_t bytes[V8FUNCTION_BYTES]; /* that */
	uint64_t script;		 /* the object; 0: one of V8's own */
	char *name;			 /* owns; empty: it has none; NULL unknown */
	char *file;			 /* owns; NULL: its script has no name, or unknown */
	int line;			 /* of its definition; 0 unknown */
	bool lacking;			 /* its name or its script is unknown */
	bool whole; /* all of it could be read; else it is, when it is met again */
};

/* The function that a SharedFunctionInfo is for; NULL: there is none at that place, or no memory.
 * Borrowed until the next call. */
const struct v8function *v8function_get(struct v8view *v, uint64_t shared);

/* It runs this bytecode: no other function has the same. */
bool v8function_runs(const struct v8view *v, const struct v8function *f, uint64_t bytecode);

/* Frees all that were met. */
void v8function_forget(struct v8view *v);

#endif
