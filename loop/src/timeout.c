/* SPDX-License-Identifier: MIT */
/* Timeout scopes: a call of the loop that asks the task to end, and takes its request back when the
 * task has met it. */
#include <errno.h>

#include "base/clock.h"
#include "call.h"
#include "list.h"
#include "loop.h"
#include "future.h"
#include "loopscope/timeout.h"
#include "task.h"

struct scope {
	struct call call;
	struct task *task;
	uint32_t requests; /* to the task, when the scope began */
	bool expired;
};

_Static_assert(sizeof(struct scope) <= sizeof(struct lsc_timeout), "room in the public struct");

static struct scope *scope_of(const struct lsc_timeout *timeout)
{
	return (struct scope *)timeout;
}

static void expire(struct job *job)
{
	struct scope *s = container_of(call_begin(job), struct scope, call);

	s->expired = true;
	future_cancel(&s->task->future);
}

static const struct job_ops call_ops = {.run = expire};

/* A deadline that has passed is met in the next round: the rounds of a tick look at no timers. */
static void set(struct scope *s, uint64_t deadline_ns)
{
	if (deadline_ns <= lsc_now_ns())
		call_soon(&s->call);
	else if (deadline_ns != UINT64_MAX)
		call_at(&s->call, deadline_ns);
}

int lsc_timeout_begin_at(struct lsc_timeout *timeout, uint64_t deadline_ns)
{
	struct task *task = task_current();
	struct scope *s = scope_of(timeout);

	if (!task)
		return -EPERM;
	*s = (struct scope){.task = task, .requests = task->cancel_requests};
	call_init(&s->call, &call_ops, task->future.loop);
	set(s, deadline_ns);
	return 0;
}

int lsc_timeout_begin(struct lsc_timeout *timeout, uint64_t duration_ns)
{
	return lsc_timeout_begin_at(timeout, lsc_after_ns(duration_ns));
}

int lsc_timeout_reschedule(struct lsc_timeout *timeout, uint64_t deadline_ns)
{
	struct scope *s = scope_of(timeout);

	if (s->task != task_current())
		return -EPERM;
	if (s->expired)
		return -EALREADY;
	call_cancel(&s->call);
	set(s, deadline_ns);
	return 0;
}

int lsc_timeout_expired(const struct lsc_timeout *timeout)
{
	return scope_of(timeout)->expired;
}

int lsc_timeout_end(struct lsc_timeout *timeout, int result)
{
	struct scope *s = scope_of(timeout);

	call_cancel(&s->call);
	if (!s->expired)
		return result;
	/* Somebody else may have asked, too: then it is not for the timeout to answer. */
	bool ours = task_uncancel(s->task) <= s->requests;
	return ours && result == -ECANCELED ? -ETIMEDOUT : result;
}

int lsc_wait_for(struct lsc_future *future, uint64_t timeout_ns)
{
	struct lsc_timeout timeout;
	int r = lsc_timeout_begin(&timeout, timeout_ns);

	return r < 0 ? r : lsc_timeout_end(&timeout, lsc_await(future));
}
