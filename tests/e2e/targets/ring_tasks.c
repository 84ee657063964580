/* SPDX-License-Identifier: MIT */
/* Tasks of libloopscope that stay as they are. Says who there is, one JSON object a line: its name, what it
 * waits for, the name of the task that it awaits, the line that spawned it. Then "running". */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "loopscope/loopscope.h"

#define MANY 20

static int begun; /* tasks; each goes on to its wait without a pause */

static void tell(const char *name, const char *on, const char *awaits, int line)
{
	printf("{\"name\": \"%s\", \"waiting_on\": \"%s\", \"awaits\": [%s%s%s], \"line\": %d}\n", name, on,
	       awaits ? "\"" : "", awaits ? awaits : "", awaits ? "\"" : "", line);
}

static int sleeper(void *arg)
{
	(void)arg;
	begun++;
	return lsc_sleep(1000ull * 1000000000ull);
}

static int reader(void *arg)
{
	begun++;
	return lsc_wait_fd(*(int *)arg, POLLIN);
}

static int awaiter(void *arg)
{
	begun++;
	return lsc_await(arg);
}

static int root(void *arg)
{
	int ends[2];
	char name[32], on[32];

	(void)arg;
	if (pipe(ends) < 0)
		return -1;
	struct lsc_future *last = lsc_spawn(sleeper, NULL, "sleeper-0");
	tell("sleeper-0", "timer", NULL, __LINE__ - 1);
	for (int i = 1; i < MANY; i++) {
		char before[32];
		snprintf(name, sizeof(name), "awaiter-%d", i);
		snprintf(before, sizeof(before), i > 1 ? "awaiter-%d" : "sleeper-%d", i - 1);
		last = lsc_spawn(awaiter, last, name);
		tell(name, "task", before, __LINE__ - 1);
	}
	lsc_spawn(reader, &ends[0], "reader");
	snprintf(on, sizeof(on), "fd %d", ends[0]);
	tell("reader", on, NULL, __LINE__ - 2);
	while (begun < MANY + 1) /* those, and the reader, have begun to wait */
		lsc_yield();
	printf("running\n");
	fflush(stdout);
	return lsc_await(last);
}

int main(void)
{
	return lsc_run(root, NULL) < 0 ? 1 : 0;
}
