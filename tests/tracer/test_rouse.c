/* SPDX-License-Identifier: MIT */
/*
 * A model of how a loop wakes up the sleeping collector (tracer/probes/rouse.bpf.h), on a processor
 * that, as x86 does, may carry out a load before an earlier store is seen by others. All orders are
 * tried. The collector: says that it sleeps, looks at the loop. The loop: says that it is busy,
 * looks whether the collector sleeps. Lost is the wake-up when the one saw an idle loop, the other
 * nobody asleep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

enum { COLLECTOR, LOOP, SIDES };
enum { STORE, FENCE, LOAD, DONE };

struct model {
	bool fence[SIDES]; /* between its store and its load */
	unsigned outcomes, lost;
};

struct moment {
	int step[SIDES];
	bool buffered[SIDES]; /* its store is not seen by the other yet */
	bool word[SIDES];     /* in memory: asleep; busy */
	bool saw[SIDES];      /* what it read of the other's word */
};

/* Tries everything that may happen next. */
static void go_on(struct model *m, struct moment now)
{
	bool ended = true;

	for (int side = 0; side < SIDES; side++) {
		struct moment next = now;

		if (now.buffered[side]) { /* the store gets into memory */
			next.buffered[side] = false;
			next.word[side] = true;
			go_on(m, next);
			next = now;
			ended = false;
		}
		switch (now.step[side]) {
		case STORE:
			next.buffered[side] = true;
			break;
		case FENCE:
			if (m->fence[side] && now.buffered[side])
				continue; /* until it is there */
			break;
		case LOAD:
			next.saw[side] = now.word[!side];
			break;
		default:
			continue;
		}
		next.step[side]++;
		go_on(m, next);
		ended = false;
	}
	if (!ended)
		return;
	m->outcomes++;
	m->lost += !now.saw[COLLECTOR] && !now.saw[LOOP];
}

static struct model tried(bool collector_fence, bool loop_fence)
{
	struct model m = {.fence = {collector_fence, loop_fence}};

	go_on(&m, (struct moment){0});
	assert_true(m.outcomes > 0);
	return m;
}

static void with_a_barrier_on_both_sides_no_wake_up_is_lost(void **state)
{
	(void)state;
	assert_int_equal(tried(true, true).lost, 0);
}

static void without_either_of_them_some_are(void **state)
{
	(void)state;
	assert_true(tried(true, false).lost > 0);
	assert_true(tried(false, true).lost > 0);
	assert_true(tried(false, false).lost > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_a_barrier_on_both_sides_no_wake_up_is_lost),
		cmocka_unit_test(without_either_of_them_some_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
