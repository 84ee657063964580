/* SPDX-License-Identifier: MIT */
/* tracer/quota: so many at once, and then one more each so often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "quota.h"

#define MOST	1000u
#define EACH_NS 10000000u

/* How many are taken at one time until there is no room. */
static unsigned take_all(struct quota *q, uint64_t now)
{
	unsigned n = 0;

	for (; n < 2 * MOST && quota_has_room(q, now, MOST, EACH_NS); n++)
		quota_take(q, now, EACH_NS);
	return n;
}

static void a_host_that_has_just_started_has_room(void **state)
{
	static const uint64_t uptimes[] = {0,
					   1,
					   EACH_NS,
					   1000000000u,
					   (MOST - 1) * (uint64_t)EACH_NS,
					   MOST * (uint64_t)EACH_NS,
					   UINT64_C(1) << 62};

	(void)state;
	for (size_t i = 0; i < sizeof(uptimes) / sizeof(*uptimes); i++) {
		struct quota q = {0};
		assert_int_equal(take_all(&q, uptimes[i]), MOST);
	}
}

static void room_comes_back_as_time_goes_by(void **state)
{
	struct quota q = {0};
	uint64_t now = 5;

	(void)state;
	take_all(&q, now);
	assert_false(quota_has_room(&q, now + EACH_NS - 1, MOST, EACH_NS));
	assert_int_equal(take_all(&q, now += EACH_NS), 1);
	assert_int_equal(take_all(&q, now += 7 * (uint64_t)EACH_NS), 7);
}

static void room_that_is_not_used_does_not_add_up(void **state)
{
	struct quota q = {0};

	(void)state;
	take_all(&q, 0);
	assert_int_equal(take_all(&q, 10 * MOST * (uint64_t)EACH_NS), MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_that_has_just_started_has_room),
		cmocka_unit_test(room_comes_back_as_time_goes_by),
		cmocka_unit_test(room_that_is_not_used_does_not_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
