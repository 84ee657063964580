/* SPDX-License-Identifier: MIT */
/* Task groups: no child outlives the scope. */
#ifndef LOOPSCOPE_GROUP_H
#define LOOPSCOPE_GROUP_H

#include "loopscope/api.h"
#include "loopscope/task.h"

LSC_BEGIN

/*
 * A group belongs to the task that makes it, its parent.
 *
 *	struct lsc_group *group = lsc_group_new();
 *	lsc_unref(lsc_group_spawn(group, fetch, "a", "fetch a"));
 *	lsc_unref(lsc_group_spawn(group, fetch, "b", "fetch b"));
 *	int r = lsc_sleep(1000000);            // the body
 *	return lsc_group_end(group, r);        // joins, or cancels and joins
 *
 * The first child that fails (with any error but -ECANCELED) cancels the others and ends the body:
 * what the parent is suspended in returns -ECANCELED.
 */
struct lsc_group;

/* Gives a group; NULL when out of memory or outside of tasks. */
LSC_API struct lsc_group *lsc_group_new(void);

/* lsc_spawn() of a child. NULL also when the group is being cancelled, or has ended. */
#define lsc_group_spawn(group, fn, arg, name)                                                      \
	(__extension__({                                                                           \
		static struct lsc_site lsc_site_ = LSC_SITE_HERE_;                                 \
		lsc_group_spawn_at((group), &lsc_site_, (fn), (arg), (name));                      \
	}))

/* The same for bindings that make their own sites, as lsc_spawn_at(). */
LSC_API struct lsc_future *lsc_group_spawn_at(struct lsc_group *group, struct lsc_site *site,
					      lsc_task_fn fn, void *arg, const char *name);

/* Suspends the parent until all children have ended; cancels them first when result, which is the
 * body's, is negative, or when the parent is cancelled meanwhile. Takes the group. Returns the
 * body's own error; else the first child's; else -ECANCELED when the parent was asked to end; else
 * result. -EPERM, and nothing is taken, for another task than the parent. */
LSC_API int lsc_group_end(struct lsc_group *group, int result);

LSC_END

#endif
