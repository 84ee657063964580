/* SPDX-License-Identifier: MIT */
/* What a column takes. */
#include "fixture.h"

#include "base/cleanup.h"

static int see_absurd_stall(const struct store_stall *row, void *arg)
{
	static const int64_t in_order[] = {2, 3, 1};

	assert_int_equal(row->id, in_order[(*(int *)arg)++]);
	if (row->id != 1)
		return 0;
	assert_int_equal(row->start_ns, INT64_MAX);
	assert_int_equal(row->duration_ns, INT64_MAX);
	assert_int_equal(row->split[LSC_CAUSE_SLEEP], INT64_MAX);
	return 0;
}

static void numbers_beyond_those_of_sql_are_the_largest_and_no_negative_ones(void **state)
{
	static const struct store_stall absurd[] = {
		{.id = 1,
		 .start_ns = UINT64_MAX,
		 .duration_ns = 1ull << 63,
		 .split = {[LSC_CAUSE_SLEEP] = UINT64_MAX}},
		{.id = 2, .start_ns = 1, .duration_ns = 1},
		{.id = 3, .start_ns = 2, .duration_ns = 1},
	};
	struct store *s = fixture_create("absurd.lsc");
	int seen = 0;

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(absurd); i++)
		assert_int_equal(store_put_stall(s, &absurd[i]), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	s = fixture_open("absurd.lsc");
	assert_int_equal(store_each_stall(s, see_absurd_stall, &seen), 0);
	assert_int_equal(seen, 3);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_beyond_those_of_sql_are_the_largest_and_no_negative_ones),
	};
	return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
