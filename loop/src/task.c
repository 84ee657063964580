/* SPDX-License-Identifier: MIT */
/*
 * The life of a task: spawn, ready, step, suspend, end. A stack is never abandoned: every suspended
 * call returns, with -ECANCELED if need be, and the task unwinds by returning. Who suspends goes on
 * with the next task at once, without passing through the loop's own stack.
 */
#include "task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "hot.h"
#include "lock.h"
#include "overflow.h"
#include "debug.h"
#include "loop.h"
#include "stack.h"
#include "trace.h"

static const struct future_ops task_ops;

struct task *task_of(const struct lsc_future *future)
{
	return future->ops == &task_ops ? container_of(future, struct task, future) : NULL;
}

/* ---- life ---- */

/* The ops of a job that is a task: the loop resumes those, it does not call them. */
#define TASK_JOB NULL

static void release(struct lsc_future *future)
{
	struct task *task = container_of(future, struct task, future);

	if (task->name_length > 0)
		free(task->name);
	slab_free(&future->loop->tasks, task);
}

/* The task's own copy; NULL: out of memory. */
static char *copy_name(const char *name, uint32_t length)
{
	char *copy = malloc(length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, name, length);
	copy[length] = '\0';
	return copy;
}

struct task *task_new(struct lsc_loop *loop, struct lsc_site *site, lsc_task_fn fn, void *arg,
		      const char *name, unsigned size_class)
{
	uint32_t length = name ? trace_text_length(name) : 0;
	char *copy = length > 0 ? copy_name(name, length) : NULL;

	if (length > 0 && !copy)
		return NULL;
	struct task *task = slab_alloc(&loop->tasks);
	if (!task) {
		free(copy);
		return NULL;
	}
	/* One by one: the compiler would clear it all with an instruction that is slow to begin. */
	task->job.ops = TASK_JOB;
	task->coro.sp = NULL;
	task->runner = NULL;
	task->site = site;
	task->fn = fn;
	task->arg = arg;
	task->id = trace_next_id(&loop->trace);
	task->state = LSC_TASK_CREATED;
	task->wait_kind = LSC_WAIT_NONE;
	task->size_class = (uint8_t)size_class;
	task->must_cancel = loop->closing;
	task->detached = false;
	task->cancelling = false;
	task->cancel_requests = 0;
	task->cancel_round = 0;
	task->name_length = (uint16_t)length;
	if (length > 0)
		task->name = copy;
	future_init(&task->future, &task_ops, loop);
	task->future.refs = 2; /* one is the loop's, until it ends */
	list_init(&task->held);
	list_append(&loop->live, &task->live);
	if (loop->observed)
		trace_task_new(&loop->trace, task, loop->current);
	task_ready(task);
	return task;
}

LSC_HOT void task_ready(struct task *task)
{
	struct lsc_loop *loop = task->future.loop;

	task->state = LSC_TASK_READY;
	job_push(&loop->ready, &task->job);
	if (loop->observed)
		trace_ready(&loop->trace, task, loop->current);
}

static void end(struct task *task, int result)
{
	struct lsc_loop *loop = task->future.loop;

	if (loop->debug)
		debug_end(loop->debug, task);

	/* A request that no suspension point met must not be lost; nor must an error. */
	if (task->must_cancel && result >= 0)
		result = -ECANCELED;
	task->must_cancel = false;
	task->runner = NULL;
	task->state = result == -ECANCELED ? LSC_TASK_CANCELLED
		      : result < 0	   ? LSC_TASK_FAILED
					   : LSC_TASK_DONE;
	if (loop->observed)
		trace_done(&loop->trace, task, result);
	trace_forget(&loop->trace, task);
	list_remove(&task->live);
	if (!list_empty(&task->held)) {
		unsigned locks = lock_orphan(task);

		if (loop->debug)
			debug_locks(loop->debug, task, locks);
	}
	task->detached = task->future.refs == 1;
	future_complete(&task->future, result);
	loop->current = NULL;
	lsc_unref(&task->future);
}

struct lsc_future *lsc_spawn_at(struct lsc_site *site, lsc_task_fn fn, void *arg, const char *name)
{
	struct lsc_loop *loop = loop_thread;
	struct task *task = loop ? task_new(loop, site, fn, arg, name, loop->size_class) : NULL;

	return task ? &task->future : NULL;
}

struct lsc_future *lsc_spawn_with_at(struct lsc_site *site, lsc_task_fn fn, void *arg,
				     const struct lsc_task_options *options)
{
	struct lsc_loop *loop = loop_thread;

	if (!loop || options->size < sizeof(*options) || options->stack_size > STACK_MAX_SIZE)
		return NULL;
	unsigned class = options->stack_size ? runner_class(options->stack_size) : loop->size_class;
	struct task *task = task_new(loop, site, fn, arg, options->name, class);
	return task ? &task->future : NULL;
}

const char *lsc_task_name(void)
{
	struct task *task = task_current();

	return task ? task_name(task) : NULL;
}

struct lsc_future *lsc_current_task(void)
{
	struct task *task = task_current();

	return task ? &task->future : NULL;
}

size_t lsc_all_tasks(struct lsc_future **ret, size_t n)
{
	struct lsc_loop *loop = loop_thread;
	size_t count = 0;

	if (!loop)
		return 0;
	for (struct list *l = loop->live.next; l != &loop->live; l = l->next, count++)
		if (count < n)
			ret[count] = &container_of(l, struct task, live)->future;
	return count;
}

/* ---- who runs next ---- */

/* Of a task that ends before its first step. */
static void end_without_running(struct task *task, int result)
{
	struct lsc_loop *loop = task->future.loop;

	loop->current = task;
	if (loop->debug)
		debug_begin(loop->debug);
	end(task, result);
}

/* Takes the task that is next to run, if what is next is a task; otherwise NULL. */
static struct task *pop(struct lsc_loop *loop)
{
	while (loop->batch.first || loop_next_round(loop)) {
		if (loop->batch.first->ops != TASK_JOB)
			break;
		struct task *task = container_of(job_pop(&loop->batch), struct task, job);
		if (task->runner || !task->must_cancel)
			return task;
		end_without_running(task, -ECANCELED); /* the body is skipped */
	}
	return NULL;
}

static inline void note_begin(struct lsc_loop *loop, struct task *task)
{
	trace_run(&loop->trace, task);
	if (loop->debug)
		debug_begin(loop->debug);
}

static inline struct coro *enter(struct lsc_loop *loop, struct task *task)
{
	loop->current = task;
	if (loop->observed)
		note_begin(loop, task);
	return &task->coro;
}

void task_enter(struct task *task)
{
	enter(task->future.loop, task);
}

LSC_HOT struct coro *task_context(struct lsc_loop *loop, struct task *next)
{
	while (next) {
		if (next->runner || runner_assign(loop, next) == 0)
			return enter(loop, next);
		end_without_running(next, -ENOMEM);
		next = pop(loop);
	}
	return &loop->thread;
}

/* The next one, if that is a task that was suspended, as it nearly always is; or NULL. */
static inline struct task *pop_suspended(struct lsc_loop *loop)
{
	struct job *job = loop->batch.first;
	struct task *task = container_of(job, struct task, job);

	if (__builtin_expect(!job || job->ops != TASK_JOB || !task->coro.sp, 0))
		return NULL;
	job_pop(&loop->batch);
	return task;
}

LSC_HOT struct coro *task_next_context(struct lsc_loop *loop)
{
	struct task *task = pop_suspended(loop);

	if (task)
		return enter(loop, task);
	loop->current = NULL;
	return task_context(loop, pop(loop));
}

struct task *task_run(struct task *task)
{
	struct lsc_loop *loop = task->future.loop;

	int result = task->fn(task->arg);
	if (loop->unguarded && !stack_is_sound(&task->runner->stack))
		overflow_found(task);
	if (loop->debug)
		debug_stack(loop, task);
	end(task, result);
	return pop(loop);
}

/* Leaves the running task, whose record is written, for who is next; comes back when it is the
 * task's turn again, with the result of the wait, or 0 when there is none. Plain: neither recorded
 * nor in debug mode, and the stack is guarded. */
static inline __attribute__((always_inline)) int leave(struct lsc_loop *loop, struct task *task,
						       struct park *park, bool plain)
{
	struct coro *to;
	struct task *next = pop_suspended(loop);

	if (__builtin_expect(next != NULL, 1)) {
		loop->current = next;
		if (!plain)
			note_begin(loop, next);
		to = &next->coro;
		/* The one after that is in the cache by then. */
		if (loop->batch.first)
			__builtin_prefetch(
				container_of(loop->batch.first, struct task, job)->coro.sp);
	} else if (!loop->batch.first && !loop->ready.first) {
		loop->current = NULL;
		to = &loop->thread;
	} else {
		to = task_next_context(loop);
	}
	if (!plain && loop->unguarded && !stack_is_sound(&task->runner->stack))
		overflow_found(task);
	if (to != &task->coro)
		coro_switch(&task->coro, to);
	if (__builtin_expect(task->must_cancel, 0)) {
		task->must_cancel = false;
		return -ECANCELED;
	}
	return park ? park->result : 0;
}

/* ---- suspension ---- */

/* Asks for the end of the wait. True when it has ended. */
bool task_interrupt(struct park *park)
{
	if (park->asked)
		return false;
	park->asked = true;
	if (park->cancel && !park->cancel(park))
		return false;
	park->result = -ECANCELED;
	return true;
}

LSC_HOT int task_park(struct task *task, struct park *park, uint8_t kind, uint64_t detail)
{
	struct lsc_loop *loop = task->future.loop;

	park->task = task;
	park->asked = false;
	if (task->must_cancel && task_interrupt(park)) {
		task->must_cancel = false;
		return -ECANCELED;
	}
	task->park = park;
	task->wait_kind = kind;
	task->state = LSC_TASK_SUSPENDED;
	if (!loop->attended)
		return leave(loop, task, park, true);
	if (loop->observed) {
		if (loop->debug)
			debug_end(loop->debug, task);
		trace_suspend(&loop->trace, task, detail);
	}
	return leave(loop, task, park, false);
}

LSC_HOT void task_unpark(struct park *park, int result)
{
	park->result = result;
	task_ready(park->task);
}

void task_recancel(struct task *task)
{
	task->must_cancel = true;
}

static __attribute__((noinline)) int yield_attended(struct lsc_loop *loop, struct task *task)
{
	if (loop->observed) {
		if (loop->debug)
			debug_end(loop->debug, task);
		trace_yield(&loop->trace, task);
	}
	return leave(loop, task, NULL, false);
}

LSC_HOT int lsc_yield(void)
{
	struct lsc_loop *loop = loop_thread;
	struct task *task = loop ? loop->current : NULL;

	if (!task)
		return -EPERM;
	if (task->must_cancel) {
		task->must_cancel = false;
		return -ECANCELED;
	}
	task->wait_kind = LSC_WAIT_YIELD;
	job_push(&loop->ready, &task->job);
	return loop->attended ? yield_attended(loop, task) : leave(loop, task, NULL, true);
}

/* ---- a task as a future ---- */

static uint8_t wait_kind(const struct lsc_future *future, uint64_t *ret_detail)
{
	*ret_detail = task_of(future)->id;
	return LSC_WAIT_TASK;
}

static const struct future_ops task_ops = {
	.cancel = cancel_walk,
	.release = release,
	.wait_kind = wait_kind,
};
