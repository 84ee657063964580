/* SPDX-License-Identifier: MIT */
/* A million tasks at once, each asleep on a stack of its own. Takes half a minute and 5 GiB: only
 * with LSC_FULL=1, where there is so much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"

#define TASKS	     1000000L
#define BYTES_A_TASK (9 * 1024L) /* resident: what the library promises at most */

static struct lsc_event *go;
static long running;

static int wait_for_go(void *arg)
{
	running++;
	int r = lsc_event_wait(go);
	return r < 0 ? r : (int)(intptr_t)arg;
}

/* A field of a file of /proc, in bytes; 0 where there is none. */
static long kib_of(const char *path, const char *field)
{
	char line[200];
	long kib = 0;
	FILE *f = fopen(path, "re");

	while (f && kib == 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = strtol(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return kib * 1024;
}

static int run_all(void *arg)
{
	struct lsc_future **tasks = arg;
	long before = kib_of("/proc/self/status", "VmRSS:");

	go = lsc_event_new();
	assert_non_null(go);
	for (long i = 0; i < TASKS; i++) {
		tasks[i] = lsc_spawn(wait_for_go, (void *)(intptr_t)i, NULL);
		assert_non_null(tasks[i]);
	}
	uint64_t begin_ns = lsc_time();
	while (running < TASKS)
		assert_int_equal(lsc_yield(), 0);
	long each = (kib_of("/proc/self/status", "VmRSS:") - before) / TASKS;
	print_message("%ld tasks wait, begun in %.1f s, %ld bytes each\n", running,
		      (double)(lsc_time() - begin_ns) / LSC_NS_PER_S, each);
	assert_in_range(each, 1, BYTES_A_TASK);
	lsc_event_set(go);
	for (long i = 0; i < TASKS; i++) {
		assert_int_equal(lsc_await(tasks[i]), i);
		lsc_unref(tasks[i]);
	}
	lsc_event_free(go);
	return 0;
}

static void a_million_tasks_wait_and_end(void **state)
{
	struct lsc_future **tasks = calloc(TASKS, sizeof(struct lsc_future *));

	(void)state;
	assert_non_null(tasks);
	assert_int_equal(lsc_run(run_all, tasks), 0);
	free(tasks);
}

/* NULL: nothing. */
static const char *what_is_missing(void)
{
	const char *full = getenv("LSC_FULL");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return "a sanitizer needs more memory for each task";
#endif
	if (!full || strcmp(full, "1") != 0)
		return "it takes half a minute: LSC_FULL=1 runs it";
	return kib_of("/proc/meminfo", "MemAvailable:") < TASKS * BYTES_A_TASK
		       ? "9 GiB of memory are not available"
		       : NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_million_tasks_wait_and_end)};
	const char *missing = what_is_missing();

	if (missing) {
		printf("skipped: %s\n", missing);
		return 77;
	}
	return cmocka_run_group_tests_name("million", tests, NULL, NULL);
}
