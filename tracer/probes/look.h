/* SPDX-License-Identifier: MIT */
/*
 * A look at one thread that need not be a loop: whether it sleeps, and the registers it will come
 * back to user space with. It costs a thread nothing and reads none of its memory: that may hang,
 * and is the inspector's.
 */
#ifndef LSC_PROBES_LOOK_H
#define LSC_PROBES_LOOK_H

#include "base/err.h"
#include "look_view.h"

struct look;

/* -EPERM, -ENOSYS and what the kernel answers, with a line. Gives *ret_look. */
int look_new(struct look **ret_look, struct lsc_err *err);
/* NULL is fine. Returns NULL. */
struct look *look_free(struct look *l);

/* Looks at a thread, numbered as in the first pid namespace. 0, -ESRCH, or what the kernel answers.
 */
int look_at(struct look *l, int tid, struct look_view *ret_view);

/* Between two looks the thread did not run: what was read of its stack meanwhile is one picture. */
static inline int look_stood_still(const struct look_view *a, const struct look_view *b)
{
	return a->tid == b->tid && !a->on_cpu && !b->on_cpu && a->switches == b->switches;
}

#endif
