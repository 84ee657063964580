/* SPDX-License-Identifier: MIT */
/* The views, as a person sees them who opens the capture with SQLite. */
#include "fixture.h"

#include <sqlite3.h>
#include <string.h>

static int open_small(void **state)
{
	sqlite3 *db;

	if (fixture_enter(state))
		return -1;
	fixture_small_capture("x.lsc");
	return sqlite3_open_v2("x.lsc", &db, SQLITE_OPEN_READONLY, NULL) || sqlite3_close(db);
}

/* Asserts that the query answers with exactly this: columns divided by '|', rows by '\n'. */
static void assert_answer(const char *sql, const char *want)
{
	char got[4096] = "";
	sqlite3 *db;
	sqlite3_stmt *st;
	int rc;

	assert_int_equal(sqlite3_open_v2("x.lsc", &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL))
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const char *text = (const char *)sqlite3_column_text(st, i);
			strcat(strcat(got, i ? "|" : ""), text ? text : "NULL");
		}
		strcat(got, "\n");
	}
	assert_int_equal(rc, SQLITE_DONE);
	sqlite3_finalize(st);
	sqlite3_close(db);
	assert_string_equal(got, want);
}

static void stalls_name_their_cause_task_function_and_process(void **state)
{
	(void)state;
	assert_answer("SELECT * FROM stalls",
		      "1|1000.0|300.2|sleep|sleep 300.0, cpu-user "
		      "0.2|serve|debugCommand|observed|4242|4243|redis-io\n");
}

static void blocks_name_the_call_and_what_it_waited_for(void **state)
{
	(void)state;
	assert_answer("SELECT id, stall, start_ms, duration_ms, cause, syscall, args, resource, "
		      "task, function, pid, comm"
		      " FROM blocks",
		      "1|1|1000.1|300.0|sleep|clock_nanosleep|{\"ms\":300}|timer|serve|"
		      "debugCommand|4242|redis-io\n");
}

static void victims_are_the_waits_of_the_loop_that_overlap_the_stall(void **state)
{
	(void)state;
	assert_answer("SELECT stall, kind, name, fd, peer, ready_ms, wait_ms FROM victims",
		      "1|socket|NULL|9|127.0.0.1:51204|1000.4|299.8\n"
		      "1|task|reply|NULL|NULL|1000.0|9.0\n");
}

static void tasks_show_parent_awaited_task_and_unknown_times_as_null(void **state)
{
	(void)state;
	assert_answer("SELECT id, name, kind, function, line, parent, state, waiting_on, awaits, "
		      "created_ms, ended_ms,"
		      " steps, max_step_ms, ready_wait_max_ms FROM tasks ORDER BY id",
		      "1|serve|task|NULL|NULL|NULL|suspended|task|reply|NULL|NULL|3|300.0|NULL\n"
		      "2|reply|callback|spawn|12|serve|done|NULL|NULL|2.0|3.5|0|0.0|100.0\n");
}

static void loops_show_utilisation_and_lag(void **state)
{
	(void)state;
	assert_answer(
		"SELECT id, pid, tid, comm, wait_syscall, wait_fd, source, ticks, busy_pct, "
		"lag_p50_ms, lag_p99_ms,"
		" lag_max_ms, stalls, stalled_ms FROM loops",
		"1|4242|4243|redis-io|epoll_wait|5|bpf|100|25.0|50.332|100.0|100.0|1|300.2\n");
}

static void marks_show_the_stall_that_they_lie_in(void **state)
{
	(void)state;
	assert_answer("SELECT * FROM marks",
		      "2|0.5|NULL|NULL|NULL|4242|4243|redis-io\n"
		      "1|1002.0|checkout begin|serve|1|4242|4243|redis-io\n");
}

static void counters_show_their_last_least_and_greatest_value(void **state)
{
	(void)state;
	assert_answer("SELECT * FROM counters", "1|open orders|4|-1|9|3|2.5|4242|4243|redis-io\n");
}

static void use_of_stacks_is_in_kib_and_in_percent(void **state)
{
	(void)state;
	assert_answer("SELECT * FROM site_stacks",
		      "1|serve|app.c|88|3.2|64.0|5.0|4242|4243|redis-io\n"
		      "2|NULL|NULL|NULL|1.0|NULL|NULL|4242|4243|redis-io\n");
}

static void the_file_says_what_it_is(void **state)
{
	(void)state;
	assert_answer("PRAGMA application_id", "1280525105\n");
	assert_answer("PRAGMA user_version", "3\n");
	assert_answer("PRAGMA journal_mode", "delete\n");
	assert_answer("PRAGMA integrity_check", "ok\n");
	assert_answer("SELECT count(*), min(name) FROM cause", "16|child-wait\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stalls_name_their_cause_task_function_and_process),
		cmocka_unit_test(blocks_name_the_call_and_what_it_waited_for),
		cmocka_unit_test(victims_are_the_waits_of_the_loop_that_overlap_the_stall),
		cmocka_unit_test(tasks_show_parent_awaited_task_and_unknown_times_as_null),
		cmocka_unit_test(loops_show_utilisation_and_lag),
		cmocka_unit_test(marks_show_the_stall_that_they_lie_in),
		cmocka_unit_test(counters_show_their_last_least_and_greatest_value),
		cmocka_unit_test(use_of_stacks_is_in_kib_and_in_percent),
		cmocka_unit_test(the_file_says_what_it_is),
	};
	return cmocka_run_group_tests(tests, open_small, fixture_leave);
}
