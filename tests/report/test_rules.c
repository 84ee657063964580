/* SPDX-License-Identifier: MIT */
/* Each rule: a capture in which it speaks, and one in which it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "analysis/rules.h"
#include "chunk.h"
#include "fixture.h"

static void each_blocking_cause_has_its_rule_and_no_other_speaks(void **state)
{
	(void)state;
	static const struct {
		enum lsc_cause cause;
		const char *syscall, *rule;
	} cases[] = {
		{LSC_CAUSE_SLEEP, "clock_nanosleep", "blocking-sleep"},
		{LSC_CAUSE_FILE_IO, "fsync", "blocking-file-io"},
		{LSC_CAUSE_NETWORK_IO, "recvfrom", "blocking-network-io"},
		{LSC_CAUSE_LOCK, "futex", "blocking-lock"},
		{LSC_CAUSE_GIL, "futex", "gil-wait"},
		{LSC_CAUSE_CHILD_WAIT, "wait4", "blocking-child-wait"},
		{LSC_CAUSE_PAGE_FAULT, NULL, "page-fault"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_native(&f, 1, "handler", 7);
		fixture_stall(&f, 1, 1000, 60, cases[i].cause, cases[i].syscall, 1);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_string_equal(a.findings[0].rule->id, cases[i].rule);
		assert_int_equal(a.findings[0].severity, SEVERITY_WARNING);
		if (cases[i].syscall)
			assert_string_equal(a.findings[0].syscall, cases[i].syscall);
		else
			assert_null(a.findings[0].syscall);
		assert_string_equal(a.findings[0].site.function, "handler");
		assert_int_equal(a.findings[0].site.line, 7);
		assert_int_equal(a.findings[0].worst_ns, MS(60));
		analysis_done(&a);
	}
}

static void severity_follows_the_worst_stall(void **state)
{
	(void)state;
	static const struct {
		unsigned ms;
		enum severity severity;
	} cases[] = {{49, SEVERITY_INFO},
		     {50, SEVERITY_WARNING},
		     {99, SEVERITY_WARNING},
		     {100, SEVERITY_ERROR}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_native(&f, 1, "handler", 7);
		fixture_stall(&f, 1, 1000, 12, LSC_CAUSE_SLEEP, "nanosleep", 1);
		fixture_stall(&f, 2, 2000, cases[i].ms, LSC_CAUSE_SLEEP, "nanosleep", 1);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_int_equal(a.findings[0].severity, cases[i].severity);
		assert_int_equal(a.findings[0].count, 2);
		assert_int_equal(a.findings[0].total_ns, MS(12 + cases[i].ms));
		assert_int_equal(a.findings[0].stalls.n, 2);
		analysis_done(&a);
	}
}

static void a_block_outside_any_stall_is_at_most_info(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct store_block long_one = {.id = 1,
				       .loop = 1,
				       .start_ns = FIXTURE_START,
				       .duration_ns = MS(400),
				       .count = 1,
				       .syscall = "fsync",
				       .cause = LSC_CAUSE_FILE_IO,
				       .stack = 1};
	struct store_block short_one = {.id = 2,
					.loop = 1,
					.start_ns = FIXTURE_START,
					.duration_ns = 999999,
					.count = 1,
					.syscall = "futex",
					.cause = LSC_CAUSE_LOCK,
					.stack = 1};

	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "save", 7);
	assert_int_equal(store_put_block(f.s, &long_one), 0);
	assert_int_equal(store_put_block(f.s, &short_one), 0);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 1);
	assert_string_equal(a.findings[0].rule->id, "blocking-file-io");
	assert_int_equal(a.findings[0].severity, SEVERITY_INFO);
	analysis_done(&a);
}

static void a_stall_without_a_half_cause_is_a_loop_stall(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct store_stall s = {.id = 1,
				.loop = 1,
				.start_ns = FIXTURE_START + MS(5),
				.duration_ns = MS(120),
				.duration_min_ns = MS(120),
				.duration_max_ns = MS(120)};

	s.split[LSC_CAUSE_SLEEP] = MS(40);
	s.split[LSC_CAUSE_LOCK] = MS(40);
	s.split[LSC_CAUSE_FILE_IO] = MS(40);
	fixture_begin(&f, NULL);
	assert_int_equal(store_put_stall(f.s, &s), 0);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 1);
	assert_string_equal(a.findings[0].rule->id, "loop-stall");
	assert_string_equal(a.findings[0].message,
			    "loop redis-server held the loop for 120.0 ms (sleep)");
	assert_int_equal(a.findings[0].severity, SEVERITY_ERROR);
	analysis_done(&a);
}

static void a_stall_without_a_rule_of_its_own_tells_the_call(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "readSettings", 2);
	fixture_stall(&f, 1, 1000, 200, LSC_CAUSE_PIPE_IO, "openat", 1);
	fixture_analyse(&f, &a);
	const struct finding *rest = fixture_finding(&a, "loop-stall");
	assert_non_null(rest);
	assert_string_equal(rest->message,
			    "readSettings held the loop for 200.0 ms in openat (pipe-io)");
	assert_string_equal(rest->syscall, "openat");
	assert_non_null(strstr(rest->fix, "Look at the split"));
	analysis_done(&a);
}

static void two_calls_of_one_function_are_two_loop_stalls(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "readSettings", 2);
	fixture_native(&f, 2, "readSettings", 5);
	fixture_stall(&f, 1, 1000, 200, LSC_CAUSE_PIPE_IO, "openat", 1);
	fixture_stall(&f, 2, 2000, 120, LSC_CAUSE_DEVICE, "ioctl", 2);
	fixture_stall(&f, 3, 3000, 150, LSC_CAUSE_PIPE_IO, "openat", 1);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 2);
	assert_string_equal(a.findings[0].message,
			    "readSettings held the loop for up to 200.0 ms in openat (pipe-io), 2 "
			    "times, 350.0 ms in all");
	assert_string_equal(a.findings[1].message,
			    "readSettings held the loop for 120.0 ms in ioctl (device)");
	assert_string_not_equal(a.findings[0].fingerprint, a.findings[1].fingerprint);
	analysis_done(&a);
}

static void cpu_is_a_hog_from_50_ms_and_names_the_hottest_function(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "cold", 1);
	fixture_native(&f, 2, "hot", 2);
	fixture_native(&f, 3, "hot", 3);
	fixture_stall(&f, 1, 1000, 200, LSC_CAUSE_CPU_USER, NULL, 1);
	fixture_stall(&f, 2, 2000, 30, LSC_CAUSE_CPU_KERNEL, NULL, 1);
	for (int64_t k = 1; k <= 3; k++)
		assert_int_equal(
			store_put_sample(f.s,
					 &(struct store_sample){.loop = 1,
								.stall = 1,
								.stack = k,
								.ts_ns = FIXTURE_START,
								.ns = k == 1 ? MS(80) : MS(60)}),
			0);
	fixture_analyse(&f, &a);
	const struct finding *hog = fixture_finding(&a, "cpu-hog"),
			     *rest = fixture_finding(&a, "loop-stall");
	assert_non_null(hog);
	assert_non_null(rest);
	assert_int_equal(a.nfindings, 2);
	assert_int_equal(hog->severity, SEVERITY_ERROR);
	assert_string_equal(hog->site.function, "hot");
	assert_int_equal(rest->severity, SEVERITY_INFO);
	assert_string_equal(rest->fix, hog->fix); /* it computes, too */
	assert_int_equal(rest->stalls.ids[0], 2);
	analysis_done(&a);
}

static void the_host_is_never_above_warning_and_blames_no_function(void **state)
{
	(void)state;
	static const enum lsc_cause causes[] = {LSC_CAUSE_RUNQUEUE, LSC_CAUSE_THROTTLED,
						LSC_CAUSE_STEAL, LSC_CAUSE_STOPPED};
	const struct store_block inside = {.id = 1,
					   .loop = 1,
					   .stall = 1,
					   .start_ns = FIXTURE_START + MS(1001),
					   .duration_ns = MS(3),
					   .count = 1,
					   .syscall = "write",
					   .cause = LSC_CAUSE_FILE_IO,
					   .stack = 1};

	for (size_t i = 0; i < 4; i++) {
		struct fixture f;
		struct analysis a;

		fixture_begin(&f, NULL);
		fixture_native(&f, 1, "handler", 1);
		fixture_stall(&f, 1, 1000, 5000, causes[i], NULL, 1);
		assert_int_equal(store_put_block(f.s, &inside), 0);
		fixture_wait(&f, 1, STORE_WAIT_TASK, 1001, 4000, 0);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_string_equal(a.findings[0].rule->id,
				    causes[i] == LSC_CAUSE_STOPPED ? "stopped" : "host-contention");
		assert_int_equal(a.findings[0].severity, SEVERITY_WARNING);
		assert_int_equal(a.stalls[0].severity, SEVERITY_WARNING);
		assert_null(a.findings[0].site.function);
		assert_int_equal(a.nblame, 0);
		analysis_done(&a);
	}
}

static void a_small_share_of_the_host_is_not_a_finding(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct store_stall s = {.id = 1,
				.loop = 1,
				.start_ns = FIXTURE_START + MS(5),
				.duration_ns = MS(60),
				.duration_min_ns = MS(60),
				.duration_max_ns = MS(60)};

	s.split[LSC_CAUSE_SLEEP] = MS(52);
	s.split[LSC_CAUSE_RUNQUEUE] = MS(8);
	fixture_begin(&f, NULL);
	assert_int_equal(store_put_stall(f.s, &s), 0);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 1);
	assert_string_equal(a.findings[0].rule->id, "blocking-sleep");
	analysis_done(&a);
}

static void starvation_names_the_culprit_beside_the_rule_that_explains_the_stall(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct store_stall s = {.id = 1,
				.loop = 1,
				.start_ns = FIXTURE_START + MS(1000),
				.duration_ns = MS(40),
				.duration_min_ns = MS(40),
				.duration_max_ns = MS(40),
				.task = 1,
				.stack = 1};

	s.split[LSC_CAUSE_SLEEP] = MS(40);
	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "handler", 7);
	fixture_task(&f, 1, "sleeper");
	fixture_task(&f, 2, "waiter");
	assert_int_equal(store_put_stall(f.s, &s), 0);
	fixture_wait(&f, 1, STORE_WAIT_TASK, 1001, 39, 2);
	fixture_wait(&f, 2, STORE_WAIT_TASK, 1001, 5, 2);  /* not more than 5 ms */
	fixture_wait(&f, 3, STORE_WAIT_TASK, 1000, 39, 1); /* the culprit is not its own victim */
	fixture_analyse(&f, &a);
	const struct finding *sleep = fixture_finding(&a, "blocking-sleep");
	const struct finding *starved = NULL;
	for (size_t i = 0; i < a.nfindings; i++)
		if (!strcmp(a.findings[i].rule->id, "starvation") && a.findings[i].tasks.n)
			starved = &a.findings[i];
	assert_non_null(sleep);
	assert_non_null(starved);
	assert_int_equal(sleep->severity, SEVERITY_INFO);
	assert_int_equal(starved->severity, SEVERITY_WARNING);
	assert_int_equal(starved->count, 1);
	assert_int_equal(starved->worst_ns, MS(39));
	assert_int_equal(starved->tasks.ids[0], 1);
	assert_false(starved->inferred);
	assert_int_equal(a.stalls[0].nvictims, 2);
	assert_int_equal(a.stalls[0].victim_sum_ns, MS(44));
	assert_int_equal(a.stalls[0].victim_max_ns, MS(39));
	assert_int_equal(a.nblame, 1);
	assert_int_equal(a.blame[0].culprit, 1);
	assert_int_equal(a.blame[0].victim, 2);
	assert_int_equal(a.blame[0].count, 2);
	analysis_done(&a);
}

static void starvation_without_a_stall_finds_its_culprit_among_the_steps(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;
	struct chunk_writer w = {0};
	const struct chunk_event events[] = {
		{FIXTURE_START + MS(100), CHUNK_TASK_RUN, 1, 0, 0},
		{FIXTURE_START + MS(108), CHUNK_TASK_SUSPEND, 1, 0, 0},
		{FIXTURE_START + MS(108), CHUNK_TASK_RUN, 2, 0, 0},
		{FIXTURE_START + MS(110), CHUNK_TASK_DONE, 2, 0, 0},
	};

	fixture_begin(&f, NULL);
	fixture_task(&f, 1, "busy");
	fixture_task(&f, 2, "waiter");
	fixture_wait(&f, 1, STORE_WAIT_TASK, 101, 7, 2);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(chunk_writer_append(&w, &events[i]), 0);
	assert_int_equal(store_put_chunk(f.s, &(struct store_chunk){.id = 1,
								    .loop = 1,
								    .first_ns = w.first_ns,
								    .last_ns = w.last_ns,
								    .count = w.count,
								    .data = w.data,
								    .size = w.size}),
			 0);
	chunk_writer_done(&w);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 1);
	assert_string_equal(a.findings[0].rule->id, "starvation");
	assert_string_equal(a.findings[0].subject, "task busy");
	assert_int_equal(a.findings[0].tasks.n, 1);
	assert_int_equal(a.findings[0].tasks.ids[0], 1);
	analysis_done(&a);
}

static void blind_says_each_reason_and_a_full_capture_is_not_blind(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value, *part;
		enum severity severity;
	} cases[] = {{STORE_META_COVERAGE, "0.949000", "coverage is 94.9 %", SEVERITY_WARNING},
		     {STORE_META_COVERAGE, "nonsense", "coverage is not known", SEVERITY_WARNING},
		     {STORE_META_BPF, "0", "no kernel events", SEVERITY_INFO}};
	struct fixture f;
	struct analysis a;

	for (size_t i = 0; i < 3; i++) {
		fixture_begin(&f, NULL);
		assert_int_equal(store_meta_put(f.s, cases[i].key, cases[i].value), 0);
		fixture_analyse(&f, &a);
		assert_int_equal(a.nfindings, 1);
		assert_string_equal(a.findings[0].rule->id, "blind");
		assert_int_equal(a.findings[0].severity, cases[i].severity);
		assert_non_null(strstr(a.findings[0].message, cases[i].part));
		analysis_done(&a);
	}
	fixture_begin(&f, NULL);
	assert_int_equal(store_meta_put(f.s, STORE_META_COVERAGE, "0.950000"), 0);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 0);
	analysis_done(&a);
}

static void a_program_that_ended_before_it_had_a_loop_is_told_as_such(void **state)
{
	(void)state;
	static const struct store_create_options over = {
		.overwrite = true, .owner = (uid_t)-1, .group = (gid_t)-1};
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	store_close(f.s);
	assert_int_equal(store_create(f.path, &over, &f.s, NULL), 0);
	assert_int_equal(store_meta_put_int(f.s, STORE_META_START_NS, MS(1000)), 0);
	assert_int_equal(store_meta_put_int(f.s, STORE_META_END_NS, MS(1003)), 0);
	assert_int_equal(store_meta_put(f.s, STORE_META_END_REASON, "target-exit"), 0);
	assert_int_equal(store_meta_put(f.s, STORE_META_COVERAGE, "0.000000"), 0);
	assert_int_equal(store_finish(f.s, NULL), 0);
	f.s = NULL;
	fixture_open(&f, &a);
	assert_int_equal(a.nfindings, 1);
	assert_string_equal(a.findings[0].message,
			    "no event loop was found until the program ended, after 3.0 ms; "
			    "coverage is 0.0 %, below 95 %");
	analysis_done(&a);
}

static void a_healthy_capture_has_no_finding(void **state)
{
	(void)state;
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_healthy(&f);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 0);
	analysis_done(&a);
}

/* One stall of 60 ms in `frames`; the fingerprint of its finding. */
static void fingerprint_of(const char *const *frames, unsigned ms, const char *syscall,
			   char ret[17])
{
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_stack(&f, 1, frames);
	fixture_stall(&f, 1, 1000 + ms, ms, LSC_CAUSE_FILE_IO, syscall, 1);
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 1);
	memcpy(ret, a.findings[0].fingerprint, 17);
	analysis_done(&a);
}

static void a_fingerprint_forgets_lines_versions_and_durations_but_not_the_place(void **state)
{
	(void)state;
	static const char *const base[] = {"native|save|/src/a/app.c|10|/usr/bin/app", NULL};
	static const char *const moved[] = {"native|save.constprop.0|/build/b/app.c|77|/opt/app",
					    NULL};
	static const char *const other[] = {"native|load|/src/a/app.c|10|/usr/bin/app", NULL};
	static const char *const library1[] = {"native|put|||/usr/lib/libfoo.so.1.2", NULL};
	static const char *const library2[] = {"native|put|||/opt/lib/libfoo.so.2", NULL};
	char a[17], b[17];

	fingerprint_of(base, 60, "fsync", a);
	fingerprint_of(moved, 250, "fsync", b);
	assert_string_equal(a, b);
	/* FNV-1a of "blocking-file-io\0save\0app.c\0fsync\0": baselines hold it, it must not change
	 */
	assert_string_equal(a, "28fb6892fcb27c92");
	fingerprint_of(other, 60, "fsync", b);
	assert_string_not_equal(a, b);
	fingerprint_of(base, 60, "write", b);
	assert_string_not_equal(a, b);
	fingerprint_of(library1, 60, "fsync", a);
	fingerprint_of(library2, 60, "fsync", b);
	assert_string_equal(a, b);
}

static void every_rule_has_its_section_in_the_docs(void **state)
{
	(void)state;
	static char text[65536];
	FILE *in = fopen(RULES_DOC, "r");

	assert_non_null(in);
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	for (size_t i = 0; i < rule_count; i++) {
		char heading[64];

		snprintf(heading, sizeof(heading), "\n## `%s`\n", rule_table[i].id);
		assert_non_null(strstr(text, heading));
	}
}

/* "lsc_sleep()" in a fix must be "lsc_sleep(" in one of the loop's public headers. */
static void fixes_name_only_functions_that_the_loop_has(void **state)
{
	(void)state;
	static char header[1 << 18];
	glob_t files;
	size_t size = 0;
	int names = 0;

	assert_int_equal(glob(LOOP_HEADERS "*.h", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *in = fopen(files.gl_pathv[i], "r");

		assert_non_null(in);
		size += fread(header + size, 1, sizeof(header) - 1 - size, in);
		fclose(in);
	}
	globfree(&files);
	assert_true(size < sizeof(header) - 1);
	for (size_t i = 0; i < rule_count; i++) {
		const char *at = rule_table[i].fix[FAMILY_LOOPSCOPE];

		for (; at && (at = strstr(at, "lsc_")); at++, names++) {
			char name[64] = "";

			assert_int_equal(sscanf(at, "%60[a-z_]", name), 1);
			strcat(name, "(");
			assert_non_null(strstr(header, name));
		}
	}
	assert_true(names >= 6);
}

static void every_rule_has_an_id_of_its_own_a_summary_and_a_fix(void **state)
{
	(void)state;
	for (size_t i = 0; i < rule_count; i++) {
		assert_non_null(rule_table[i].summary);
		assert_non_null(rule_table[i].fix[FAMILY_C]);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(rule_table[i].id, rule_table[k].id);
	}
}

static void what_was_waited_at_each_site_of_a_stall_is_counted_once(void **state)
{
	(void)state;
	/* at two sites, and once where it is not known */
	static const struct {
		unsigned ms;
		int64_t stack;
	} waits[] = {{60, 1}, {50, 2}, {40, 0}};
	struct fixture f;
	struct analysis a;

	fixture_begin(&f, NULL);
	fixture_native(&f, 1, "settle", 6);
	fixture_native(&f, 2, "render", 60);
	fixture_stall(&f, 1, 1000, 150, LSC_CAUSE_LOCK, NULL, 1);
	for (unsigned i = 0, at = 1000; i < 3; at += waits[i++].ms)
		store_put_block(f.s, &(struct store_block){.id = i + 1,
							   .loop = 1,
							   .stall = 1,
							   .start_ns = FIXTURE_START + MS(at),
							   .duration_ns = MS(waits[i].ms),
							   .count = 1,
							   .syscall = "futex",
							   .cause = LSC_CAUSE_LOCK,
							   .stack = waits[i].stack});
	fixture_analyse(&f, &a);
	assert_int_equal(a.nfindings, 2);
	for (size_t i = 0; i < a.nfindings; i++) {
		bool settle = !strcmp(a.findings[i].site.function, "settle");

		assert_string_equal(a.findings[i].rule->id, "blocking-lock");
		assert_int_equal(a.findings[i].count, 1);
		assert_int_equal(a.findings[i].total_ns, MS(settle ? 100 : 50));
		assert_int_equal(a.findings[i].severity, settle ? SEVERITY_ERROR : SEVERITY_INFO);
	}
	analysis_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_waited_at_each_site_of_a_stall_is_counted_once),
		cmocka_unit_test(each_blocking_cause_has_its_rule_and_no_other_speaks),
		cmocka_unit_test(severity_follows_the_worst_stall),
		cmocka_unit_test(a_block_outside_any_stall_is_at_most_info),
		cmocka_unit_test(a_stall_without_a_half_cause_is_a_loop_stall),
		cmocka_unit_test(a_stall_without_a_rule_of_its_own_tells_the_call),
		cmocka_unit_test(two_calls_of_one_function_are_two_loop_stalls),
		cmocka_unit_test(cpu_is_a_hog_from_50_ms_and_names_the_hottest_function),
		cmocka_unit_test(the_host_is_never_above_warning_and_blames_no_function),
		cmocka_unit_test(a_small_share_of_the_host_is_not_a_finding),
		cmocka_unit_test(
			starvation_names_the_culprit_beside_the_rule_that_explains_the_stall),
		cmocka_unit_test(starvation_without_a_stall_finds_its_culprit_among_the_steps),
		cmocka_unit_test(a_program_that_ended_before_it_had_a_loop_is_told_as_such),
		cmocka_unit_test(blind_says_each_reason_and_a_full_capture_is_not_blind),
		cmocka_unit_test(a_healthy_capture_has_no_finding),
		cmocka_unit_test(
			a_fingerprint_forgets_lines_versions_and_durations_but_not_the_place),
		cmocka_unit_test(every_rule_has_its_section_in_the_docs),
		cmocka_unit_test(fixes_name_only_functions_that_the_loop_has),
		cmocka_unit_test(every_rule_has_an_id_of_its_own_a_summary_and_a_fix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
