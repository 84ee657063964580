/* SPDX-License-Identifier: MIT */
/* tracer/host: steal time from /proc/stat, and how much of a tick it explains. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "host.h"

static void the_eighth_number_of_the_first_line_is_the_steal(void **state)
{
	(void)state;
	uint64_t ns = 0;

	assert_int_equal(
		host_steal_parse("cpu  1 2 3 4 5 6 7 12 9 10\ncpu0 0 0 0 0 0 0 0 99\n", &ns), 0);
	assert_int_equal(ns, 120 * LSC_NS_PER_MS);
}

static void what_is_no_such_line_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "cpu", "cpu 1 2 3 4 5 6 7\n",
					    "intr 1 2 3 4 5 6 7 8",
					    "cpu 0 0 0 0 0 0 0 18446744073709551615"};
	uint64_t ns = 5;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(host_steal_parse(texts[i], &ns), -EPROTO);
	assert_int_equal(ns, 5); /* written only on success */
}

static void a_look_at_this_host_has_its_time_and_steal_never_goes_back(void **state)
{
	(void)state;
	struct host_look a, b;
	uint64_t before = lsc_now_ns();

	assert_int_equal(host_look(&a), 0);
	assert_int_equal(host_look(&b), 0);
	assert_in_range(a.at_ns, before, lsc_now_ns());
	assert_true(b.at_ns >= a.at_ns && b.steal_ns >= a.steal_ns);
}

static void steal_explains_no_more_than_there_was_and_no_more_than_is_missing(void **state)
{
	(void)state;
	const uint64_t ms = LSC_NS_PER_MS;

	assert_int_equal(host_steal_part(50 * ms, 100 * ms, 100 * ms), 0);
	assert_int_equal(host_steal_part(50 * ms, 100 * ms, 90 * ms), 0); /* it never goes back */
	assert_int_equal(host_steal_part(50 * ms, 100 * ms, 300 * ms), 50 * ms);
	assert_int_equal(host_steal_part(50 * ms, 100 * ms, 120 * ms), 30 * ms);
	assert_int_equal(host_steal_part(0, 100 * ms, 300 * ms), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_eighth_number_of_the_first_line_is_the_steal),
		cmocka_unit_test(what_is_no_such_line_is_refused),
		cmocka_unit_test(a_look_at_this_host_has_its_time_and_steal_never_goes_back),
		cmocka_unit_test(steal_explains_no_more_than_there_was_and_no_more_than_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
