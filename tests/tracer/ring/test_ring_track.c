/* SPDX-License-Identifier: MIT */
/* The state machine of tasks, fed by hand: each line of the log is one callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ring_track.h"

struct fixture {
	struct ring_track *k;
	uint64_t index;
	char log[4096];
};

static void say(void *arg, const char *fmt, ...)
{
	struct fixture *f = arg;
	size_t n = strlen(f->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->log + n, sizeof(f->log) - n, fmt, ap);
	va_end(ap);
}

static void on_new(struct ring_task *t, bool snapshot, void *arg)
{
	say(arg, "new %u %s%s", t->id, t->name ? t->name : "?", snapshot ? " snapshot" : "");
	if (t->site)
		say(arg, " %s %s:%d", t->site->function, t->site->file ? t->site->file : "?",
		    t->site->line);
	say(arg, "\n");
}

static void on_state(struct ring_task *t, uint64_t ns, void *arg)
{
	(void)ns;
	if (t->state == LSC_TASK_SUSPENDED)
		say(arg, "state %u suspended %u %llu\n", t->id, t->wait_kind,
		    (unsigned long long)t->wait_detail);
}

static void on_step(struct ring_task *t, uint64_t from, uint64_t to, void *arg)
{
	say(arg, "step %u %llu-%llu\n", t->id, (unsigned long long)from, (unsigned long long)to);
}

static void on_wait(struct ring_task *t, uint64_t from, uint64_t to, void *arg)
{
	say(arg, "wait %u %llu-%llu\n", t->id, (unsigned long long)from, (unsigned long long)to);
}

static void on_gone(struct ring_task *t, void *arg)
{
	say(arg, "gone %u state %d at %llu\n", t->id, t->state, (unsigned long long)t->ended_ns);
}

static void on_tick(const struct ring_tick *tick, void *arg)
{
	say(arg, "tick %llu-%llu", (unsigned long long)tick->begin_ns,
	    (unsigned long long)tick->end_ns);
	for (size_t i = 0; i < tick->nculprits; i++)
		say(arg, " %u:%llu", tick->culprits[i].task->id,
		    (unsigned long long)tick->culprits[i].ns);
	if (tick->longest)
		say(arg, " longest %u:%llu", tick->longest->id,
		    (unsigned long long)tick->longest_ns);
	say(arg, "\n");
}

static void on_mark(struct ring_task *t, uint64_t ns, const char *text, size_t size, void *arg)
{
	say(arg, "mark %u %llu %.*s\n", t ? t->id : 0, (unsigned long long)ns, (int)size, text);
}

static void on_counter(struct ring_task *t, uint64_t ns, const char *name, size_t size,
		       int64_t value, void *arg)
{
	say(arg, "counter %u %llu %.*s %lld\n", t ? t->id : 0, (unsigned long long)ns, (int)size,
	    name, (long long)value);
}

static void on_gap(void *arg)
{
	say(arg, "gap\n");
}

static const struct ring_track_ops ops = {on_new,  on_state, on_step,	 on_wait, on_gone,
					  on_tick, on_mark,  on_counter, on_gap};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || !(f->k = ring_track_new(&ops, f)))
		return -1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ring_track_free(f->k);
	free(f);
	return 0;
}

static void feed(struct fixture *f, struct ring_record rec)
{
	rec.index = f->index++;
	if (rec.text && !rec.text_size)
		rec.text_size = strlen(rec.text);
	ring_track_feed(f->k, &rec);
}

#define AT(time, ...)	    feed(f, (struct ring_record){.time_ns = (time), __VA_ARGS__})
#define NEW(time, id, name) AT(time, .kind = LSC_REC_TASK_NEW, .task = (id), .text = (name))
#define READY(time, id)	    AT(time, .kind = LSC_REC_TASK_READY, .task = (id))
#define RUN(time, id)	    AT(time, .kind = LSC_REC_TASK_RUN, .task = (id))
#define SUSPEND(time, id, what, detail)                                                            \
	AT(time, .kind = LSC_REC_TASK_SUSPEND, .task = (id), .arg8 = (what), .arg64 = (detail))
#define DONE(time, id, how) AT(time, .kind = LSC_REC_TASK_DONE, .task = (id), .arg8 = (how))
#define BEGIN(time)	    AT(time, .kind = LSC_REC_TICK_BEGIN)
#define END(time)	    AT(time, .kind = LSC_REC_TICK_END)

static void assert_log(struct fixture *f, const char *want)
{
	assert_string_equal(f->log, want);
	f->log[0] = '\0';
}

static void a_tick_names_its_culprits_longest_first_and_the_waits_of_the_others(void **state)
{
	struct fixture *f = *state;

	AT(1, .kind = LSC_REC_SITE, .task = 9, .arg64 = 42, .text = "serve\0app.c",
	   .text_size = 11);
	AT(2, .kind = LSC_REC_TASK_NEW, .task = 1, .arg64 = 9, .text = "hog");
	NEW(3, 2, "victim");
	assert_log(f, "new 1 hog serve app.c:42\nnew 2 victim\n");
	BEGIN(100);
	READY(110, 1);
	READY(111, 2);
	RUN(120, 1);
	SUSPEND(500, 1, LSC_WAIT_TASK, 2);
	RUN(510, 2);
	SUSPEND(520, 2, LSC_WAIT_FD, 7);
	READY(521, 1);
	RUN(530, 1);
	DONE(540, 1, 0);
	END(600);
	assert_log(f,
		   "wait 1 110-120\nstep 1 120-500\nstate 1 suspended 4 2\nwait 2 111-510\nstep 2 "
		   "510-520\n"
		   "state 2 suspended 3 7\nwait 1 521-530\nstep 1 530-540\ngone 1 state 4 at 540\n"
		   "tick 100-600 1:390 2:10 longest 1:380\n");
	struct ring_task *t = ring_track_find(f->k, 2);
	assert_non_null(t);
	assert_int_equal(t->steps, 1);
	assert_int_equal(t->run_ns, 10);
	assert_int_equal(t->ready_wait->max_ns, 399);
	assert_int_equal(t->created_ns, 3);
	assert_null(ring_track_find(f->k, 1));
	assert_int_equal(ring_track_stats(f->k).odd, 0);
	BEGIN(700);
	END(701);
	assert_log(f, "tick 700-701\n");
}

/* The loop says that a timer has ended when it looks at its timers. */
static void a_task_could_run_from_its_timer_on(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t due, ready_since;
	} cases[] = {{150, 150},	     /* while a tick held the loop */
		     {350, 350},	     /* while this one did */
		     {200, 300}, {250, 300}, /* while it idled: it was woken up late */
		     {400, 400}, {401, 400}, /* in time; later: a cancellation ended the wait */
		     {90, 110},		     /* due before it waited for it */
		     {0, 110},	 {UINT64_MAX, 400}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char want[64];
		uint32_t id = (uint32_t)i + 1;

		BEGIN(95);
		NEW(100, id, "sleeper");
		RUN(105, id);
		SUSPEND(110, id, LSC_WAIT_TIMER, cases[i].due);
		END(200);
		BEGIN(300);
		f->log[0] = '\0';
		AT(400, .kind = LSC_REC_TASK_READY, .task = id, .arg8 = LSC_WAIT_TIMER);
		RUN(410, id);
		snprintf(want, sizeof(want), "wait %u %u-410\n", id,
			 (unsigned)cases[i].ready_since);
		assert_log(f, want);
		SUSPEND(420, id, LSC_WAIT_FD, 7);
		f->log[0] = '\0';
		READY(500, id); /* of another kind */
		RUN(510, id);
		snprintf(want, sizeof(want), "wait %u 500-510\n", id);
		assert_log(f, want);
		DONE(520, id, 0);
		END(530);
		f->log[0] = '\0';
	}
}

static void a_yield_ends_the_step_and_is_ready_at_once(void **state)
{
	struct fixture *f = *state;

	NEW(1, 1, "keen");
	f->log[0] = '\0';
	BEGIN(100);
	RUN(101, 1);
	AT(105, .kind = LSC_REC_TASK_YIELD, .task = 1);
	assert_int_equal(ring_track_state(f->k, ring_track_find(f->k, 1)), LSC_TASK_READY);
	RUN(125, 1);
	SUSPEND(127, 1, LSC_WAIT_FUTURE, 0);
	END(130);
	assert_log(f, "step 1 101-105\nwait 1 105-125\nstep 1 125-127\nstate 1 suspended 5 0\n"
		      "tick 100-130 1:6 longest 1:4\n");
	assert_int_equal(ring_track_stats(f->k).odd, 0);
}

static void nothing_is_reported_across_a_gap(void **state)
{
	struct fixture *f = *state;

	NEW(1, 1, "a");
	BEGIN(100);
	READY(101, 1);
	READY(101, 2);
	RUN(102, 1);
	f->log[0] = '\0';
	AT(900, .kind = LSC_REC_TASK_SUSPEND, .task = 1, .arg8 = LSC_WAIT_TIMER, .gap = true);
	RUN(910, 2);
	END(950);
	assert_log(f, "gap\nstate 1 suspended 2 0\n");
	assert_int_equal(ring_track_state(f->k, ring_track_find(f->k, 1)), LSC_TASK_SUSPENDED);
	AT(960, .kind = LSC_REC_TICK_BEGIN, .gap = true);
	assert_int_equal(ring_track_state(f->k, ring_track_find(f->k, 1)), RING_STATE_UNKNOWN);
	RUN(961, 2);
	SUSPEND(962, 2, LSC_WAIT_YIELD, 0);
	END(963);
	assert_log(f, "gap\nstep 2 961-962\nstate 2 suspended 1 0\ntick 960-963 2:1 longest 2:1\n");
	assert_int_equal(ring_track_stats(f->k).gaps, 2);
}

static void a_snapshot_restores_states_and_retires_tasks_that_ended_unseen(void **state)
{
	struct fixture *f = *state;

	NEW(1, 1, "stays");
	NEW(2, 2, "ends unseen");
	f->log[0] = '\0';
	AT(100, .kind = LSC_REC_TICK_BEGIN, .gap = true);
	READY(101, 3);
	AT(102, .kind = LSC_REC_SNAPSHOT_BEGIN, .arg64 = 3);
	AT(103, .kind = LSC_REC_TASK_NEW, .task = 1, .arg16 = 1, .text = "stays");
	AT(104, .kind = LSC_REC_TASK_STATE, .task = 1, .arg8 = LSC_TASK_READY, .arg16 = LSC_WAIT_FD,
	   .arg64 = 90);
	AT(105, .kind = LSC_REC_TASK_NEW, .task = 3, .arg16 = 1, .arg64 = 1ull << 32,
	   .text = "late name");
	AT(106, .kind = LSC_REC_TASK_STATE, .task = 3, .arg8 = LSC_TASK_READY, .arg64 = 1000);
	NEW(107, 4, "born meanwhile");
	AT(108, .kind = LSC_REC_SNAPSHOT_END);
	assert_log(f, "gap\nnew 3 ?\nnew 3 late name snapshot\nnew 4 born meanwhile\ngone 2 state "
		      "-1 at 0\n");
	assert_int_equal(ring_track_find(f->k, 3)->parent, 1);
	assert_int_equal(ring_track_find(f->k, 3)->created_ns, 0);
	assert_int_equal(ring_track_count(f->k), 3);
	RUN(110, 1); /* ready since 90, as the target says */
	SUSPEND(111, 1, LSC_WAIT_LOCK, 0);
	RUN(112, 3);
	assert_log(f, "wait 1 90-110\nstep 1 110-111\nstate 1 suspended 7 0\nwait 3 101-112\n");
	/* a snapshot whose beginning was lost retires nobody */
	AT(200, .kind = LSC_REC_SNAPSHOT_END, .gap = true);
	assert_log(f, "gap\n");
	assert_int_equal(ring_track_count(f->k), 3);
}

static void ends_are_told_apart_and_a_task_may_end_without_having_run(void **state)
{
	struct fixture *f = *state;

	NEW(1, 1, "failed");
	NEW(2, 2, "cancelled");
	READY(3, 2);
	RUN(4, 1);
	DONE(5, 1, 1);
	AT(6, .kind = LSC_REC_TASK_CANCEL, .task = 2);
	DONE(7, 2, 2);
	AT(8, .kind = LSC_REC_MARK, .text = "hello");
	assert_log(f, "new 1 failed\nnew 2 cancelled\nstep 1 4-5\ngone 1 state 6 at 5\ngone 2 "
		      "state 5 at 7\n"
		      "mark 0 8 hello\n");
	assert_int_equal(ring_track_count(f->k), 0);
	assert_int_equal(ring_track_stats(f->k).odd, 0);
}

static void what_the_application_says_belongs_to_the_task_that_it_was_in(void **state)
{
	struct fixture *f = *state;

	NEW(1, 1, "serve");
	RUN(2, 1);
	AT(3, .kind = LSC_REC_MARK, .task = 1, .text = "checkout begin");
	AT(4, .kind = LSC_REC_COUNTER, .task = 1, .arg64 = (uint64_t)-5, .text = "depth");
	AT(5, .kind = LSC_REC_COUNTER, .task = 99, .arg64 = INT64_MAX, .text = "other");
	AT(6, .kind = LSC_REC_MARK, .task = 99); /* of a task that nobody has seen, without text */
	assert_log(f, "new 1 serve\n"
		      "mark 1 3 checkout begin\n"
		      "counter 1 4 depth -5\n"
		      "counter 0 5 other 9223372036854775807\n"
		      "mark 0 6 \n");
	assert_int_equal(ring_track_stats(f->k).odd, 0);
}

static void contradictions_are_counted_and_believed_the_first_time(void **state)
{
	struct fixture *f = *state;

	NEW(1, 1, "a");
	NEW(2, 1, "again");
	READY(3, 1);
	READY(50, 1);
	BEGIN(60);
	RUN(61, 1);
	RUN(70, 2); /* steps do not nest */
	SUSPEND(80, 1, 0, 0);
	SUSPEND(81, 2, 0, 0);
	BEGIN(90); /* twice */
	END(91);
	assert_log(f, "new 1 a\nwait 1 3-61\nnew 2 ?\nstate 1 suspended 0 0\nstep 2 70-81\nstate 2 "
		      "suspended 0 0\n"
		      "tick 90-91\n");
	assert_true(ring_track_stats(f->k).odd >= 4);
}

/* One more task than the bound, in one tick without an end. */
static void hostile_numbers_of_tasks_and_sites_are_bounded(void **state)
{
	struct fixture *f = *state;

	BEGIN(1);
	for (uint32_t id = 1; id <= RING_TRACK_MAX_TASKS + 1; id++) {
		READY(2, id);
		f->log[0] = '\0';
	}
	assert_int_equal(ring_track_count(f->k), RING_TRACK_MAX_TASKS);
	assert_int_equal(ring_track_stats(f->k).refused, 1);
	for (uint32_t id = 1; id <= 1000; id++) {
		DONE(3, id, 0);
		f->log[0] = '\0';
	}
	READY(4, 5000001);
	assert_non_null(ring_track_find(f->k, 5000001));
	for (uint32_t id = 1; id <= RING_MAX_SITES + 1; id++)
		AT(5, .kind = LSC_REC_SITE, .task = id, .text = "f");
	assert_int_equal(ring_track_stats(f->k).refused, 2);
}

static int log_site(struct ring_site *s, void *arg)
{
	say(arg, "%s:%d %llu/%llu%s\n", s->file, s->line, (unsigned long long)s->stack_used,
	    (unsigned long long)s->stack_size, s->stack_news ? " news" : "");
	s->stack_news = false;
	return 0;
}

static void a_site_keeps_the_most_stack_that_its_tasks_used(void **state)
{
	struct fixture *f = *state;

#define SITE_STACK(bytes, bits)                                                                    \
	AT(1, .kind = LSC_REC_SITE_STACK, .task = 9, .arg64 = (bytes), .arg8 = (bits))
	SITE_STACK(7000, 16); /* nobody knows it yet */
	AT(1, .kind = LSC_REC_SITE, .task = 9, .arg64 = 42, .text = "serve\0app.c",
	   .text_size = sizeof("serve\0app.c") - 1);
	ring_track_each_site(f->k, log_site, f);
	SITE_STACK(3000, 16);
	ring_track_each_site(f->k, log_site, f);
	SITE_STACK(5000, 20);
	SITE_STACK(4000, 16);
	ring_track_each_site(f->k, log_site, f);
	SITE_STACK(UINT64_MAX, 0); /* of a loop that does not say how much there is */
	AT(2, .kind = LSC_REC_SITE, .task = 9, .arg64 = 42, .text = "serve\0app.c",
	   .text_size = sizeof("serve\0app.c") - 1);
	ring_track_each_site(f->k, log_site, f);
	ring_track_each_site(f->k, log_site, f);
	assert_log(f, "app.c:42 0/0\n"
		      "app.c:42 3000/65536 news\n"
		      "app.c:42 5000/1048576 news\n"
		      "app.c:42 18446744073709551615/0 news\n"
		      "app.c:42 18446744073709551615/0\n");
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		FRESH(a_tick_names_its_culprits_longest_first_and_the_waits_of_the_others),
		FRESH(a_task_could_run_from_its_timer_on),
		FRESH(a_yield_ends_the_step_and_is_ready_at_once),
		FRESH(nothing_is_reported_across_a_gap),
		FRESH(a_snapshot_restores_states_and_retires_tasks_that_ended_unseen),
		FRESH(ends_are_told_apart_and_a_task_may_end_without_having_run),
		FRESH(what_the_application_says_belongs_to_the_task_that_it_was_in),
		FRESH(a_site_keeps_the_most_stack_that_its_tasks_used),
		FRESH(contradictions_are_counted_and_believed_the_first_time),
		FRESH(hostile_numbers_of_tasks_and_sites_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
