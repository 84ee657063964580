/* SPDX-License-Identifier: MIT */
/* Arming the precise mode again at once, beside a bare program on the same tracepoint, which has to
 * wait for what the kernel waits for. */
#include <bpf/bpf.h>
#include <linux/filter.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "probe.h"

#define ROUNDS 21

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median(uint64_t ns[ROUNDS])
{
	qsort(ns, ROUNDS, sizeof(*ns), by_size);
	return ns[ROUNDS / 2];
}

static void bare_again(int program, uint64_t *ret_ns)
{
	int link = bpf_raw_tracepoint_open("sys_exit", program);

	assert_true(link >= 0);
	close(link);
	uint64_t begin = lsc_now_ns();
	link = bpf_raw_tracepoint_open("sys_exit", program);
	*ret_ns = lsc_now_ns() - begin;
	assert_true(link >= 0);
	close(link);
}

static void probe_again(struct probe *p, uint64_t *ret_ns)
{
	assert_int_equal(probe_arm(p), 0);
	probe_disarm(p);
	uint64_t begin = lsc_now_ns();
	assert_int_equal(probe_arm(p), 0);
	*ret_ns = lsc_now_ns() - begin;
	assert_true(probe_is_armed(p));
	probe_disarm(p);
}

static void skip_where_grace_periods_are_not_hastened(void)
{
	lsc_autofclose FILE *f = fopen("/sys/kernel/rcu_normal", "re");
	int normal = 0;

	if (f && fscanf(f, "%d", &normal) == 1 && normal) {
		print_message("skipped: rcu_normal is set\n");
		skip();
	}
}

static void arming_again_at_once_waits_for_no_grace_period(void **state)
{
	const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	uint64_t bare_ns[ROUNDS], probe_ns[ROUNDS];
	struct lsc_err err = {0};
	struct probe *p = NULL;
	int self = getpid();
	const struct probe_options o = {
		.pids = &self, .npids = 1, .stall_ns = 10000000, .block_ns = 1000000};

	(void)state;
	skip_where_grace_periods_are_not_hastened();
	if (probe_new(&o, NULL, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	lsc_autoclose int program = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "bare", "GPL",
						  nothing, LSC_ARRAY_LEN(nothing), NULL);
	assert_true(program >= 0);
	for (int i = 0; i < ROUNDS; i++) {
		bare_again(program, &bare_ns[i]);
		probe_again(p, &probe_ns[i]);
	}
	probe_free(p);
	uint64_t bare = median(bare_ns), ours = median(probe_ns);
	print_message("again after %.2f ms, a bare program after %.2f ms\n", (double)ours / 1e6,
		      (double)bare / 1e6);
	assert_true(ours < bare / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arming_again_at_once_waits_for_no_grace_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
