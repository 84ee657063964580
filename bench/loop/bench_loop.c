/* SPDX-License-Identifier: MIT */
/*
 * What the loop library costs: a record in the ring, a switch of stacks, yields, tasks, timers,
 * memory; recording off and on. Prints "name value unit" lines; each value is the median of several
 * rounds. An argument runs that one alone. `run` compares with other loops.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static const char *only; /* the one bench to run; NULL: all */

/* Runs round(arg) ROUNDS times; each makes `calls` calls. */
static void report(const char *name, void (*round)(void *arg), void *arg, unsigned calls)
{
	double ns[ROUNDS];

	if (only && strcmp(only, name) != 0)
		return;
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
	struct stack stack;

	if (stack_map(&stack, STACK_DEFAULT_SIZE) < 0)
		return;
	/* Never unwound: nothing on this stack owns anything. */
	coro_init_thread(&thread);
	coro_init(&inside, stack.base, stack.size, stack.base + stack.size, keep_switching, NULL);
	report("switch", switch_there_and_back, NULL, 2 * CALLS);
	coro_done(&inside);
	stack_unmap(&stack);
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

/* ---- spawn, run, finish ---- */

#define BATCH 1000

static unsigned finished;

static int finish(void *arg)
{
	(void)arg;
	finished++;
	return 0;
}

static int run_spawner(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CALLS / BATCH; i++) {
		for (unsigned k = 0; k < BATCH; k++)
			lsc_unref(lsc_spawn(finish, NULL, NULL));
		lsc_yield();
	}
	return 0;
}

static void spawn_rounds(void *arg)
{
	(void)arg;
	lsc_run(run_spawner, NULL);
}

static int run_awaiter(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CALLS; i++) {
		struct lsc_future *task = lsc_spawn(finish, NULL, NULL);

		lsc_await(task);
		lsc_unref(task);
	}
	return 0;
}

static void await_rounds(void *arg)
{
	(void)arg;
	lsc_run(run_awaiter, NULL);
}

/* ---- spawn and gather ---- */

#define CROWD 100000

static int run_gather(void *arg)
{
	static struct lsc_future *tasks[CROWD];

	(void)arg;
	for (unsigned i = 0; i < CROWD; i++)
		tasks[i] = lsc_spawn(finish, NULL, NULL);
	struct lsc_future *all = lsc_gather(tasks, CROWD, 0);
	int r = lsc_await(all);
	lsc_unref(all);
	for (unsigned i = 0; i < CROWD; i++)
		lsc_unref(tasks[i]);
	return r;
}

static int run_gather_rounds(void *arg)
{
	for (unsigned i = 0; i < CALLS / CROWD; i++)
		run_gather(arg);
	return 0;
}

static void gather_rounds(void *arg)
{
	(void)arg;
	lsc_run(run_gather_rounds, NULL);
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
	qsort(start, TIMER_ROUNDS, sizeof(start[0]), compare);
	qsort(fire_ns, TIMER_ROUNDS, sizeof(fire_ns[0]), compare);
	printf("timer_start %.2f ns\ntimer_fire %.2f ns\n", start[TIMER_ROUNDS / 2],
	       fire_ns[TIMER_ROUNDS / 2]);
	free(timers);
	free(when_ns);
}

int main(int argc, char **argv)
{
	only = argc > 1 ? argv[1] : NULL;
	bench_record("record_off", "0");
	bench_record("record_on", "1");
	bench_switch();
	for (int on = 0; on < 2; on++) {
		setenv("LSC_TRACE", on ? "1" : "0", 1);
		report(on ? "yield_on" : "yield_off", yield_rounds, NULL, CALLS);
		report(on ? "spawn_on" : "spawn_off", spawn_rounds, NULL, CALLS);
		report(on ? "await_on" : "await_off", await_rounds, NULL, CALLS);
		report(on ? "gather_on" : "gather_off", gather_rounds, NULL, CALLS);
	}
	if (!only || strcmp(only, "sleeper") == 0)
		lsc_run(run_sleepers, NULL);
	if (!only || strcmp(only, "timer") == 0)
		bench_timers();
	return 0;
}
