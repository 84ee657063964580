/* SPDX-License-Identifier: MIT */
/* Frames of JavaScript among the native ones. */
#ifndef LSC_INSPECT_V8STACK_H
#define LSC_INSPECT_V8STACK_H

#include "inspect/answer.h"
#include "inspect/v8view.h"

/* One address of the native walk, and what lies at its frame pointer. */
struct v8place {
	uint32_t first, count; /* its frames in the answer */
	bool code;	       /* V8 has generated the code there */
	bool anonymous;	       /* ... while it ran */
	bool read;	       /* what follows is known */
	uint64_t fp;
	uint64_t function, context, bytecode, caller_fp, caller_pc;
};

/* The native walk, leaf first: all frames of the answer belong to a place. */
struct v8walk {
	struct v8place places[INSPECTOR_FRAMES_MAX];
	size_t n;
	bool asleep; /* nothing has moved since */
};

/* Puts frames of JavaScript in place of the native ones that run them, and leaves V8's own
 * passages between C++ and JavaScript out. One that may be another by now has no name, and the
 * answer says so. */
void v8stack_merge(struct v8view *v, const struct v8walk *walk, struct answer *a);

#endif
