/* SPDX-License-Identifier: MIT */
/* What the collector makes of single messages of the worker and of an indexer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/heard.h"
#include "inspect/putoff.h"
#include "inspect/reply.h"
#include "inspect/state.h"

#define PID   7
#define OTHER 8

static struct inspector ins;

/* The target was opened once more, and the worker says so of its table. */
static void hear_table(struct target *t, enum message_table what)
{
	const struct message_status m = {.kind = MESSAGE_TABLE, .value = (int32_t)what};

	ins.activity = OPENING;
	ins.target = t;
	memcpy(ins.buf, &m, sizeof(m));
	assert_true(heard_take(&ins, sizeof(m), 1));
	assert_int_equal(ins.activity, IDLE);
}

/* A target with one program after the other would have all that is kept in use for ever. */
static void what_a_target_does_not_map_any_more_is_not_in_use(void **state)
{
	(void)state;
	struct target *t = target_get(&ins.targets, PID, 1),
		      *o = target_get(&ins.targets, OTHER, 1);
	uint32_t mine = 1u << target_slot(&ins.targets, t),
		 others = 1u << target_slot(&ins.targets, o);
	struct shelf_file *f = shelf_get(&ins.desks.shelf, 1, 1, 1);

	assert_true(f && mine != others);
	t->has_table = true;
	f->slots = mine | others;
	hear_table(t, MESSAGE_TABLE_KEPT);
	assert_int_equal(f->slots, mine | others);
	hear_table(t, MESSAGE_TABLE_NEW);
	assert_int_equal(f->slots, others);
	shelf_done(&ins.desks.shelf);
}

/* An indexer has answered; there is no worker to be told just now. */
static void a_target_has_no_more_indexes_than_its_share(void **state)
{
	struct target *t = target_get(&ins.targets, PID, 1);
	const struct desk_question q = {.pid = PID, .tid = PID};
	const struct message_index m = {.kind = MESSAGE_INDEX, .text_size = 1};
	uint32_t mine = 1u << target_slot(&ins.targets, t);
	struct shelf_file *files[3];

	(void)state;
	t->has_table = true;
	for (int i = 0; i < 3; i++) {
		files[i] = shelf_get(&ins.desks.shelf, 1, (uint64_t)i + 1, 1);
		assert_non_null(files[i]);
		files[i]->bytes = SHELF_SHARE_MAX / 2;
		putoff_take(&q, files[i], &m, sizeof(m), 0, false, &ins);
	}
	assert_int_equal(files[0]->slots, mine);
	assert_int_equal(files[1]->slots, mine);
	assert_int_equal(files[2]->slots, 0);
	for (int i = 0; i < 3; i++)
		files[i]->bytes = 0; /* they never were there */
	shelf_done(&ins.desks.shelf);
}

static struct {
	size_t keeps, answers;
	uint32_t word;
	bool kept;
} told;

static void tell(const struct inspector_result *r, void *arg)
{
	(void)arg;
	told.keeps += r->keeps;
	told.answers += !r->keeps;
	told.word = r->words ? r->words[0] : 0;
	told.kept = r->kept;
}

/* The worker has run the job of a thread that sleeps. */
static void hear_result(uint32_t flags, bool wanted)
{
	struct {
		struct message_result head;
		char text;
	} m = {.head = {.kind = MESSAGE_RESULT, .flags = flags, .text_size = 1, .words = {11}}};
	const struct message_job job = {.kind = MESSAGE_JOB, .tid = PID, .asleep = 1};
	const size_t size = offsetof(typeof(m), text) + 1;

	memset(&told, 0, sizeof(told));
	ins.fn = tell;
	ins.activity = UNWINDING;
	ins.target = target_get(&ins.targets, PID, 1);
	ins.target->files.until_ns = UINT64_MAX; /* no indexer is asked */
	ins.job = joblist_new(PID, &job, NULL, NULL);
	assert_non_null(ins.job);
	ins.wanted = wanted;
	ins.pending++;
	memcpy(ins.buf, &m, size);
	assert_true(heard_take(&ins, size, 1));
	joblist_free(&ins.jobs);
}

static void whoever_asked_is_told_when_a_sleeping_thread_was_read(void **state)
{
	(void)state;
	hear_result(MESSAGE_RESULT_KEEPS | MESSAGE_RESULT_WORDS, true);
	assert_int_equal(told.keeps, 1);
	assert_int_equal(told.answers, 0);
	assert_int_equal(told.word, 11);
	hear_result(MESSAGE_RESULT_KEPT, true); /* something else lacks, too */
	assert_int_equal(told.keeps + told.answers, 0);
	hear_result(MESSAGE_RESULT_KEPT, false);
	assert_int_equal(told.answers, 1);
	assert_true(told.kept);
	hear_result(MESSAGE_RESULT_KEEPS | MESSAGE_RESULT_GONE, false); /* it is run once more */
	assert_int_equal(told.keeps, 1);
	assert_int_equal(told.answers, 0);
}

static void a_job_that_an_answer_led_to_is_not_overdue(void **state)
{
	const struct message_job job = {.kind = MESSAGE_JOB, .tid = PID};
	struct job *j = joblist_new(PID, &job, NULL, NULL);
	uint64_t queued_ns = j->queued_ns;

	(void)state;
	memset(&told, 0, sizeof(told));
	ins.fn = tell;
	ins.pending++;
	STAILQ_INSERT_TAIL(&ins.jobs, j, link);
	reply_overdue(&ins, queued_ns - 1); /* the dispatch began before */
	reply_overdue(&ins, queued_ns + JOB_AGE_NS - 1);
	assert_int_equal(told.answers, 0);
	reply_overdue(&ins, queued_ns + JOB_AGE_NS);
	assert_int_equal(told.answers, 1);
}

/* One bad stack does not keep others from code that was made since. */
static void a_look_in_vain_puts_off_the_next_one_and_no_more(void **state)
{
	struct target t = {.pid = 1};
	uint64_t now = 10 * LSC_NS_PER_S, second = now;
	unsigned int looks = 0;

	(void)state;
	assert_true(target_look_again(&t, now));
	target_look_in_vain(&t, now);
	assert_false(target_look_again(&t, now + TARGET_REST_NS - 1));
	now += TARGET_REST_NS;
	assert_true(target_look_again(&t, now));
	assert_true(target_look_again(&t, now)); /* that one helped */
	for (looks = 3; target_look_again(&t, now); looks++)
		now += TARGET_REST_NS;
	assert_int_equal(looks, TARGET_LOOKS_MAX);
	assert_true(target_look_again(&t, second + LSC_NS_PER_S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_target_does_not_map_any_more_is_not_in_use),
		cmocka_unit_test(a_target_has_no_more_indexes_than_its_share),
		cmocka_unit_test(whoever_asked_is_told_when_a_sleeping_thread_was_read),
		cmocka_unit_test(a_job_that_an_answer_led_to_is_not_overdue),
		cmocka_unit_test(a_look_in_vain_puts_off_the_next_one_and_no_more),
	};
	STAILQ_INIT(&ins.jobs);
	STAILQ_INIT(&ins.put_off);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
