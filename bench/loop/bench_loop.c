/* SPDX-License-Identifier: MIT */
/*
 * What the loop library costs: a record in the ring, on and off, and a switch of stacks. Prints
 * "name value unit" lines; each value is the median of several rounds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "stack.h"

#define ROUNDS 15
#define CALLS  1000000

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Runs round(arg) ROUNDS times; each makes `calls` calls. */
static void report(const char *name, void (*round)(void *arg), void *arg, unsigned calls)
{
	double ns[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begin_ns = lsc_now_ns();

		round(arg);
		ns[i] = (double)(lsc_now_ns() - begin_ns) / calls;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	printf("%s %.2f ns\n", name, ns[ROUNDS / 2]);
}

static void put_records(void *arg)
{
	for (uint32_t i = 0; i < CALLS; i++)
		ring_put(arg, LSC_REC_TASK_RUN, 0, 0, i, 0);
}

static void bench_record(const char *name, const char *trace)
{
	struct ring ring;

	setenv("LSC_TRACE", trace, 1);
	ring_open(&ring, RING_DEFAULT_BITS);
	if ((ring.fd >= 0) != (trace[0] == '1')) {
		printf("# %s: no ring can be had here\n", name);
		return;
	}
	report(name, put_records, &ring, CALLS);
	ring_close(&ring);
}

static struct coro thread, inside;

static void keep_switching(void *arg)
{
	(void)arg;
	for (;;)
		coro_switch(&inside, &thread);
}

static void switch_there_and_back(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CALLS; i++)
		coro_switch(&thread, &inside);
}

static void bench_switch(void)
{
	char *stack = stack_map(STACK_DEFAULT_SIZE);

	if (!stack)
		return;
	/* Never unwound: nothing on this stack owns anything. */
	coro_init_thread(&thread);
	coro_init(&inside, stack, STACK_DEFAULT_SIZE, stack + STACK_DEFAULT_SIZE, keep_switching,
		  NULL);
	report("switch", switch_there_and_back, NULL, 2 * CALLS);
	coro_done(&inside);
	stack_unmap(stack, STACK_DEFAULT_SIZE);
}

#define YIELDERS 100

static int yield_often(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CALLS / YIELDERS; i++)
		lsc_yield();
	return 0;
}

static int run_yielders(void *arg)
{
	struct lsc_future *tasks[YIELDERS];

	(void)arg;
	for (int i = 0; i < YIELDERS; i++)
		tasks[i] = lsc_spawn(yield_often, NULL, NULL);
	for (int i = 0; i < YIELDERS; i++) {
		lsc_await(tasks[i]);
		lsc_unref(tasks[i]);
	}
	return 0;
}

static void yield_rounds(void *arg)
{
	(void)arg;
	lsc_run(run_yielders, NULL);
}

int main(void)
{
	bench_record("record_off", "0");
	bench_record("record_on", "1");
	bench_switch();
	setenv("LSC_TRACE", "0", 1);
	report("yield_off", yield_rounds, NULL, CALLS);
	setenv("LSC_TRACE", "1", 1);
	report("yield_on", yield_rounds, NULL, CALLS);
	return 0;
}
