/* SPDX-License-Identifier: MIT */
/*
 * A service on libloopscope in debug mode that uses stacks: "early N" and "late N" run a task whose
 * frame takes N bytes, "hold N" leaves one suspended in such a frame, each spawned at a place of
 * its own; "say" says of these places what the library measured, one JSON object a line. "done"
 * comes when a line is done with.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loopscope/loopscope.h"
#include "service.h"

#define HOLD_STACK (1u << 20)

enum place { EARLY, LATE, HOLD, PLACES };

static struct lsc_site places[PLACES] = {
	[EARLY] = {.function = "early", .file = "stacks.c", .line = 1},
	[LATE] = {.function = "late", .file = "stacks.c", .line = 2},
	[HOLD] = {.function = "hold", .file = "stacks.c", .line = 3},
};

static int use(void *arg)
{
	size_t size = *(size_t *)arg;
	volatile char frame[size];

	frame[0] = 1;
	return frame[0] - 1;
}

static int use_and_wait(void *arg)
{
	size_t size = *(size_t *)arg;
	volatile char frame[size];

	frame[0] = 1;
	return lsc_sleep(3600ull * 1000000000) + frame[0];
}

static int run(enum place place, size_t size)
{
	static size_t held;
	struct lsc_task_options hold = {.size = sizeof(hold), .stack_size = HOLD_STACK};
	struct lsc_future *task;
	int r = 0;

	if (place == HOLD) {
		held = size;
		task = lsc_spawn_with_at(&places[place], use_and_wait, &held, &hold);
	} else {
		task = lsc_spawn_at(&places[place], use, &size, NULL);
	}
	if (!task)
		return -1;
	if (place != HOLD)
		r = lsc_await(task);
	lsc_unref(task);
	return r < 0 ? r : lsc_yield();
}

static int obey(const char *line)
{
	char name[16];
	size_t size;
	int r = 0;

	for (int i = 0; i < PLACES && sscanf(line, "%15s %zu", name, &size) == 2 && !r; i++)
		if (!strcmp(name, places[i].function))
			r = run(i, size);
	for (int i = 0; i < PLACES && !strcmp(line, "say\n"); i++)
		printf("{\"function\": \"%s\", \"used\": %" PRIu32 ", \"size\": %" PRIu32 "}\n",
		       places[i].function, places[i].stack_high, places[i].stack_size);
	puts("done");
	return r < 0 ? r : fflush(stdout);
}

static int serve(void *arg)
{
	(void)arg;
	return service_obey(obey);
}

int main(int argc, char **argv)
{
	struct lsc_loop_options o = {.size = sizeof(o), .debug = LSC_DEBUG_ON};

	if (argc > 1 && !strcmp(argv[1], "--plain"))
		o.debug = LSC_DEBUG_OFF;
	return lsc_run_with(&o, serve, NULL) < 0 ? 1 : 0;
}
