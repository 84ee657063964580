/* SPDX-License-Identifier: MIT */
/* Frames of JavaScript among the native ones. */
#ifndef LSC_INSPECT_V8STACK_H
#define LSC_INSPECT_V8STACK_H

#include "inspect/answer.h"
#include "inspect/v8view.h"

enum v8place_kind {
	V8PLACE_NATIVE = 0,
	V8PLACE_PASSAGE = 1, /* V8's own, between C++ and JavaScript: of no interest */
	V8PLACE_FRAME = 2,   /* of JavaScript */
};

/* One address of the native walk, and what lies at its frame pointer. */
struct v8place {
	bool code;	/* V8 has generated the code there */
	bool anonymous; /* ... while it ran */
	bool calls;	/* it is no leaf: it calls something at pc */
	uint64_t pc;
	bool read; /* what follows is known */
	uint64_t fp;
	uint64_t function, context, bytecode, caller_fp, caller_pc;
	/* what it is found to be */
	enum v8place_kind kind;
	struct message_frame frame;
	size_t first, ninlined; /* of the walk's inlined frames: those into it, innermost first */
};

/* The native walk, leaf first. */
struct v8walk {
	struct v8place places[INSPECTOR_FRAMES_MAX];
	size_t n;
	bool asleep; /* nothing has moved since */
	struct message_frame inlined[INSPECTOR_FRAMES_MAX];
	size_t ninlined;
};

/* Reads a word of the stack; false: it is not to be had. */
typedef bool v8stack_word_fn(void *arg, uint64_t address, uint64_t *ret);

/* What lies at the place's frame pointer. False: it cannot be read. */
bool v8stack_read_place(const struct v8layout *l, v8stack_word_fn *read, void *arg,
			struct v8place *p);

/* Finds out what each place is, whose texts go into the answer. A function that may be another one
 * by now has no name, and the answer says so. */
void v8stack_judge(struct v8view *v, struct v8walk *walk, struct answer *a);

/* The same of one place of the walk, after v8view_begin(). */
void v8stack_judge_place(struct v8view *v, struct v8walk *walk, struct v8place *p,
			 struct answer *a);

#endif
