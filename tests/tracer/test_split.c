/* SPDX-License-Identifier: MIT */
/* tracer/stall: how the time of a stall is split by what is known of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "evidence.h"
#include "impl.h"

#define MS    LSC_NS_PER_MS
#define BEGIN (1000 * MS)

static struct collector c;
static struct probe probe;
static struct target target;
static struct loop l;

static int begin(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	memset(&l, 0, sizeof(l));
	c.probe = &probe;
	c.o.stall_ns = 10 * MS;
	c.sample_ns = SAMPLE_NS;
	l.id = 1;
	l.target = &target;
	l.exited = true; /* nothing is asked of the probe */
	l.samples = calloc(SAMPLES_MAX, sizeof(*l.samples));
	return l.samples ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	free(l.samples);
	while (l.stalls) {
		struct stall *s = l.stalls;
		l.stalls = s->next;
		free(s);
	}
	return 0;
}

/* n samples of the tick, each of which stands for so long. */
static void sample(size_t n, uint64_t ns)
{
	for (size_t i = 0; i < n; i++)
		l.samples[l.nsamples++] = (struct sample){
			.tick_ns = BEGIN, .row = {.ts_ns = BEGIN + (i + 1) * MS, .ns = ns}};
}

/* Most of the period was spent waiting for a CPU; what the samples saw on it was not. */
static void samples_of_a_part_stand_for_what_they_say(void **state)
{
	struct event_stall e = {.begin_ns = BEGIN,
				.end_ns = BEGIN + 200 * MS,
				.low_ns = 200 * MS,
				.cpu_ns = 50 * MS,
				.samples_user = 3};

	(void)state;
	e.split[LSC_CAUSE_RUNQUEUE] = 150 * MS;
	c.sample_ns = 8 * SAMPLE_NS; /* a step of --max-overhead */
	sample(3, c.sample_ns);
	stall_from_account(&c, &l, &e, false, true);
	assert_non_null(l.stalls);
	assert_int_equal(l.stalls->row.split[LSC_CAUSE_CPU_USER], 3 * c.sample_ns);
	assert_int_equal(l.stalls->row.split[LSC_CAUSE_RUNQUEUE], 200 * MS - 3 * c.sample_ns);
}

/* Of a long tick every second sample stays, and stands for two. */
static void samples_that_were_left_out_count(void **state)
{
	(void)state;
	sample(40, 2 * SAMPLE_NS);
	assert_int_not_equal(stall_from_ring(&c, &l, BEGIN, BEGIN + 320 * MS, 0, NULL, false), 0);
	assert_int_equal(l.stalls->row.split[LSC_CAUSE_OTHER], 0);
	assert_int_equal(l.stalls->row.split[LSC_CAUSE_CPU_USER], 320 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(samples_of_a_part_stand_for_what_they_say, begin,
						end),
		cmocka_unit_test_setup_teardown(samples_that_were_left_out_count, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
