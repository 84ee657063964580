/* SPDX-License-Identifier: MIT */
/* Programs that claim to be a CPython: no frame and no task of them is told, and nothing dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture.h"

#define SEEDS 8

static struct capture cap;
static struct answers got;

static void await(struct inspector *ins, int r)
{
	assert_int_equal(r, 0);
	answers_await(ins, &got, got.n + 1);
}

static void ask_everything(struct inspector *ins)
{
	struct inspector_sleeper sleeper = {.regs = cap.regs, .python = cap.pid};

	await(ins, inspector_cpython(ins, got.n, cap.pid, cap.pid, cap.pid));
	assert_string_not_equal(got.last.why, "");
	await(ins, inspector_unwind_asleep(ins, got.n, cap.pid, cap.pid, &sleeper));
	assert_string_not_equal(got.last.language_why, "");
	assert_true(answers_have(&got, "main"));
	for (size_t i = 0; i < got.last.nframes; i++)
		assert_false(got.last.frames[i].python);
	await(ins, inspector_tasks(ins, got.n, cap.pid, cap.pid));
	assert_string_not_equal(got.last.why, "");
}

static void what_claims_to_be_a_cpython_is_found_out(void **state)
{
	static const char *const programs[] = {"FAKE_3_8", "FAKE_3_11", "FAKE_3_12", "FAKE_3_14"};
	static const char *const kinds[] = {"ZEROS", "RANDOM", "SELF", "ROUND"};
	struct inspector *ins = answers_start(&got, NULL);
	unsigned int seed = (unsigned int)lsc_now_ns();
	int broker, worker, worker_then;

	(void)state;
	print_message("seed %u\n", seed);
	inspector_children(ins, &broker, &worker);
	for (size_t i = 0; i < LSC_ARRAY_LEN(programs); i++) {
		setenv("NEST", getenv(programs[i]), 1);
		for (size_t k = 0; k < LSC_ARRAY_LEN(kinds) * SEEDS; k++) {
			char text[16];
			snprintf(text, sizeof(text), "%d", rand_r(&seed));
			pid_t pid = capture_spawn_nest(kinds[k / SEEDS], text, NULL);
			capture_take(pid, SYS_pause, SYS_pause, &cap);
			ask_everything(ins);
			capture_kill(pid);
		}
	}
	inspector_children(ins, &broker, &worker_then);
	assert_int_equal(worker_then, worker);
	inspector_free(ins);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_claims_to_be_a_cpython_is_found_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
