/* SPDX-License-Identifier: MIT */
/* Task groups: children that do not outlive the scope of the task that began the group. */
#include <errno.h>
#include <stdlib.h>

#include "future.h"
#include "loop.h"
#include "loopscope/group.h"
#include "task.h"
#include "trace.h"

struct child {
	struct future_waiter waiter;
	struct list link; /* in lsc_group.children */
	struct lsc_group *group;
	struct lsc_future *future;
};

struct lsc_group {
	struct task *parent;
	struct list children; /* those that have not ended */
	size_t nchildren;
	struct park *park; /* of the parent in lsc_group_end(); NULL: it is elsewhere */
	uint32_t requests; /* to the parent, when the group began */
	int error;	   /* the first child's that failed */
	bool ending;	   /* the parent is in lsc_group_end() */
	bool aborting;	   /* the children were asked to end */
	bool asked_parent; /* to end the body */
};

static void abort_children(struct lsc_group *group)
{
	if (group->aborting)
		return;
	group->aborting = true;
	/* Asking one may end others: by then they have left the list. */
	struct list asked;
	list_init(&asked);
	while (!list_empty(&group->children)) {
		struct list *link = group->children.next;
		struct child *c = container_of(link, struct child, link);

		list_remove(link);
		list_append(&asked, link);
		future_cancel(c->future);
	}
	list_splice(&group->children, &asked);
}

static void child_ended(struct future_waiter *waiter)
{
	struct child *c = container_of(waiter, struct child, waiter);
	struct lsc_group *group = c->group;
	struct lsc_future *future = c->future;
	int result = future->result;

	future_take(future);
	list_remove(&c->link);
	free(c);
	lsc_unref(future);
	group->nchildren--;
	if (result < 0 && result != -ECANCELED) {
		if (group->error == 0)
			group->error = result;
		if (!group->aborting) {
			abort_children(group);
			if (!group->ending) {
				group->asked_parent = true;
				future_cancel(&group->parent->future);
			}
		}
	}
	struct park *park = group->park;
	if (group->nchildren == 0 && park) {
		group->park = NULL;
		task_unpark(park, 0);
	}
}

static const struct future_waiter_ops waiter_ops = {.wake = child_ended};

struct lsc_group *lsc_group_new(void)
{
	struct task *task = task_current();
	struct lsc_group *group = task ? calloc(1, sizeof(*group)) : NULL;

	if (!group)
		return NULL;
	group->parent = task;
	group->requests = task->cancel_requests;
	list_init(&group->children);
	return group;
}

struct lsc_future *lsc_group_spawn_at(struct lsc_group *group, struct lsc_site *site,
				      lsc_task_fn fn, void *arg, const char *name)
{
	if (group->aborting || (group->ending && group->nchildren == 0))
		return NULL;
	struct child *c = malloc(sizeof(*c));
	struct lsc_future *future = c ? lsc_spawn_at(site, fn, arg, name) : NULL;

	if (!future) {
		free(c);
		return NULL;
	}
	*c = (struct child){.waiter.ops = &waiter_ops, .group = group, .future = lsc_ref(future)};
	list_append(&group->children, &c->link);
	group->nchildren++;
	future_wait(future, &c->waiter);
	return future;
}

/* On the parent's stack. */
struct join {
	struct park park;
	struct lsc_group *group;
};

static bool stop(struct park *park)
{
	container_of(park, struct join, park)->group->park = NULL;
	return true;
}

/* Until no child is left. True when the parent was asked to end meanwhile. */
static bool join(struct lsc_group *group)
{
	bool asked = false;

	while (group->nchildren > 0) {
		struct join j = {.park.cancel = stop, .group = group};

		group->park = &j.park;
		if (task_park(group->parent, &j.park, LSC_WAIT_GROUP, group->nchildren) < 0) {
			asked = true;
			abort_children(group);
		}
	}
	return asked;
}

int lsc_group_end(struct lsc_group *group, int result)
{
	struct task *parent = group->parent;

	if (parent != task_current())
		return -EPERM;
	group->ending = true;
	/* The body may have been ended by ourselves: that is no answer to anybody. */
	bool asked = result == -ECANCELED;
	if (group->asked_parent && task_uncancel(parent) <= group->requests)
		asked = false;
	if (result < 0)
		abort_children(group);
	asked |= join(group);
	int error = result < 0 && result != -ECANCELED ? result : group->error;
	free(group);
	if (error == 0)
		return asked ? -ECANCELED : result;
	if (parent->cancel_requests > 0)
		task_recancel(parent); /* the error goes first; the request is not lost */
	return error;
}
