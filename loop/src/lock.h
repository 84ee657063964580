/* SPDX-License-Identifier: MIT */
/* Locks, for conditions and for the task that ends with one. */
#ifndef LSC_LOOP_LOCK_H
#define LSC_LOOP_LOCK_H

#include "list.h"
#include "loopscope/lock.h"
#include "waitlist.h"

struct task;

struct lsc_lock {
	struct waitlist waiters;
	struct task *owner; /* NULL: it is free */
	struct list held;   /* in task.held of the owner */
};

/* The task ends: the locks that it holds have no owner to name any more. They stay locked. Returns
 * their number. */
unsigned lock_orphan(struct task *task);

#endif
