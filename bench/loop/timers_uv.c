/* SPDX-License-Identifier: MIT */
/* libuv's timers, as bench_timers.c has ours: a million at random over 500 ms. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "base/clock.h"

#define CALLS 1000000u

static unsigned fired;

static void fire(uv_timer_t *timer)
{
	(void)timer;
	fired++;
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();
	uv_timer_t *timers = malloc(CALLS * sizeof(*timers));
	uint64_t *when_ms = malloc(CALLS * sizeof(*when_ms));

	if (!loop || !timers || !when_ms)
		return 1;
	srand(1);
	for (unsigned i = 0; i < CALLS; i++) {
		when_ms[i] = (uint64_t)(500.0 * rand() / RAND_MAX);
		uv_timer_init(loop, &timers[i]);
	}
	uv_update_time(loop);
	uint64_t begin_ns = lsc_now_ns();
	for (unsigned i = 0; i < CALLS; i++)
		uv_timer_start(&timers[i], fire, when_ms[i], 0);
	printf("timer_start %.2f ns\n", (double)(lsc_now_ns() - begin_ns) / CALLS);
	nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
	begin_ns = lsc_now_ns();
	while (fired < CALLS)
		uv_run(loop, UV_RUN_NOWAIT);
	printf("timer_fire %.2f ns\n", (double)(lsc_now_ns() - begin_ns) / CALLS);
	free(when_ms);
	free(timers);
	return 0;
}
