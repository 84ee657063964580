/* SPDX-License-Identifier: MIT */
/* What timers cost: a million at random over 500 ms. timers_ev.c and timers_uv.c do the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"
#include "measure.h"

#define CALLS  1000000
#define ROUNDS 3

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

int main(void)
{
	double ns[2], start[ROUNDS], fire_ns[ROUNDS];

	timers = malloc(CALLS * sizeof(*timers));
	when_ns = malloc(CALLS * sizeof(*when_ns));
	if (!timers || !when_ns)
		abort();
	srand(1);
	for (int r = 0; r < ROUNDS; r++) {
		for (unsigned i = 0; i < CALLS; i++)
			when_ns[i] = (uint64_t)(500e6 * rand() / RAND_MAX);
		fired = 0;
		lsc_run(run_timers, ns);
		start[r] = ns[0];
		fire_ns[r] = ns[1];
	}
	printf("timer_start %.2f ns\ntimer_fire %.2f ns\n", median(start, ROUNDS),
	       median(fire_ns, ROUNDS));
	free(timers);
	free(when_ns);
	return 0;
}
