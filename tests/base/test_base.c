/* SPDX-License-Identifier: MIT */
/* loop/base: durations, histogram, names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cause.h"
#include "base/bytes.h"
#include "base/duration.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/loss.h"

static void durations_take_units_and_refuse_the_rest(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"10", 10000000}, {"10ms", 10000000}, {"1.5s", 1500000000},
		    {"7ns", 7},	      {"250us", 250000},  {"2m", 120000000000},
		    {"0", 0},	      {".5ms", 500000}};
	static const char *const bad[] = {"",	 " 1",	"-1", "+1",   "1 ms", "ms",
					  "nan", "inf", "1h", "0x10", "1e999"};
	uint64_t ns;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(lsc_duration_parse(good[i].text, 1000000, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ns = 42;
		assert_true(lsc_duration_parse(bad[i], 1000000, &ns) < 0);
		assert_int_equal(ns, 42);
	}
}

static void durations_are_printed_for_people(void **state)
{
	(void)state;
	char b[32];

	assert_string_equal(lsc_duration_format(999, b, sizeof(b)), "999 ns");
	assert_string_equal(lsc_duration_format(12000, b, sizeof(b)), "12.0 us");
	assert_string_equal(lsc_duration_format(300200000, b, sizeof(b)), "300.2 ms");
	assert_string_equal(lsc_duration_format(999960000, b, sizeof(b)), "1.00 s");
	assert_string_equal(lsc_duration_format(5610000000, b, sizeof(b)), "5.61 s");
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void histogram_quantiles_lie_within_a_slot_of_the_exact_ones(void **state)
{
	(void)state;
	enum { N = 20000 };
	static uint64_t v[N];
	static struct lsc_histogram h, half[2];

	srand(7);
	for (int i = 0; i < N; i++) {
		v[i] = (uint64_t)rand() % (1ull << (rand() % 38 + 1));
		lsc_hist_add(&half[i & 1], v[i]);
	}
	lsc_hist_merge(&h, &half[0]);
	lsc_hist_merge(&h, &half[1]);
	assert_int_equal(h.count, N);
	qsort(v, N, sizeof(v[0]), by_value);
	for (double q = 0.01; q <= 1.0; q += 0.01) {
		uint64_t exact = v[(size_t)(q * N + 0.999999) - 1], got = lsc_hist_quantile(&h, q);
		assert_true(got >= exact || h.slot[lsc_hist_index(exact)] == 0);
		assert_true(got <= exact + exact / 8 + 1);
	}
	assert_int_equal(lsc_hist_quantile(&h, 1.0), v[N - 1]);
}

static void histogram_index_and_slot_low_agree(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < LSC_HIST_SLOTS; i++) {
		assert_int_equal(lsc_hist_index(lsc_hist_slot_low(i)), i);
		if (i)
			assert_int_equal(lsc_hist_index(lsc_hist_slot_low(i) - 1), i - 1);
	}
	assert_int_equal(lsc_hist_index(UINT64_MAX), LSC_HIST_SLOTS - 1);
}

static void names_round_trip_and_unknown_values_are_safe(void **state)
{
	(void)state;
	for (int i = 0; i < LSC_CAUSE_COUNT; i++)
		assert_int_equal(lsc_cause_of(lsc_cause_name(i)), i);
	assert_int_equal(lsc_cause_of("nonsense"), -1);
	assert_string_equal(lsc_cause_name(-1), "other");
	assert_string_equal(lsc_cause_name(999), "other");
	for (int i = 0; i < LSC_LOSS_COUNT; i++)
		assert_true(strcmp(lsc_loss_name(i), "unknown") != 0);
	assert_string_equal(lsc_loss_name(999), "unknown");
}

static void an_error_carries_its_sentence_and_may_be_left_out(void **state)
{
	(void)state;
	struct lsc_err err = {0};

	assert_int_equal(lsc_err_set(&err, -ENOENT, "no '%s'", "x"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.text, "no 'x'");
	assert_int_equal(lsc_err_set(NULL, -EIO, "quiet"), -EIO);
}

static void bytes_take_units_and_are_printed_for_people(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},
		    {"100B", 100},
		    {"512K", 512 << 10},
		    {"64M", 64 << 20},
		    {"64MiB", 64 << 20},
		    {"64mb", 64 << 20},
		    {"1.5G", 3ull << 29},
		    {"2T", 2ull << 40}};
	static const char *const bad[] = {"",	  "64",	    "-1M",	     "M",    "1X",
					  "64 M", "64MM",   "0x10M",	     "nanM", "1Bi",
					  "inf",  "1e400G", "9000000000000T"};
	uint64_t bytes;
	char b[32];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(lsc_bytes_parse(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(lsc_bytes_parse(bad[i], &bytes) < 0);
	assert_string_equal(lsc_bytes_format(0, b, sizeof(b)), "0 B");
	assert_string_equal(lsc_bytes_format(1023, b, sizeof(b)), "1023 B");
	assert_string_equal(lsc_bytes_format(64 << 20, b, sizeof(b)), "64 MiB");
	assert_string_equal(lsc_bytes_format(3ull << 29, b, sizeof(b)), "1.5 GiB");
	assert_string_equal(lsc_bytes_format(UINT64_MAX, b, sizeof(b)), "16777216 TiB");
}

static void bounds_are_a_range_where_they_tell_more_than_one_number(void **state)
{
	(void)state;
	assert_true(lsc_duration_is_range(180000000, 188000000));
	assert_true(lsc_duration_is_range(0, 1));
	assert_true(lsc_duration_is_range(979999999, 1000000000));
	assert_false(lsc_duration_is_range(980000000, 1000000000));
	assert_false(lsc_duration_is_range(609300000, 609600000));
	assert_false(lsc_duration_is_range(5, 5));
	assert_false(lsc_duration_is_range(188000000, 180000000)); /* of a damaged capture */
	assert_true(lsc_duration_is_range(0, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_take_units_and_refuse_the_rest),
		cmocka_unit_test(durations_are_printed_for_people),
		cmocka_unit_test(bytes_take_units_and_are_printed_for_people),
		cmocka_unit_test(bounds_are_a_range_where_they_tell_more_than_one_number),
		cmocka_unit_test(histogram_quantiles_lie_within_a_slot_of_the_exact_ones),
		cmocka_unit_test(histogram_index_and_slot_low_agree),
		cmocka_unit_test(names_round_trip_and_unknown_values_are_safe),
		cmocka_unit_test(an_error_carries_its_sentence_and_may_be_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
