/* SPDX-License-Identifier: MIT */
/*
 * Many stacks beside the kernel's limit of mappings: on a kernel without guard markers, where each
 * takes two of them; and on one with, where those that end leave holes. Each runs in a child of its
 * own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"
#include "stack.h"
#include "task.h"

static long number_in(const char *path)
{
	char text[64] = "";
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	return strtol(text, NULL, 10);
}

static long mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	long n = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* Address space, in pages. */
static long mapped(void)
{
	return number_in("/proc/self/statm");
}

/* Runs fn in a child, whose exit status is to be 0; what it says on stderr. */
static void run_apart(void (*fn)(void), char said[1024])
{
	int status, out[2];
	size_t n = 0;
	ssize_t got;

	assert_int_equal(pipe(out), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(out[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(out[1]);
	while ((got = read(out[0], said + n, 1023 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status != 0)
		fail_msg("the child ends with status %#x, and says: %s", status, said);
}

#define check(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #what);             \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

struct crowd {
	struct lsc_event *go[2]; /* for the even ones, and the odd ones */
	struct lsc_future **tasks;
	size_t n, begun;
};

static struct crowd crowd;

static int wait_for_go(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;

	crowd.begun++;
	int r = lsc_event_wait(crowd.go[i % 2]);
	return r < 0 ? r : (int)i;
}

static void begin(size_t n)
{
	crowd = (struct crowd){.go = {lsc_event_new(), lsc_event_new()},
			       .tasks = calloc(n, sizeof(struct lsc_future *)),
			       .n = n};
	check(crowd.go[0] && crowd.go[1] && crowd.tasks);
	for (size_t i = 0; i < n; i++)
		check((crowd.tasks[i] = lsc_spawn(wait_for_go, (void *)i, NULL)));
	while (crowd.begun < n)
		check(lsc_yield() == 0);
}

static void end_every_other(size_t first)
{
	lsc_event_set(crowd.go[first]);
	for (size_t i = first; i < crowd.n; i += 2) {
		check(lsc_await(crowd.tasks[i]) == (int)i);
		lsc_unref(crowd.tasks[i]);
	}
	lsc_event_free(crowd.go[first]);
}

/* ---- pages of no access ---- */

#define TASKS 60000

static int main_without_markers(void *arg)
{
	long max = number_in("/proc/sys/vm/max_map_count");
	size_t paged = 0, canaries = 0;

	(void)arg;
	begin(TASKS);
	for (size_t i = 0; i < TASKS; i++) {
		const struct stack *stack = &task_of(crowd.tasks[i])->runner->stack;

		paged += stack->paged;
		canaries += stack->canary;
	}
	/* main has one, too */
	check(paged + 1 == (size_t)max / 4);
	check(paged + canaries == TASKS);
	check(mappings() <= max / 4 * 3); /* the other half is the program's */
	end_every_other(0);
	/* Pages that became free guard the next stacks. */
	end_every_other(1);
	free(crowd.tasks);
	return 0;
}

static void run_without_markers(void)
{
	long before = mappings();

	stack_pretend(true, SIZE_MAX);
	check(lsc_run(main_without_markers, NULL) == 0);
	check(mappings() <= before + 10);
	/* All pages are to be had again; what was said is not said again. */
	check(lsc_run(main_without_markers, NULL) == 0);
}

static void beyond_half_of_the_mappings_stacks_have_canaries_and_that_is_said_once(void **state)
{
	char said[1024];

	(void)state;
	if (number_in("/proc/sys/vm/max_map_count") / 4 >= TASKS) {
		print_message("skipped: there are mappings enough for %d guards\n", TASKS);
		skip();
	}
	run_apart(run_without_markers, said);
	const char *line = strstr(said, "loopscope: half of vm.max_map_count is used up by stacks");
	assert_non_null(line);
	assert_null(strstr(line + 1, "loopscope:"));
}

/* ---- holes ---- */

#define SPARE	 400 /* mappings that are left to be had */
#define SLEEPERS 8000
#define SLACK	 (2048 + 1024) /* pages: a slab, and what malloc keeps */

/* Takes up all mappings but so many. */
static void take_mappings(long spare)
{
	long max = number_in("/proc/sys/vm/max_map_count"), page = sysconf(_SC_PAGESIZE);
	long n = max - spare - mappings();
	char *all = mmap(NULL, (size_t)(n * page), PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check(all != MAP_FAILED);
	for (long i = 1; i < n; i += 2)
		check(mprotect(all + i * page, (size_t)page, PROT_READ) == 0);
}

static int main_of_holes(void *arg)
{
	(void)arg;
	begin(SLEEPERS);
	end_every_other(0);
	check(lsc_yield() == 0); /* idle stacks go at the end of a tick */
	end_every_other(1);
	free(crowd.tasks);
	return 0;
}

static void run_with_holes(void)
{
	take_mappings(SPARE);
	long before = mapped(), holes = mappings();
	for (int i = 0; i < 3; i++) {
		check(lsc_run(main_of_holes, NULL) == 0);
		check(mapped() <= before + SLACK);
		check(mappings() <= holes + 10);
	}
}

static void stacks_that_end_leave_no_memory_where_holes_are_refused(void **state)
{
	char said[1024];

	(void)state;
	run_apart(run_with_holes, said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			beyond_half_of_the_mappings_stacks_have_canaries_and_that_is_said_once),
		cmocka_unit_test(stacks_that_end_leave_no_memory_where_holes_are_refused),
	};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	puts("skipped: a sanitizer needs more memory, and mappings of its own, for each task");
	return 77;
#endif
	return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
