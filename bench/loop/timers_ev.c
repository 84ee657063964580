/* SPDX-License-Identifier: MIT */
/* libev's timers, as bench_timers.c has ours: a million at random over 500 ms. */
#include <ev.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define CALLS 1000000u

static unsigned fired;

static void fire(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	fired++;
}

int main(void)
{
	struct ev_loop *loop = ev_default_loop(0);
	ev_timer *timers = malloc(CALLS * sizeof(*timers));

	if (!loop || !timers)
		return 1;
	srand(1);
	for (unsigned i = 0; i < CALLS; i++)
		ev_timer_init(&timers[i], fire, 0.5 * rand() / RAND_MAX, 0);
	ev_now_update(loop);
	uint64_t begin_ns = lsc_now_ns();
	for (unsigned i = 0; i < CALLS; i++)
		ev_timer_start(loop, &timers[i]);
	printf("timer_start %.2f ns\n", (double)(lsc_now_ns() - begin_ns) / CALLS);
	nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
	begin_ns = lsc_now_ns();
	while (fired < CALLS)
		ev_run(loop, EVRUN_NOWAIT);
	printf("timer_fire %.2f ns\n", (double)(lsc_now_ns() - begin_ns) / CALLS);
	free(timers);
	return 0;
}
