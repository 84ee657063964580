/* SPDX-License-Identifier: MIT */
#include "life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loopscope/loopscope.h"
#include "reader.h"

int life(void *arg)
{
	struct rlimit limit;

	(void)arg;
	lsc_trace_mark("still alive");
	if (lsc_yield() < 0 || lsc_sleep(LSC_NS_PER_MS) < 0)
		return 1;
	/* To look needs a descriptor; the test may have left none. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return reader_find() >= 0 ? LIFE_RECORDED : LIFE_UNRECORDED;
}

int life_of_child(void (*prepare)(void))
{
	int status;

	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prepare();
		int r = lsc_run(life, NULL);
		_exit(r < 0 ? 100 - r : r);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
