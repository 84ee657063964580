/* SPDX-License-Identifier: MIT */
/*
 * A service on libloopscope that marks what it does: for each line "checkout MS" it marks the
 * checkout's begin, works for 3 ms, blocks in nanosleep() for so long and marks the end; "go" marks
 * without a block; "flood" marks and sets counters more often than is kept. Says of each mark and
 * counter what its own clock said right before and behind, one JSON object a line, and "done" when
 * the line is done with.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loopscope/loopscope.h"
#include "service.h"

#define NS_PER_MS 1000000ull

static void mark(const char *text)
{
	uint64_t before_ns = lsc_time();

	lsc_trace_mark(text);
	printf("{\"mark\": \"%s\", \"from\": %" PRIu64 ", \"to\": %" PRIu64 "}\n", text, before_ns,
	       lsc_time());
}

static void count(const char *name, int64_t value)
{
	lsc_trace_counter(name, value);
	printf("{\"counter\": \"%s\", \"value\": %" PRId64 "}\n", name, value);
}

static void work(uint64_t ns)
{
	uint64_t until_ns = lsc_time() + ns;

	while (lsc_time() < until_ns)
		;
}

static int checkout(void *arg)
{
	uint64_t ms = *(unsigned *)arg;
	struct timespec left = {.tv_nsec = (long)(ms * NS_PER_MS)};

	mark("checkout begin");
	work(3 * NS_PER_MS);
	uint64_t begin_ns = lsc_time();
	while (nanosleep(&left, &left) < 0)
		;
	printf("{\"ns\": %" PRIu64 ", \"begin\": %" PRIu64 "}\n", lsc_time() - begin_ns, begin_ns);
	mark("checkout end");
	return 0;
}

static void flood(void)
{
	char name[32];

	for (int i = 0; i < 3000; i++)
		lsc_trace_mark("flood");
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "flood %d", i);
		lsc_trace_counter(name, i);
	}
}

static int obey(const char *line)
{
	static int64_t orders;
	unsigned ms;

	if (sscanf(line, "checkout %u", &ms) == 1 && ms < 1000) {
		struct lsc_future *task = lsc_spawn(checkout, &ms, "checkout");
		int r = task ? lsc_await(task) : -1;

		lsc_unref(task);
		if (r < 0)
			return r;
		count("open orders", ++orders * 10);
	} else if (strcmp(line, "go\n") == 0) {
		mark("going");
		count("open orders", -7);
	} else if (strcmp(line, "flood\n") == 0) {
		flood();
	}
	puts("done");
	return fflush(stdout);
}

static int serve(void *arg)
{
	(void)arg;
	mark("from before");
	count("workers", 9);
	count("workers", 4);
	return service_obey(obey);
}

int main(void)
{
	return lsc_run(serve, NULL) < 0 ? 1 : 0;
}
