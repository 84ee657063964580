/* SPDX-License-Identifier: MIT */
/*
 * Runners: coroutines that run tasks, one after another. A task gets one when it first runs and
 * gives it back when it ends; a runner whose task has ended runs the next new task right away,
 * without any switch, or waits in the pool. A runner lies near the top of its own stack.
 */
#ifndef LSC_LOOP_RUNNER_H
#define LSC_LOOP_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coro.h"
#include "stack.h"

struct lsc_loop;
struct task;

struct runner {
	struct coro coro; /* in the pool */
	struct coro_stack coro_stack;
	struct stack stack;
	struct lsc_loop *loop;
	struct task *task;   /* whom it runs; NULL in the pool */
	struct runner *next; /* in the pool */
	unsigned size_class;
};

/* Stacks are 16 KiB << class. */
#define RUNNER_CLASSES 17

/* Idle runners kept for reuse; about 8 KiB of each are resident. */
#define RUNNERS_KEPT 1024

struct runner_pool {
	size_t nidle;
	size_t refused; /* of the idle ones, beyond those worth keeping: could not be unmapped */
	size_t nmade;
	struct runner *idle[RUNNER_CLASSES]; /* the latest first: its top is warm */
};

/* The class of stacks of at least size bytes, at most STACK_MAX_SIZE. */
unsigned runner_class(uint64_t size);

/* Has a runner run the task, when it is switched to. 0 or -ENOMEM. */
int runner_assign(struct lsc_loop *loop, struct task *task);

/* Whether there is something for runner_pool_trim() to do. */
static inline bool runner_pool_is_large(const struct runner_pool *pool)
{
	return pool->nidle > RUNNERS_KEPT || pool->refused > 0;
}

/* Unmaps idle runners beyond the ones worth keeping. From the loop's own stack. */
void runner_pool_trim(struct runner_pool *pool);
void runner_pool_done(struct runner_pool *pool);

#endif
