/* SPDX-License-Identifier: MIT */
/* Captures of older schemas: read as if they were of ours, never changed, hostile all the same. */
#include "fixture.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* old.lsc, of that version. */
static void make_version(int version)
{
	char path[PATH_MAX];
	size_t size;

	snprintf(path, sizeof(path), FIXTURES "/version_%d.sql", version);
	uint8_t *sql = fixture_read(path, &size);

	sql[size] = '\0';
	unlink("old.lsc");
	fixture_change("old.lsc", (char *)sql);
	free(sql);
}

static int each_with_version_1(void **state)
{
	if (fixture_enter(state))
		return -1;
	make_version(1);
	return 0;
}

static int see_task(const struct store_task *row, void *arg)
{
	assert_string_equal(row->name, "serve");
	assert_int_equal(row->spawn_site.line, 12);
	++*(int *)arg;
	return 0;
}

static int see_stall(const struct store_stall *row, void *arg)
{
	assert_int_equal(row->split[LSC_CAUSE_SLEEP], 400);
	assert_int_equal(row->task, 1);
	++*(int *)arg;
	return 0;
}

static int see_mark(const struct store_mark *row, void *arg)
{
	assert_string_equal(row->text, "checkout begin");
	++*(int *)arg;
	return 0;
}

static int see_counter(const struct store_counter *row, void *arg)
{
	assert_int_equal(row->max, 9);
	++*(int *)arg;
	return 0;
}

static int see_site_stack(const struct store_site_stack *row, void *arg)
{
	(void)row;
	++*(int *)arg;
	return 0;
}

/* With so many rows of what version 2 brought. */
static void assert_reads(int said)
{
	size_t size, after;
	uint8_t *before = fixture_read("old.lsc", &size);
	int entries = fixture_entries(), seen = 0;
	struct store *s = fixture_open("old.lsc");

	assert_int_equal(store_each_task(s, see_task, &seen), 0);
	assert_int_equal(store_each_stall(s, see_stall, &seen), 0);
	assert_int_equal(seen, 2);
	assert_int_equal(store_each_mark(s, see_mark, &seen), 0);
	assert_int_equal(store_each_counter(s, see_counter, &seen), 0);
	assert_int_equal(seen, 2 + said);
	assert_int_equal(store_each_site_stack(s, see_site_stack, &seen), 0);
	assert_int_equal(seen, 2 + said); /* there were none */
	assert_int_equal(store_meta_get_int(s, STORE_META_START_NS, 0), 1000);
	assert_int_equal(store_meta_put(s, "a", "b"), -EROFS);
	store_close(s);
	assert_int_equal(fixture_entries(), entries);
	uint8_t *now = fixture_read("old.lsc", &after);
	assert_int_equal(after, size);
	assert_memory_equal(before, now, size);
	free(before);
	free(now);
}

static void a_capture_of_an_older_version_reads_as_one_of_ours(void **state)
{
	(void)state;
	assert_reads(0);
	make_version(2);
	assert_reads(2);
}

static void one_that_its_writer_left_unfinished_reads_too(void **state)
{
	(void)state;
	sqlite3 *db;

	fixture_change("old.lsc", "PRAGMA journal_mode = WAL");
	assert_int_equal(sqlite3_open("old.lsc", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "INSERT INTO task SELECT 2, loop, 2, name, kind, "
				      "spawn_function, spawn_file, spawn_line, parent, state, "
				      "waiting_on, awaits, created_ns, ended_ns, steps, run_ns, "
				      "max_step_ns, NULL, NULL, NULL, NULL FROM task",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	struct store *s = fixture_open("old.lsc"); /* its writer is at it still */
	int seen = 0;
	assert_int_equal(store_each_task(s, see_task, &seen), 0);
	assert_int_equal(seen, 2);
	store_close(s);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_hostile_one_is_refused_and_runs_nothing(void **state)
{
	(void)state;
	static const struct {
		int version;
		const char *sql;
	} edits[] = {
		{1, "CREATE TABLE extra(x)"},
		{1, "CREATE TABLE mark(id INTEGER PRIMARY KEY)"},
		{1, "CREATE VIEW marks AS SELECT 1"},
		{1, "DROP TABLE stall"},
		{1, "DROP VIEW origin; CREATE VIEW origin AS SELECT writefile('ran', 'x') AS ns"},
		{1, "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM stall; END"},
		{1, "ALTER TABLE task ADD COLUMN more TEXT"},
		{1, "CREATE TABLE site_stack(id INTEGER PRIMARY KEY)"},
		{2, "CREATE TABLE site_stack(id INTEGER PRIMARY KEY)"},
		{2, "DROP VIEW marks; CREATE VIEW marks AS SELECT writefile('ran', 'x') AS id"},
		{2, "ALTER TABLE counter ADD COLUMN more TEXT"},
	};
	char want[80];
	struct store *s = NULL;
	struct lsc_err err = {0};

	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		make_version(edits[i].version);
		fixture_change("old.lsc", edits[i].sql);
		int entries = fixture_entries();
		assert_int_equal(store_open("old.lsc", &s, &err), -EBADMSG);
		snprintf(want, sizeof(want),
			 "'old.lsc' is damaged: its tables are not those of schema %d",
			 edits[i].version);
		assert_string_equal(err.text, want);
		assert_int_equal(fixture_entries(), entries);
	}
	assert_null(s);
}

static void damage_is_found_in_the_copy(void **state)
{
	(void)state;
	struct store *s = NULL;
	struct lsc_err err = {0};
	size_t size;
	uint8_t *data = fixture_read("old.lsc", &size);

	/* every page but the first, which holds the schema's beginning */
	memset(data + 4096, 0xa5, size - 4096);
	fixture_write("old.lsc", data, size);
	free(data);
	assert_int_equal(store_open("old.lsc", &s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "'old.lsc' is damaged"));
	assert_null(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, each_with_version_1, fixture_leave)
	const struct CMUnitTest tests[] = {
		TEST(a_capture_of_an_older_version_reads_as_one_of_ours),
		TEST(one_that_its_writer_left_unfinished_reads_too),
		TEST(a_hostile_one_is_refused_and_runs_nothing),
		TEST(damage_is_found_in_the_copy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
