/* SPDX-License-Identifier: MIT */
/* What a coroutine is suspended in: the coroutines that it awaits, one in the other. */
#ifndef LSC_INSPECT_PYAWAIT_H
#define LSC_INSPECT_PYAWAIT_H

#include "inspect/pyframe.h"

#define PYAWAIT_MAX 32 /* frames of a chain that are told */

enum pyawait_state {
	PYAWAIT_CREATED, /* not begun */
	PYAWAIT_SUSPENDED,
	PYAWAIT_RUNNING,
};

struct pyawait {
	enum pyawait_state state;	    /* of the outermost */
	struct pyframe frames[PYAWAIT_MAX]; /* outermost first */
	size_t n;
	bool cut;	/* there are more */
	uint64_t waits; /* the object that the innermost waits for, no coroutine; 0 none, or unknown
			 */
};

/* The chain from a coroutine on. False when something there is none: it has ended, or runs. */
bool pyawait_walk(struct pyview *v, uint64_t coro, struct pyawait *ret);

/* The innermost frame's first argument; 0 unknown. */
uint64_t pyawait_self(struct pyview *v, const struct pyawait *a);

#endif
