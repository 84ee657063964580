/* SPDX-License-Identifier: MIT */
/*
 * What was read of a thread for a job that has to be run once more, since something else lacks: by
 * then the thread has gone on. Where too many jobs have something kept the oldest lose it, and are
 * read anew.
 */
#ifndef LSC_INSPECT_KEPT_H
#define LSC_INSPECT_KEPT_H

#include "inspect/pychain.h"
#include "inspect/v8chain.h"

#define KEPT_MAX 32

struct kept {
	uint64_t cookie; /* of the job */
	uint64_t age;	 /* 0: free */
	struct pychain python;
	struct v8chain js;
	uint32_t size; /* of the stack, from INSPECTOR_RED_ZONE below its pointer on */
	uint8_t stack[INSPECTOR_STACK_MAX];
};

/* NULL: nothing is kept for it. */
struct kept *kept_find(uint64_t cookie);
/* A place for it, in that of the oldest where there is none left. */
struct kept *kept_new(uint64_t cookie);
void kept_drop(struct kept *k);

#endif
