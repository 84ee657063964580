/* SPDX-License-Identifier: MIT */
/*
 * The allocation sweep: lets the first, second, ... call of those that can fail do so, until a
 * whole run succeeds. Each failure must come back as an error, or leave the loop unrecorded, and
 * leak nothing (the asan preset looks). The calls are wrapped by the linker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop.h"
#include "loopscope/loopscope.h"
#include "wrap.h"

static int body(void *arg)
{
	int *fd = arg;

	return lsc_wait_fd(*fd, POLLIN);
}

/* Makes one of each object and wait; 0, or the first error. */
static int main_of_everything(void *arg)
{
	int *fd = arg;
	struct lsc_future *f = NULL, *g = NULL, *task = lsc_spawn(body, fd, "a");
	int r = task ? lsc_await(task) : -ENOMEM;

	if (r >= 0) {
		f = lsc_future_new();
		r = f ? lsc_resolve(f, 0) : -ENOMEM;
	}
	if (r >= 0) {
		g = lsc_gather(&f, 1, 0);
		r = g ? lsc_await(g) : -ENOMEM;
	}
	if (r >= 0)
		r = lsc_sleep(1);
	lsc_unref(g);
	lsc_unref(f);
	lsc_unref(task);
	return r < 0 ? r : 0;
}

static void every_failure_is_an_error_or_harmless(void **state)
{
	int pair[2], failures = 0, r;

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	for (unsigned nth = 1;; nth++) {
		wrap_fail_at(nth);
		r = lsc_run(main_of_everything, &pair[0]);
		if (!wrap_has_failed())
			break;
		assert_true(r == 0 || r == -ENOMEM);
		failures += r != 0;
		assert_in_range(nth, 1, 100);
	}
	wrap_fail_at(0);
	assert_int_equal(r, 0);
	/* loop, backend, epoll, eventfd, main and its stack, task and its stack, table, heap, ...
	 */
	assert_true(failures >= 10);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_is_an_error_or_harmless),
	};
	return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
