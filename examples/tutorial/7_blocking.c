/* SPDX-License-Identifier: MIT */
/* Step 7: what blocks goes to a thread, or to a process. */
#include <loopscope/loopscope.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MS 1000000ull

/* An old function that nobody will rewrite: it sleeps in the kernel, and knows no loop. */
static int old_recipe(void *arg)
{
	nanosleep(&(struct timespec){.tv_nsec = 500 * MS}, NULL);
	return *(int *)arg * 2;
}

static int tick(void *arg)
{
	(void)arg;
	for (;;) {
		int r = lsc_sleep(200 * MS);
		if (r < 0)
			return r;
		puts("the waiter is free");
	}
}

static int app(void *arg)
{
	char *argv[] = {"/bin/sh", "-c", "echo the bill, please", NULL};
	struct lsc_process_options options = {.size = sizeof(options),
					      .stdio = {[1] = LSC_STDIO_PIPE}};
	struct lsc_process_output out;
	struct lsc_process *shell;
	int portions = 21, status;

	(void)arg;
	struct lsc_future *ticking = lsc_spawn(tick, NULL, "waiter");
	printf("%d portions\n", lsc_to_thread(old_recipe, &portions));
	lsc_cancel(ticking);
	lsc_await(ticking);
	lsc_unref(ticking);
	int r = lsc_process_start(argv, &options, &shell);
	if (r < 0)
		return r;
	r = lsc_process_communicate(shell, NULL, 0, 1000, &out, NULL, &status);
	if (r == 0) {
		printf("%s", out.data);
		free(out.data);
	}
	lsc_process_free(shell);
	return r;
}

int main(void)
{
	return lsc_run(app, NULL) < 0;
}
