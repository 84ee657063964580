/* SPDX-License-Identifier: MIT */
/* What tasks cost: a switch of stacks, yields, spawning, gathering, memory; recording off and on.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "coro.h"
#include "loopscope/loopscope.h"
#include "measure.h"
#include "stack.h"

#define SHORT 100000 /* calls of a round */

static struct coro thread, inside;
static struct coro_stack thread_stack, inside_stack;

static void keep_switching(void *arg)
{
	(void)arg;
	for (;;)
		coro_switch(&inside, &thread);
}

static void switch_there_and_back(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SHORT / 2; i++)
		coro_switch(&thread, &inside);
}

static void bench_switch(void)
{
	struct stack stack;

	if (stack_map(&stack, STACK_DEFAULT_SIZE) < 0)
		return;
	/* Never unwound: nothing on this stack owns anything. */
	coro_init_thread(&thread, &thread_stack);
	coro_init(&inside, &inside_stack, stack.base, stack.size, stack.base + stack.size,
		  keep_switching, NULL);
	measure("switch", switch_there_and_back, NULL, SHORT);
	coro_done(&inside_stack);
	stack_unmap(&stack);
}

/* ---- tasks: rounds are calls of the main task ---- */

#define YIELDERS 100

static int yield_often(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SHORT / YIELDERS; i++)
		lsc_yield();
	return 0;
}

static void yield_round(void *arg)
{
	struct lsc_future *tasks[YIELDERS];

	(void)arg;
	for (int i = 0; i < YIELDERS; i++)
		tasks[i] = lsc_spawn(yield_often, NULL, NULL);
	for (int i = 0; i < YIELDERS; i++) {
		lsc_await(tasks[i]);
		lsc_unref(tasks[i]);
	}
}

#define BATCH 1000

static unsigned finished;

static int finish(void *arg)
{
	(void)arg;
	finished++;
	return 0;
}

static void spawn_round(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SHORT / BATCH; i++) {
		for (unsigned k = 0; k < BATCH; k++)
			lsc_unref(lsc_spawn(finish, NULL, NULL));
		lsc_yield();
	}
}

static void await_round(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SHORT; i++) {
		struct lsc_future *task = lsc_spawn(finish, NULL, NULL);

		lsc_await(task);
		lsc_unref(task);
	}
}

#define CROWD 100000

static void gather_round(void *arg)
{
	static struct lsc_future *tasks[CROWD];

	(void)arg;
	for (unsigned i = 0; i < CROWD; i++)
		tasks[i] = lsc_spawn(finish, NULL, NULL);
	struct lsc_future *all = lsc_gather(tasks, CROWD, 0);
	lsc_await(all);
	lsc_unref(all);
	for (unsigned i = 0; i < CROWD; i++)
		lsc_unref(tasks[i]);
}

static int bench_tasks(void *arg)
{
	const char *how = arg;
	static const struct {
		const char *name;
		void (*round)(void *arg);
		unsigned calls;
	} benches[] = {
		{"yield", yield_round, SHORT},
		{"spawn", spawn_round, SHORT},
		{"await", await_round, SHORT},
		{"gather", gather_round, CROWD},
	};
	char name[32];

	/* As a program does it once; everything it touches is new. */
	snprintf(name, sizeof(name), "gather_first_%s", how);
	if (measure_wants(name)) {
		uint64_t begin_ns = lsc_time();

		gather_round(NULL);
		printf("%s %.2f ns\n", name, (double)(lsc_time() - begin_ns) / CROWD);
	}
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		snprintf(name, sizeof(name), "%s_%s", benches[i].name, how);
		measure(name, benches[i].round, NULL, benches[i].calls);
	}
	return 0;
}

/* ---- sleeping tasks ---- */

static int sleep_long(void *arg)
{
	(void)arg;
	return lsc_sleep(3600 * LSC_NS_PER_S);
}

static long resident_bytes(void)
{
	long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%ld %ld", &total, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * 4096;
}

static int run_sleepers(void *arg)
{
	long before = resident_bytes();

	(void)arg;
	for (unsigned i = 0; i < CROWD; i++)
		lsc_unref(lsc_spawn(sleep_long, NULL, NULL));
	lsc_yield();
	lsc_yield();
	printf("sleeper %.0f bytes\n", (double)(resident_bytes() - before) / CROWD);
	return 0;
}

int main(int argc, char **argv)
{
	measure_choose(argc, argv);
	bench_switch();
	for (int on = 0; on < 2; on++) {
		setenv("LSC_TRACE", on ? "1" : "0", 1);
		lsc_run(bench_tasks, on ? "on" : "off");
	}
	if (measure_wants("sleeper"))
		lsc_run(run_sleepers, NULL);
	return 0;
}
