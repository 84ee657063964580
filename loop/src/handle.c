/* SPDX-License-Identifier: MIT */
/* The application's calls: handles that the library allocates, timers that the application owns. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "call.h"
#include "debug.h"
#include "list.h"
#include "loop.h"
#include "loopscope/timer.h"

/* ---- handles ---- */

struct lsc_handle {
	struct call call;
	lsc_call_fn fn;
	void *arg;
	uint32_t refs; /* the application's, and the loop's while it is set */
	bool cancelled;
};

static struct lsc_handle *begin(struct job *job)
{
	return container_of(call_begin(job), struct lsc_handle, call);
}

static void run_handle(struct job *job)
{
	struct lsc_handle *handle = begin(job);

	handle->fn(handle->arg);
	lsc_handle_unref(handle);
}

static void drop_handle(struct job *job)
{
	struct lsc_handle *handle = begin(job);

	handle->cancelled = true;
	lsc_handle_unref(handle);
}

static const struct job_ops handle_ops = {.run = run_handle, .drop = drop_handle};

static struct lsc_handle *new_handle(lsc_call_fn fn, void *arg)
{
	struct lsc_loop *loop = loop_thread;
	struct lsc_handle *handle = loop ? malloc(sizeof(*handle)) : NULL;

	if (!handle)
		return NULL;
	*handle = (struct lsc_handle){.fn = fn, .arg = arg, .refs = 2};
	call_init(&handle->call, &handle_ops, loop);
	return handle;
}

struct lsc_handle *lsc_call_soon(lsc_call_fn fn, void *arg)
{
	struct lsc_handle *handle = new_handle(fn, arg);

	if (handle)
		call_soon(&handle->call);
	return handle;
}

struct lsc_handle *lsc_call_at(uint64_t when_ns, lsc_call_fn fn, void *arg)
{
	struct lsc_handle *handle = new_handle(fn, arg);

	if (handle)
		call_at(&handle->call, when_ns);
	return handle;
}

struct lsc_handle *lsc_call_later(uint64_t delay_ns, lsc_call_fn fn, void *arg)
{
	return lsc_call_at(lsc_after_ns(delay_ns), fn, arg);
}

int lsc_handle_cancel(struct lsc_handle *handle)
{
	if (call_is_set(&handle->call) && debug_is_foreign(handle->call.loop))
		return -EPERM;
	if (!call_cancel(&handle->call))
		return 0;
	handle->cancelled = true;
	handle->refs--; /* the loop's; the caller has one */
	return 1;
}

int lsc_handle_is_cancelled(const struct lsc_handle *handle)
{
	return handle->cancelled;
}

uint64_t lsc_handle_when(const struct lsc_handle *handle)
{
	return handle->call.timer.due_ns;
}

struct lsc_handle *lsc_handle_unref(struct lsc_handle *handle)
{
	if (handle && --handle->refs == 0)
		free(handle);
	return NULL;
}

/* ---- timers in the application's memory ---- */

struct app_timer {
	struct call call;
	lsc_call_fn fn;
	void *arg;
};

_Static_assert(sizeof(struct app_timer) <= sizeof(struct lsc_timer), "room in the public struct");

static struct app_timer *timer_of(const struct lsc_timer *timer)
{
	return (struct app_timer *)timer;
}

static void run_timer(struct job *job)
{
	struct app_timer *t = container_of(call_begin(job), struct app_timer, call);

	t->fn(t->arg); /* may release t */
}

static void drop_timer(struct job *job)
{
	call_begin(job);
}

static const struct job_ops app_timer_ops = {.run = run_timer, .drop = drop_timer};

void lsc_timer_init(struct lsc_timer *timer, lsc_call_fn fn, void *arg)
{
	struct app_timer *t = timer_of(timer);

	call_init(&t->call, &app_timer_ops, loop_thread);
	t->fn = fn;
	t->arg = arg;
}

int lsc_timer_start(struct lsc_timer *timer, uint64_t when_ns)
{
	struct call *call = &timer_of(timer)->call;

	if (!call->loop || call->loop != loop_thread)
		return -EPERM;
	if (call_is_set(call))
		call_cancel(call);
	call_at(call, when_ns);
	return 0;
}

int lsc_timer_stop(struct lsc_timer *timer)
{
	struct call *call = &timer_of(timer)->call;

	if (call_is_set(call) && debug_is_foreign(call->loop))
		return -EPERM;
	return call_cancel(call);
}

int lsc_timer_is_set(const struct lsc_timer *timer)
{
	return call_is_set(&timer_of(timer)->call);
}
