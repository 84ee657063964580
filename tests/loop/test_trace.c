/* SPDX-License-Identifier: MIT */
/* What the ring holds after a run is what the tasks did, in that order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "task.h"
#include "reader.h"

/* A record that a test expects; ~0 stands for any value. */
struct expected {
	uint8_t kind;
	uint32_t task;
	uint8_t arg8;
	uint64_t arg64;
};

#define ANY UINT64_MAX

static void assert_sequence(const struct reader *r, size_t at, const struct expected *want,
			    size_t n)
{
	for (size_t i = 0; i < n; i++, at++) {
		while (at < r->count &&
		       (r->records[at].kind == LSC_REC_TEXT || r->records[at].kind == LSC_REC_SITE))
			at++;
		assert_true(at < r->count);
		const struct lsc_record *rec = &r->records[at];
		if (rec->kind != want[i].kind || rec->task != want[i].task)
			fail_msg("step %zu: kind %u task %u, not kind %u task %u", i, rec->kind,
				 rec->task, want[i].kind, want[i].task);
		assert_int_equal(rec->arg8, want[i].arg8);
		if (want[i].arg64 != ANY)
			assert_int_equal(rec->arg64, want[i].arg64);
	}
}

/* So that each turn of a task is a tick. */
static void one_round_a_tick(void)
{
	struct lsc_loop *loop = lsc_loop_current();

	loop->burst_ns = 0;
	loop->burst_end_ns = 0; /* of this tick */
}

/* ---- transitions ---- */

static uint64_t deadline_ns;
static int pipe_fd[2];
static const char utf8[] =
	"0123456789012345678901234567890123456789012345678901234567890123456789"
	"0123456789012345678901234567890123456789012345678901234567890123456789"
	"01234567890123456789012345678901234567890123456789012345678\xc3\xa4 and more";

static int child_body(void *arg)
{
	(void)arg;
	deadline_ns = lsc_now_ns() + 2 * LSC_NS_PER_MS;
	assert_int_equal(lsc_sleep_until(deadline_ns), 0);
	assert_int_equal(lsc_wait_fd(pipe_fd[0], POLLIN), POLLIN);
	lsc_trace_mark("half way");
	return -EIO;
}

static unsigned spawn_line;

static int main_of_transitions(void *arg)
{
	struct reader *r = arg;

	one_round_a_tick();
	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(write(pipe_fd[1], "x", 1), 1);
	spawn_line = __LINE__ + 1;
	struct lsc_future *child = lsc_spawn(child_body, NULL, "child");
	struct lsc_future *never = lsc_spawn(child_body, NULL, utf8);
	lsc_cancel(never);
	assert_int_equal(lsc_await(child), -EIO);
	assert_int_equal(lsc_await(never), -ECANCELED);
	lsc_unref(child);
	lsc_unref(never);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	reader_open(r);
	return 0;
}

static void the_ring_tells_what_the_tasks_did(void **state)
{
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run(main_of_transitions, &r), 0);
	const struct expected want[] = {
		{LSC_REC_TASK_NEW, 1, 0, ANY},
		{LSC_REC_TASK_READY, 1, 0, 0},
		{LSC_REC_TICK_END, 0, 0, 0},
		{LSC_REC_TICK_BEGIN, 0, 0, 0},
		{LSC_REC_TASK_RUN, 1, 0, 0},
		{LSC_REC_TASK_NEW, 2, 0, ANY},
		{LSC_REC_TASK_READY, 2, 0, 1},
		{LSC_REC_TASK_NEW, 3, 0, ANY},
		{LSC_REC_TASK_READY, 3, 0, 1},
		{LSC_REC_TASK_CANCEL, 3, 0, 1},
		{LSC_REC_TASK_SUSPEND, 1, LSC_WAIT_TASK, 2},
		{LSC_REC_TICK_END, 0, 0, 0},
		{LSC_REC_TICK_BEGIN, 0, 0, 0},
		{LSC_REC_TASK_RUN, 2, 0, 0},
		{LSC_REC_TASK_SUSPEND, 2, LSC_WAIT_TIMER, deadline_ns},
		{LSC_REC_TASK_DONE, 3, 2, ECANCELED},
		{LSC_REC_TICK_END, 0, 0, ANY},
		{LSC_REC_TICK_BEGIN, 0, 0, 0},
		{LSC_REC_TASK_READY, 2, LSC_WAIT_TIMER, 0},
		{LSC_REC_TASK_RUN, 2, 0, 0},
		{LSC_REC_TASK_SUSPEND, 2, LSC_WAIT_FD, ANY},
		{LSC_REC_TICK_END, 0, 0, ANY},
		{LSC_REC_TICK_BEGIN, 0, 0, 1},
		{LSC_REC_TASK_READY, 2, LSC_WAIT_FD, 0},
		{LSC_REC_TASK_RUN, 2, 0, 0},
		{LSC_REC_MARK, 2, 0, 0},
		{LSC_REC_TASK_DONE, 2, 1, EIO},
		{LSC_REC_TASK_READY, 1, LSC_WAIT_TASK, 2},
		{LSC_REC_TICK_END, 0, 0, 0},
		{LSC_REC_TICK_BEGIN, 0, 0, 0},
		{LSC_REC_TASK_RUN, 1, 0, 0},
	};
	assert_sequence(&r, 0, want, sizeof(want) / sizeof(want[0]));
	assert_int_equal(r.header.current_task, 1);
	assert_int_equal(r.header.tick, 5);
	reader_close(&r);
}

static void names_and_sites_are_announced(void **state)
{
	struct reader r;
	char text[LSC_TEXT_MAX + 1];

	(void)state;
	assert_int_equal(lsc_run(main_of_transitions, &r), 0);
	assert_int_equal(reader_task(&r, "main"), 1);
	assert_int_equal(reader_task(&r, "child"), 2);
	size_t at = reader_next(&r, 0, LSC_REC_TASK_NEW, 3);
	/* Cut before the two-byte character that would straddle the bound. */
	assert_int_equal(reader_text(&r, at, text), 199);
	assert_memory_equal(text, utf8, 199);
	at = reader_next(&r, 0, LSC_REC_TASK_NEW, 2);
	uint32_t site = (uint32_t)r.records[at].arg64;
	assert_int_equal(r.records[at].arg64 >> 32, 1); /* its parent */
	size_t site_at = reader_next(&r, 0, LSC_REC_SITE, site);
	assert_true(site_at < at);
	assert_int_equal(r.records[site_at].arg64, spawn_line);
	size_t length = reader_text(&r, site_at, text);
	assert_string_equal(text, "main_of_transitions");
	size_t file = strlen(text) + 1;
	assert_true(length > file);
	assert_string_equal(text + length - strlen("tests/loop/test_trace.c"),
			    "tests/loop/test_trace.c");
	at = reader_next(&r, 0, LSC_REC_MARK, 2);
	reader_text(&r, at, text);
	assert_string_equal(text, "half way");
	reader_close(&r);
}

static int main_of_yields(void *arg)
{
	struct reader *r = arg;

	one_round_a_tick();
	lsc_yield();
	reader_open(r);
	return 0;
}

static void a_yield_is_ready_at_once(void **state)
{
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run(main_of_yields, &r), 0);
	const struct expected want[] = {
		{LSC_REC_TASK_RUN, 1, 0, 0}, {LSC_REC_TASK_YIELD, 1, 0, 0},
		{LSC_REC_TICK_END, 0, 0, 0}, {LSC_REC_TICK_BEGIN, 0, 0, 0},
		{LSC_REC_TASK_RUN, 1, 0, 0},
	};
	assert_sequence(&r, reader_next(&r, 0, LSC_REC_TASK_RUN, 1), want,
			sizeof(want) / sizeof(want[0]));
	reader_close(&r);
}

static int main_of_time(void *arg)
{
	struct reader *r = arg;

	lsc_sleep(20 * LSC_NS_PER_MS);
	reader_open(r);
	return 0;
}

static void record_times_convert_to_the_monotonic_clock(void **state)
{
	struct reader r;

	(void)state;
	uint64_t begin_ns = lsc_now_ns();
	assert_int_equal(lsc_run(main_of_time, &r), 0);
	uint64_t end_ns = lsc_now_ns();
	const struct lsc_ring_header *h = &r.header;
	double rate = 1;
#if defined(__x86_64__)
	if (h->clock == LSC_CLOCK_TSC)
		rate = (double)(lsc_now_ns() - h->mono0_ns) /
		       (double)(__builtin_ia32_rdtsc() - h->tsc0);
#endif
	assert_in_range(h->mono0_ns, begin_ns, end_ns);
	for (size_t i = 0; i < r.count; i++) {
		double ns =
			(double)h->mono0_ns + (double)(int64_t)(r.records[i].time - h->tsc0) * rate;
		assert_true(ns > (double)begin_ns - 20000 && ns < (double)end_ns + 20000);
	}
	reader_close(&r);
}

static int main_of_marks(void *arg)
{
	static char full[LSC_TEXT_MAX + 2]; /* é across the bound */

	memset(full, 'x', LSC_TEXT_MAX - 1);
	memcpy(full + LSC_TEXT_MAX - 1, "\xc3\xa9", 2);
	lsc_trace_mark("");
	lsc_trace_mark(NULL);
	lsc_trace_mark(full);
	lsc_trace_counter("depth", 7);
	lsc_trace_counter("depth", INT64_MIN);
	lsc_trace_counter("", 1);
	lsc_trace_counter(NULL, 1);
	reader_open(arg);
	return 0;
}

static void marks_and_counters_are_recorded_as_they_were_said(void **state)
{
	char text[LSC_TEXT_MAX + 1];
	struct reader r;

	(void)state;
	lsc_trace_mark("without a loop");
	lsc_trace_counter("without a loop", 1);
	assert_int_equal(lsc_run(main_of_marks, &r), 0);
	size_t first = reader_next(&r, 0, LSC_REC_MARK, 1);
	size_t second = reader_next(&r, first + 1, LSC_REC_MARK, 1);
	assert_int_equal(second, first + 1); /* no text */
	size_t third = reader_next(&r, second + 1, LSC_REC_MARK, 1);
	assert_int_equal(third, second + 1);
	assert_int_equal(reader_text(&r, third, text), LSC_TEXT_MAX - 1);
	size_t at = reader_next(&r, third, LSC_REC_COUNTER, 1);
	reader_text(&r, at, text);
	assert_string_equal(text, "depth");
	assert_int_equal(r.records[at].arg64, 7);
	at = reader_next(&r, at + 1, LSC_REC_COUNTER, 1);
	assert_true((int64_t)r.records[at].arg64 == INT64_MIN);
	assert_int_equal(reader_next(&r, at + 1, LSC_REC_COUNTER, 0), r.count);
	reader_close(&r);
}

/* ---- overrun ---- */

static int main_of_overrun(void *arg)
{
	struct reader *r = arg;

	one_round_a_tick();
	for (int i = 0; i < 1000; i++)
		lsc_yield();
	lsc_unref(lsc_spawn(main_of_yields, NULL, NULL));
	reader_open(r); /* asserts the seq of each slot */
	struct lsc_loop *loop = lsc_loop_current();
	lsc_cancel(&container_of(loop->live.prev, struct task, live)->future);
	return 0;
}

static void an_overrun_ring_holds_the_newest_records(void **state)
{
	struct lsc_loop_options o = {.size = sizeof(o), .record_bits = LSC_RING_MIN_BITS};
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run_with(&o, main_of_overrun, &r), 0);
	assert_int_equal(r.count, 255);
	assert_int_equal(r.header.head - r.first, 255);
	/* main's site was overwritten; that of the new task is there, behind it only READY. */
	size_t at = reader_next(&r, 0, LSC_REC_TASK_NEW, 2);
	assert_int_equal(at, r.count - 2);
	assert_true(reader_next(&r, 0, LSC_REC_SITE, (uint32_t)r.records[at].arg64) < at);
	reader_close(&r);
}

static int return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int main_of_many_spawns(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		struct lsc_future *f = lsc_spawn(return_at_once, NULL, NULL);

		lsc_await(f);
		lsc_unref(f);
	}
	reader_open(arg);
	return 0;
}

static void a_site_is_announced_again_before_it_is_overwritten(void **state)
{
	struct lsc_loop_options o = {.size = sizeof(o), .record_bits = LSC_RING_MIN_BITS};
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run_with(&o, main_of_many_spawns, &r), 0);
	size_t last = 0;
	for (size_t i = 0; (i = reader_next(&r, i, LSC_REC_TASK_NEW, 0)) < r.count; i++)
		last = i;
	assert_true(last > 0);
	assert_true(reader_next(&r, 0, LSC_REC_SITE, (uint32_t)r.records[last].arg64) < last);
	reader_close(&r);
}

/* ---- snapshot ---- */

static int sleep_long(void *arg)
{
	(void)arg;
	return lsc_sleep(3600 * LSC_NS_PER_S);
}

static void ask_for_snapshot(uint32_t value)
{
	int fd = reader_find();

	assert_int_equal(pwrite(fd, &value, 4, offsetof(struct lsc_ring_header, listener)), 4);
}

static int main_of_snapshot(void *arg)
{
	struct reader *r = arg;
	struct lsc_future *sleeper = lsc_spawn(sleep_long, NULL, "sleeper");

	one_round_a_tick();
	lsc_yield();
	ask_for_snapshot(7);
	lsc_yield();
	lsc_yield();
	reader_open(r);
	lsc_cancel(sleeper);
	lsc_unref(sleeper);
	return 0;
}

static void a_changed_listener_gets_one_snapshot_of_the_live_tasks(void **state)
{
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run(main_of_snapshot, &r), 0);
	size_t at = reader_next(&r, 0, LSC_REC_SNAPSHOT_BEGIN, 0);
	const struct expected want[] = {
		{LSC_REC_TICK_BEGIN, 0, 0, 0},	 {LSC_REC_SNAPSHOT_BEGIN, 0, 0, 2},
		{LSC_REC_TASK_NEW, 1, 0, ANY},	 {LSC_REC_TASK_STATE, 1, LSC_TASK_READY, ANY},
		{LSC_REC_TASK_NEW, 2, 0, ANY},	 {LSC_REC_TASK_STATE, 2, LSC_TASK_SUSPENDED, ANY},
		{LSC_REC_SNAPSHOT_END, 0, 0, 0}, {LSC_REC_TASK_RUN, 1, 0, 0},
	};
	assert_sequence(&r, at - 1, want, sizeof(want) / sizeof(want[0]));
	assert_true(reader_next(&r, at + 1, LSC_REC_SNAPSHOT_BEGIN, 0) == r.count);
	/* Sites are announced anew, ahead of the tasks; the state is as old as the suspension. */
	size_t task = reader_next(&r, at, LSC_REC_TASK_NEW, 2);
	size_t since = reader_next(&r, 0, LSC_REC_TASK_SUSPEND, 2);
	size_t now = reader_next(&r, at, LSC_REC_TASK_STATE, 2);
	assert_int_equal(r.records[task].arg16, 1);
	assert_true(reader_next(&r, at, LSC_REC_SITE, (uint32_t)r.records[task].arg64) < task);
	assert_int_equal(r.records[now].arg64, r.records[since].time);
	assert_int_equal(r.records[now].arg16, LSC_WAIT_TIMER);
	reader_close(&r);
}

#define CROWD 300

/* Reads on while a snapshot that is larger than the ring goes by; asserts that no task is missed.
 */
static int main_of_crowd(void *arg)
{
	static struct lsc_future *crowd[CROWD];
	static uint8_t seen[CROWD + 3];
	bool ended = false;

	one_round_a_tick();
	(void)arg;
	for (int i = 0; i < CROWD; i++)
		crowd[i] = lsc_spawn(sleep_long, NULL, "one of the crowd");
	lsc_yield();
	ask_for_snapshot(1);
	for (int turn = 0; turn < CROWD && !ended; turn++) {
		struct reader r;

		lsc_yield();
		if (turn == 1) /* a task that ends while the snapshot comes to it */
			lsc_cancel(crowd[CROWD / 2]);
		reader_open(&r);
		for (size_t i = 0; i < r.count; i++) {
			ended |= r.records[i].kind == LSC_REC_SNAPSHOT_END;
			if (r.records[i].kind == LSC_REC_TASK_STATE)
				seen[r.records[i].task] = 1;
		}
		reader_close(&r);
	}
	assert_true(ended);
	for (uint32_t id = 1; id <= CROWD + 1; id++)
		assert_true(seen[id] || id == CROWD / 2 + 2);
	for (int i = 0; i < CROWD; i++) {
		lsc_cancel(crowd[i]);
		lsc_unref(crowd[i]);
	}
	return 0;
}

static void a_snapshot_larger_than_the_ring_comes_in_pieces(void **state)
{
	struct lsc_loop_options o = {.size = sizeof(o), .record_bits = LSC_RING_MIN_BITS};

	(void)state;
	assert_int_equal(lsc_run_with(&o, main_of_crowd, NULL), 0);
}

static int main_past_the_last_id(void *arg)
{
	struct lsc_loop *loop = lsc_loop_current();
	struct reader *r = arg;

	loop->trace.last_id = UINT32_MAX - 1;
	struct lsc_future *last = lsc_spawn(return_at_once, NULL, "last");
	struct lsc_future *beyond = lsc_spawn(return_at_once, NULL, "beyond");
	assert_int_equal(lsc_await(last), 0);
	assert_int_equal(lsc_await(beyond), 0);
	lsc_unref(last);
	lsc_unref(beyond);
	reader_open(r);
	return 0;
}

static void ids_are_never_used_twice(void **state)
{
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run(main_past_the_last_id, &r), 0);
	assert_int_equal(reader_task(&r, "last"), UINT32_MAX);
	for (size_t i = 0; (i = reader_next(&r, i, LSC_REC_TASK_NEW, 0)) < r.count; i++)
		assert_true(r.records[i].task == 1 || r.records[i].task == UINT32_MAX);
	for (size_t i = 0; (i = reader_next(&r, i, LSC_REC_TASK_RUN, 0)) < r.count; i++)
		assert_true(r.records[i].task == 1 || r.records[i].task == UINT32_MAX);
	reader_close(&r);
}

static int main_that_keeps_the_ring(void *arg)
{
	int *kept = arg;

	*kept = dup(reader_find());
	assert_true(*kept >= 0);
	return 0;
}

static void a_loop_that_ends_ends_its_tick(void **state)
{
	struct reader r;
	int kept = -1;
	size_t at = 0, last = 0;

	(void)state;
	assert_int_equal(lsc_run(main_that_keeps_the_ring, &kept), 0);
	reader_open(&r);
	while ((at = reader_next(&r, at, LSC_REC_TICK_BEGIN, 0)) < r.count)
		last = at++;
	assert_int_equal(r.records[last].kind, LSC_REC_TICK_BEGIN);
	assert_true(reader_next(&r, last, LSC_REC_TASK_DONE, 1) < r.count);
	assert_int_equal(reader_next(&r, last, LSC_REC_TICK_END, 0), r.count - 1);
	reader_close(&r);
	close(kept);
}

/* ---- layout ---- */

#define AT(field, offset) assert_int_equal(offsetof(struct lsc_ring_header, field), offset)

static void the_layout_is_the_documented_one(void **state)
{
	(void)state;
	AT(magic, 0);
	AT(version, 8);
	AT(header_size, 12);
	AT(record_size, 16);
	AT(record_bits, 20);
	AT(pid, 24);
	AT(tid, 28);
	AT(clock, 32);
	AT(current_offset, 36);
	AT(current_addr, 40);
	AT(tsc0, 48);
	AT(mono0_ns, 56);
	AT(runtime, 64);
	AT(runtime_version, 96);
	AT(head, 2048);
	AT(current_task, 2056);
	AT(tick, 2060);
	AT(listener, 3072);
	assert_int_equal(offsetof(struct lsc_record, kind), 16);
	assert_int_equal(offsetof(struct lsc_record, task), 20);
	assert_int_equal(offsetof(struct lsc_record, arg64), 24);
	assert_int_equal(offsetof(struct lsc_record_text, text), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ring_tells_what_the_tasks_did),
		cmocka_unit_test(names_and_sites_are_announced),
		cmocka_unit_test(a_yield_is_ready_at_once),
		cmocka_unit_test(record_times_convert_to_the_monotonic_clock),
		cmocka_unit_test(marks_and_counters_are_recorded_as_they_were_said),
		cmocka_unit_test(an_overrun_ring_holds_the_newest_records),
		cmocka_unit_test(a_site_is_announced_again_before_it_is_overwritten),
		cmocka_unit_test(a_changed_listener_gets_one_snapshot_of_the_live_tasks),
		cmocka_unit_test(a_snapshot_larger_than_the_ring_comes_in_pieces),
		cmocka_unit_test(ids_are_never_used_twice),
		cmocka_unit_test(a_loop_that_ends_ends_its_tick),
		cmocka_unit_test(the_layout_is_the_documented_one),
	};
	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
