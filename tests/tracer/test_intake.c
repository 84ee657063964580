/* SPDX-License-Identifier: MIT */
/* tracer/intake: each event is counted once, as stored or as lost, whatever is in it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "state.h"

static struct collector c;

static int clean(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	return 0;
}

static void assert_invalid(const struct event *e, size_t size)
{
	clean(NULL);
	intake_event(&c, e, size, 0);
	assert_int_equal(c.lost[LSC_LOSS_EVENT_INVALID], 1);
	assert_int_equal(c.stored, 0);
}

static void an_event_that_makes_no_sense_is_lost(void **state)
{
	struct event_loop loop = {.e.kind = EVENT_LOOP, .class = WAIT_EPOLL + 1};
	struct event_stall stall = {.e.kind = EVENT_STALL, .begin_ns = 2, .end_ns = 1};
	struct event_block block = {.e.kind = EVENT_BLOCK, .off_ns = 2, .wake_ns = 1};
	struct event_waited waited = {.e.kind = EVENT_WAITED, .kind = WAITED_TIMER + 1};
	struct event_process process = {.e.kind = EVENT_FORK};
	struct event unknown = {.kind = EVENT_PYTHON + 1};

	(void)state;
	assert_invalid(&loop.e, sizeof(loop));
	loop.class = WAIT_EPOLL;
	assert_invalid(&loop.e, sizeof(loop) - 1);
	assert_invalid(&stall.e, sizeof(stall));
	assert_invalid(&block.e, sizeof(block));
	block.e.kind = EVENT_OWNER;
	assert_invalid(&block.e, sizeof(block) - 1);
	assert_invalid(&waited.e, sizeof(waited));
	assert_invalid(&process.e, sizeof(process) - 1);
	process.e.kind = EVENT_EXIT;
	assert_invalid(&process.e, sizeof(process) - 1);
	process.e.kind = EVENT_EXEC; /* without what the thread had done */
	assert_invalid(&process.e, sizeof(process));
	assert_invalid(&unknown, sizeof(unknown));
}

static void what_belongs_to_another_event_is_none(void **state)
{
	struct event rouse = {.kind = EVENT_ROUSE};
	struct event_python python = {.e.kind = EVENT_PYTHON, .count = PYTHON_FRAMES + 1};

	(void)state;
	intake_event(&c, &rouse, sizeof(rouse), 0);
	intake_event(&c, &python.e, sizeof(python), 0);
	assert_int_equal(c.stored, 0);
	for (int i = 0; i < LSC_LOSS_COUNT; i++)
		assert_int_equal(c.lost[i], 0);
}

/* The event that would have said so found no room. */
static void evidence_of_a_certain_wait_is_not_held_back(void **state)
{
	struct target t = {0};
	struct loop l = {
		.tid = 7, .target = &t, .kernel = true, .confidence = 1, .announced = true};
	struct event_stall stall = {.e = {.kind = EVENT_STALL, .tid = 7},
				    .begin_ns = 1,
				    .end_ns = 2,
				    .class = WAIT_EPOLL,
				    .confidence = 3};
	struct event *held = calloc(1, sizeof(stall));

	(void)state;
	assert_non_null(held);
	memcpy(held, &stall, sizeof(stall));
	l.held[l.nheld++] = (struct held_event){sizeof(stall), held, 1};
	HASH_ADD_INT(c.loops, tid, &l);
	c.store_error = -EIO; /* nothing is stored here */
	intake_event(&c, &stall.e, sizeof(stall), 0);
	HASH_DEL(c.loops, &l);
	assert_int_equal(l.confidence, 3);
	assert_int_equal(l.class, WAIT_EPOLL);
	assert_int_equal(l.nheld, 0);
	assert_int_equal(c.lost[LSC_LOSS_STORE_ERROR], 2); /* that one, and this one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_event_that_makes_no_sense_is_lost, clean),
		cmocka_unit_test_setup(what_belongs_to_another_event_is_none, clean),
		cmocka_unit_test_setup(evidence_of_a_certain_wait_is_not_held_back, clean),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
