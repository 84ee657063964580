/* SPDX-License-Identifier: MIT */
/* What the loop library costs: a switch of stacks, yields, tasks, timers, memory; recording off and
 * on. `run` compares with other loops. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "coro.h"
#include "loopscope/loopscope.h"
#include "measure.h"
#include "stack.h"

#define CALLS 1000000 /* timers */
#define SHORT 100000  /* calls of a short round */

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

/* ---- timers: a million at random over 500 ms ---- */

#define TIMER_ROUNDS 5

static struct lsc_timer *timers;
static uint64_t *when_ns;
static unsigned fired;

static void fire(void *arg)
{
	if (++fired == CALLS)
		lsc_resolve(*(struct lsc_future **)arg, 0);
}

/* Starting them, and, once all are due, what firing them costs. */
static int run_timers(void *arg)
{
	double *ns = arg;
	struct lsc_future *all = lsc_future_new();

	for (unsigned i = 0; i < CALLS; i++)
		lsc_timer_init(&timers[i], fire, &all);
	uint64_t begin_ns = lsc_time();
	for (unsigned i = 0; i < CALLS; i++)
		lsc_timer_start(&timers[i], begin_ns + when_ns[i]);
	ns[0] = (double)(lsc_time() - begin_ns) / CALLS;
	nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
	begin_ns = lsc_time();
	int r = lsc_await(all);
	ns[1] = (double)(lsc_time() - begin_ns) / CALLS;
	lsc_unref(all);
	return r;
}

static void bench_timers(void)
{
	double ns[2], start[TIMER_ROUNDS], fire_ns[TIMER_ROUNDS];

	timers = malloc(CALLS * sizeof(*timers));
	when_ns = malloc(CALLS * sizeof(*when_ns));
	if (!timers || !when_ns)
		abort();
	srand(1);
	for (int r = 0; r < TIMER_ROUNDS; r++) {
		for (unsigned i = 0; i < CALLS; i++)
			when_ns[i] = (uint64_t)(500e6 * rand() / RAND_MAX);
		fired = 0;
		lsc_run(run_timers, ns);
		start[r] = ns[0];
		fire_ns[r] = ns[1];
	}
	printf("timer_start %.2f ns\ntimer_fire %.2f ns\n", median(start, TIMER_ROUNDS),
	       median(fire_ns, TIMER_ROUNDS));
	free(timers);
	free(when_ns);
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
	if (measure_wants("timer"))
		bench_timers();
	return 0;
}
