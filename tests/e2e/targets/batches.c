/* SPDX-License-Identifier: MIT */
/*
 * A loop on libloopscope that does its work in batches. Each line of input, "busy COUNT NS" or
 * "sleep COUNT NS", is a batch: so many tasks, all of them ready in the same turn, each of which
 * computes or sleeps for so long; "mixed" has every other one sleep. When the last has ended a line
 * of JSON tells by the thread's own clocks how long they took together, from the first one's begin
 * to the last one's end: "ns", of these "cpu_ns" on the CPU, "delay_ns" runnable without one and
 * "slept_ns" in calls that sleep; "longest_ns" is the longest of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "loopscope/loopscope.h"

#define ONE_S	1000000000ull
#define TASKS	1000
#define BEAT_NS 20000000ull

static struct {
	const char *kind;
	uint64_t each_ns, begin_ns, end_ns, longest_ns, slept_ns;
	struct {
		uint64_t cpu_ns, delay_ns;
	} before, after;
	unsigned started;
} batch;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * ONE_S + (uint64_t)t.tv_nsec;
}

static uint64_t delay_ns(void)
{
	char text[128] = "";
	uint64_t ns = 0;
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "%*u %lu", &ns) != 1)
		exit(1);
	close(fd);
	return ns;
}

static void busy(uint64_t until_ns)
{
	while (clock_ns(CLOCK_MONOTONIC) < until_ns)
		;
}

static void block(uint64_t until_ns)
{
	struct timespec t = {.tv_sec = (time_t)(until_ns / ONE_S),
			     .tv_nsec = (long)(until_ns % ONE_S)};
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
	batch.slept_ns += clock_ns(CLOCK_MONOTONIC) - begin_ns;
}

static int work(void *arg)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	unsigned number = batch.started++;

	(void)arg;
	if (number == 0) {
		batch.begin_ns = begin_ns;
		batch.before.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		batch.before.delay_ns = delay_ns();
	}
	if (!strcmp(batch.kind, "sleep") || (!strcmp(batch.kind, "mixed") && number % 2))
		block(begin_ns + batch.each_ns);
	else
		busy(begin_ns + batch.each_ns);
	batch.after.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	batch.after.delay_ns = delay_ns();
	batch.end_ns = clock_ns(CLOCK_MONOTONIC);
	if (batch.end_ns - begin_ns > batch.longest_ns)
		batch.longest_ns = batch.end_ns - begin_ns;
	return 0;
}

static int obey(char *line)
{
	static struct lsc_future *tasks[TASKS];
	char *save = NULL, *kind = strtok_r(line, " \n", &save),
	     *count = strtok_r(NULL, " ", &save), *each = strtok_r(NULL, " \n", &save);
	size_t n = count ? strtoul(count, NULL, 10) : 0;
	int r = 0;

	if (!each || n < 1 || n > TASKS)
		return -EINVAL;
	memset(&batch, 0, sizeof(batch));
	batch.kind = kind;
	batch.each_ns = strtoull(each, NULL, 10);
	for (size_t i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "part-%zu", i + 1);
		tasks[i] = lsc_spawn(work, NULL, name);
		if (!tasks[i])
			return -ENOMEM;
	}
	struct lsc_future *all = lsc_gather(tasks, n, LSC_GATHER_ALL);
	r = all ? lsc_await(all) : -ENOMEM;
	lsc_unref(all);
	for (size_t i = 0; i < n; i++)
		lsc_unref(tasks[i]);
	printf("{\"begin_ns\":%lu,\"ns\":%lu,\"cpu_ns\":%lu,\"delay_ns\":%lu,\"slept_ns\":%lu,"
	       "\"longest_ns\":%lu}\n",
	       batch.begin_ns, batch.end_ns - batch.begin_ns,
	       batch.after.cpu_ns - batch.before.cpu_ns,
	       batch.after.delay_ns - batch.before.delay_ns, batch.slept_ns, batch.longest_ns);
	fflush(stdout);
	return r;
}

static int beat(void *arg)
{
	int r;

	(void)arg;
	while ((r = lsc_sleep(BEAT_NS)) >= 0)
		;
	return r;
}

static int serve(void *arg)
{
	char line[128];
	int r;

	(void)arg;
	lsc_unref(lsc_spawn(beat, NULL, "beat"));
	printf("running\n");
	fflush(stdout);
	while ((r = lsc_wait_fd(0, POLLIN)) >= 0) {
		ssize_t got = read(0, line, sizeof(line) - 1);

		if (got <= 0)
			return 0;
		line[got] = '\0';
		r = obey(line);
		if (r < 0)
			return r;
	}
	return r;
}

int main(void)
{
	return lsc_run(serve, NULL) < 0 ? 1 : 0;
}
