/* SPDX-License-Identifier: MIT */
/* tracer/stall and tracer/feed: a tick that the kernel's account told as a stall is not told again
 * by a ring that is found later; what a stall is told with. Times in ms from here on. */
#include "ring/made.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "evidence.h"
#include "feed.h"

#define MS    1000000ull
#define STALL (10 * MS)

static struct collector c;
static struct target target;
static struct loop l;
static uint64_t zero_ns;

/* There are no probes here. */
bool __wrap_probe_is_exact(const struct probe *p);
bool __wrap_probe_is_exact(const struct probe *p)
{
	return p != NULL;
}

static int clean(void **state)
{
	(void)state;
	zero_ns = lsc_now_ns() - 60 * LSC_NS_PER_S;
	c = (struct collector){.o.stall_ns = STALL, .start_ns = zero_ns};
	target.gone = true;
	l = (struct loop){.target = &target};
	return 0;
}

static int forget(void **state)
{
	(void)state;
	l.feed = feed_free(l.feed);
	while (l.stalls) {
		struct stall *s = l.stalls;
		l.stalls = s->next;
		free(s);
	}
	return 0;
}

static void kernel_tells(uint64_t begin, uint64_t end)
{
	const struct event_stall e = {.begin_ns = zero_ns + begin * MS,
				      .end_ns = zero_ns + end * MS,
				      .low_ns = (end - begin) * MS,
				      .cpu_ns = (end - begin) * MS,
				      .confidence = 3};

	stall_from_kernel(&c, &l, &e, false);
}

/* It begins before all else here. */
static struct made begin_ring(void)
{
	struct made m = made_ring(8);

	m.header.mono0_ns = zero_ns;
	made_write_header(&m);
	return m;
}

static void find_ring(const struct made *m)
{
	struct lsc_err err = {0};
	struct ring *r = NULL;

	if (ring_open_fd(made_dup(m), RING_FROM_OLDEST, &r, &err))
		fail_msg("%s", err.text);
	l.feed = feed_new(&c, &l, r);
	assert_non_null(l.feed);
}

static void put_tick(struct made *m, uint64_t begin, uint64_t end)
{
	made_put(m, (struct lsc_record){.kind = LSC_REC_TICK_BEGIN, .time = zero_ns + begin * MS});
	made_put(m, (struct lsc_record){.kind = LSC_REC_TICK_END, .time = zero_ns + end * MS});
}

/* Of the stalls the one that begins then. */
static const struct stall *stall_at(uint64_t begin)
{
	for (const struct stall *s = l.stalls; s; s = s->next)
		if (s->row.start_ns == zero_ns + begin * MS)
			return s;
	return NULL;
}

static size_t stalls(void)
{
	size_t n = 0;

	for (const struct stall *s = l.stalls; s; s = s->next)
		n++;
	return n;
}

static bool was_told(uint64_t begin, uint64_t end)
{
	return stall_was_told(&l, zero_ns + begin * MS, zero_ns + end * MS);
}

static void a_ring_that_is_found_later_tells_no_stall_again(void **state)
{
	struct made m = begin_ring();

	(void)state;
	kernel_tells(100, 150);
	kernel_tells(200, 260);
	assert_int_equal(stalls(), 2);
	put_tick(&m, 101, 149);
	put_tick(&m, 150, 155); /* too short for a stall */
	put_tick(&m, 160, 190);
	put_tick(&m, 199, 261);
	put_tick(&m, 300, 350);
	find_ring(&m);
	feed_read(&c, &l);
	close(m.fd);
	assert_int_equal(stalls(), 4);
	assert_non_null(stall_at(100));
	assert_non_null(stall_at(200));
	assert_int_equal(stall_at(160)->row.mode, STORE_MODE_RING);
	assert_int_equal(stall_at(300)->row.mode, STORE_MODE_RING);
}

static void what_touches_a_stall_was_not_told_with_it(void **state)
{
	(void)state;
	assert_false(was_told(0, 1000));
	kernel_tells(100, 150);
	assert_true(was_told(100, 150));
	assert_true(was_told(149, 200));
	assert_true(was_told(50, 101));
	assert_true(was_told(50, 200));
	assert_false(was_told(150, 200));
	assert_false(was_told(50, 100));
}

static void the_last_stalls_are_remembered(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 3 * TOLD_STALLS; i++)
		kernel_tells(100 * i, 100 * i + 50);
	for (uint64_t i = 2 * TOLD_STALLS; i < 3 * TOLD_STALLS; i++)
		assert_true(was_told(100 * i, 100 * i + 50));
	assert_false(was_told(100 * TOLD_STALLS, 100 * TOLD_STALLS + 50));
}

/* Nor is it a reason to leave out what the ring tells. */
static void what_the_kernels_account_could_not_tell_was_not_told(void **state)
{
	const struct event_stall unsure = {.begin_ns = zero_ns + 100 * MS,
					   .end_ns = zero_ns + 150 * MS,
					   .low_ns = STALL / 2 - 1,
					   .confidence = 3};
	struct made m = begin_ring();

	(void)state;
	stall_from_kernel(&c, &l, &unsure, false);
	assert_int_equal(stalls(), 0);
	assert_false(was_told(100, 150));
	put_tick(&m, 100, 150);
	find_ring(&m);
	feed_read(&c, &l);
	close(m.fd);
	assert_int_equal(stalls(), 1);
}

/* 4 ms of CPU, a block of 300, 1 more. */
static void tell_block_at(uint64_t begin)
{
	const struct event_stall e = {.begin_ns = zero_ns + begin * MS,
				      .end_ns = zero_ns + (begin + 305) * MS,
				      .low_ns = 301 * MS,
				      .certain_ns = 300 * MS,
				      .certain_start_ns = zero_ns + (begin + 4) * MS,
				      .split = {[LSC_CAUSE_SLEEP] = 300 * MS},
				      .cpu_ns = 5 * MS,
				      .confidence = 3};

	stall_from_kernel(&c, &l, &e, false);
}

static void no_more_leads_to_a_block_than_a_turn_of_a_saturated_loop_lasts(void **state)
{
	(void)state;
	tell_block_at(1000);
	assert_int_equal(stall_at(1000)->row.duration_ns, 305 * MS);
	l.precise.turn_ns = 2 * MS;
	tell_block_at(2000);
	assert_null(stall_at(2000));
	assert_int_equal(stall_at(2004)->row.duration_ns, 301 * MS);
	l.precise.turn_ns = 8 * MS;
	tell_block_at(3000);
	assert_int_equal(stall_at(3000)->row.duration_ns, 305 * MS);
}

/* Held back until its loop was known, it comes when its time to be told is over. */
static void a_stall_that_comes_late_has_its_time_to_be_looked_at(void **state)
{
	uint64_t now = lsc_now_ns();

	(void)state;
	kernel_tells(100, 150);
	assert_true(stall_at(100)->tell_ns >= now + TELL_NS);
}

static const struct store_block *told_of;

static void keep_told(const struct collector_stall *s, void *arg)
{
	(void)arg;
	told_of = s->longest;
}

/* What is told of a stall of 100 ms that computed for all that it was not blocked. */
static const struct store_block *told_with(enum lsc_cause cause, uint64_t blocked)
{
	static const struct collector_ops ops = {.stall = keep_told};
	static struct store_block block;
	struct store_stall row = {.start_ns = zero_ns, .duration_ns = 100 * MS};

	row.split[LSC_CAUSE_CPU_USER] = (100 - blocked) * MS;
	row.split[cause] += blocked * MS;
	block = (struct store_block){.cause = cause, .duration_ns = blocked * MS};
	c.ops = &ops;
	stall_tell(&c, &l, &row, &block, 0);
	return told_of;
}

static void a_short_wait_is_not_told_as_what_a_stall_is_about(void **state)
{
	(void)state;
	assert_null(told_with(LSC_CAUSE_LOCK, 2));
	assert_null(told_with(LSC_CAUSE_LOCK, 24));
	assert_non_null(told_with(LSC_CAUSE_LOCK, 25));
	assert_non_null(told_with(LSC_CAUSE_LOCK, 90));
	assert_non_null(told_with(LSC_CAUSE_CPU_USER, 2)); /* of many of the same cause */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_ring_that_is_found_later_tells_no_stall_again,
						clean, forget),
		cmocka_unit_test_setup_teardown(what_touches_a_stall_was_not_told_with_it, clean,
						forget),
		cmocka_unit_test_setup_teardown(the_last_stalls_are_remembered, clean, forget),
		cmocka_unit_test_setup_teardown(
			what_the_kernels_account_could_not_tell_was_not_told, clean, forget),
		cmocka_unit_test_setup_teardown(
			no_more_leads_to_a_block_than_a_turn_of_a_saturated_loop_lasts, clean,
			forget),
		cmocka_unit_test_setup_teardown(
			a_stall_that_comes_late_has_its_time_to_be_looked_at, clean, forget),
		cmocka_unit_test_setup_teardown(a_short_wait_is_not_told_as_what_a_stall_is_about,
						clean, forget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
