/* SPDX-License-Identifier: MIT */
/* See runner.h. Which task comes next is task.c's business. */
#include "runner.h"

#include <errno.h>

#include "loop.h"
#include "task.h"

unsigned runner_class(uint64_t size)
{
	unsigned class = 0;

	while (((uint64_t)STACK_MIN_SIZE << class) < size)
		class ++;
	return class;
}

static size_t size_of(unsigned class)
{
	return (size_t)STACK_MIN_SIZE << class;
}

/* Never returns: the stack is unmapped, or used by the next task. */
static void run_tasks(void *arg)
{
	struct runner *runner = arg;
	struct lsc_loop *loop = runner->loop;

	for (;;) {
		struct task *next = task_run(runner->task);

		if (next && !next->runner && next->size_class == runner->size_class) {
			next->runner = runner;
			coro_take_over(&next->coro, &runner->coro);
			runner->task = next;
			task_enter(next);
			continue;
		}
		runner->task = NULL;
		runner->next = loop->runners.idle[runner->size_class];
		loop->runners.idle[runner->size_class] = runner;
		loop->runners.nidle++;
		coro_switch(&runner->coro, task_context(loop, next));
	}
}

/* Stacks lie whole pages apart: their tops would share a few sets of the cache, and switching among
 * many tasks would miss it each time. So the tops are spread over a page. */
static size_t colour(struct runner_pool *pool)
{
	return pool->nmade++ % 32 * 128;
}

static struct runner *make(struct lsc_loop *loop, unsigned class)
{
	size_t size = size_of(class);
	struct stack stack;

	if (stack_map(&stack, size) < 0)
		return NULL;
	loop->unguarded |= stack.canary;
	loop->attended |= stack.canary;
	struct runner *runner = (struct runner *)(stack.base + size - colour(&loop->runners)) - 1;
	void *top = (void *)((uintptr_t)runner & ~(uintptr_t)63);
	*runner = (struct runner){.stack = stack, .loop = loop, .size_class = class};
	coro_init(&runner->coro, &runner->coro_stack, stack.base, size, top, run_tasks, runner);
	return runner;
}

int runner_assign(struct lsc_loop *loop, struct task *task)
{
	struct runner *runner = loop->runners.idle[task->size_class];

	if (runner) {
		loop->runners.idle[task->size_class] = runner->next;
		loop->runners.nidle--;
	} else {
		runner = make(loop, task->size_class);
		if (!runner)
			return -ENOMEM;
	}
	runner->task = task;
	task->runner = runner;
	task->coro = runner->coro;
	return 0;
}

/* The idle runner at *link, which leaves its list. False: it cannot be unmapped now. */
static bool unmap(struct runner_pool *pool, struct runner **link)
{
	struct runner *runner = *link, *next = runner->next;
	struct coro_stack coro_stack = runner->coro_stack;
	struct stack stack = runner->stack;

	if (stack_unmap(&stack) < 0)
		return false;
	coro_done(&coro_stack);
	*link = next;
	pool->nidle--;
	return true;
}

static size_t surplus(const struct runner_pool *pool)
{
	return pool->nidle > RUNNERS_KEPT ? pool->nidle - RUNNERS_KEPT : 0;
}

void runner_pool_trim(struct runner_pool *pool)
{
	if (pool->refused > surplus(pool))
		pool->refused = surplus(pool); /* some have been used again */
	for (unsigned class = RUNNER_CLASSES; surplus(pool) > pool->refused && class -- > 0;)
		while (pool->idle[class] && surplus(pool) > pool->refused)
			if (!unmap(pool, &pool->idle[class]))
				pool->refused = surplus(pool); /* until there are more, or fewer */
}

/* Unmaps what can be. Returns how many. */
static size_t unmap_all(struct runner_pool *pool)
{
	size_t before = pool->nidle;

	for (unsigned class = 0; class < RUNNER_CLASSES; class ++)
		for (struct runner **link = &pool->idle[class]; *link;)
			if (!unmap(pool, link))
				link = &(*link)->next;
	return before - pool->nidle;
}

void runner_pool_done(struct runner_pool *pool)
{
	/* What lies between others can be unmapped when one beside it is. */
	while (pool->nidle > 0 && unmap_all(pool) > 0)
		;
}
