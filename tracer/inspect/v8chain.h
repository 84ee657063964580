/* SPDX-License-Identifier: MIT */
/*
 * The frames of JavaScript of a thread whose stack cannot be walked yet, since the index of a file
 * lacks: read while they are there, to the last name and line. V8's frames are looked for by what
 * is true of each that has called another: somewhere below lie its frame pointer and, behind that,
 * the address at which it goes on. That finds frames that are over, too; the walk, when it can be
 * made, takes those that it meets.
 */
#ifndef LSC_INSPECT_V8CHAIN_H
#define LSC_INSPECT_V8CHAIN_H

#include "inspect/v8stack.h"

#define V8CHAIN_TEXT (32 * 1024)

struct v8chain {
	size_t n; /* 0: there are none */
	struct v8walk walk;
	enum message_why whys[INSPECTOR_FRAMES_MAX]; /* what is not known of each */
	uint32_t text_size;
	char text[V8CHAIN_TEXT]; /* of the walk's frames */
};

/* Bytes of a stack, from an address on. */
struct v8chain_stack {
	uint64_t address;
	const uint8_t *bytes;
	size_t size;
};

/* Whether V8 has generated the code at an address, and whether while it ran. */
typedef bool v8chain_code_fn(void *arg, uint64_t address, bool *ret_anonymous);

/* asleep: nothing has moved since the stack was read. */
void v8chain_read(struct v8view *v, const struct v8chain_stack *stack, bool asleep,
		  v8chain_code_fn *is_code, void *arg, struct v8chain *ret);

/* As v8stack_judge(): what was read before comes first. */
void v8chain_judge(const struct v8chain *chain, struct v8view *v, struct v8walk *walk,
		   struct answer *a);

#endif
