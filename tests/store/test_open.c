/* SPDX-License-Identifier: MIT */
/* Opening what is not a sound capture: the exact sentence, and not one byte changed. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static int each_with_a_small_capture(void **state)
{
	if (fixture_enter(state))
		return -1;
	fixture_small_capture("x.lsc");
	return 0;
}

static void assert_refused(const char *path, int code, const char *text)
{
	struct lsc_err err = {0};
	struct store *s = NULL;
	struct stat st;
	size_t size = 0, after = 0;
	bool regular = !stat(path, &st) && S_ISREG(st.st_mode);
	uint8_t *before = regular ? fixture_read(path, &size) : NULL;
	int entries = fixture_entries();

	assert_int_equal(store_open(path, &s, &err), code);
	assert_null(s);
	if (text)
		assert_string_equal(err.text, text);
	assert_int_equal(fixture_entries(), entries);
	uint8_t *now = regular ? fixture_read(path, &after) : NULL;
	assert_int_equal(after, size);
	if (regular)
		assert_memory_equal(before, now, size);
	free(before);
	free(now);
}

static void other_files_are_no_captures(void **state)
{
	(void)state;
	sqlite3 *db;

	fixture_write("empty", "", 0);
	fixture_write("text", "hello\n", 6);
	char long_text[300];
	memset(long_text, 'a', sizeof(long_text));
	memcpy(long_text, "SQLite format 3", 16);
	fixture_write("magic", long_text, sizeof(long_text));
	assert_int_equal(sqlite3_open("other.db", &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "CREATE TABLE t(x); PRAGMA user_version = 7", NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(mkdir("dir", 0700), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_refused("empty", -EBADMSG, "'empty' is not a loopscope capture");
	assert_refused("text", -EBADMSG, "'text' is not a loopscope capture");
	assert_refused("magic", -EBADMSG, "'magic' is not a loopscope capture");
	assert_refused("other.db", -EBADMSG, "'other.db' is not a loopscope capture");
	assert_refused("dir", -EBADMSG, "'dir' is not a loopscope capture");
	assert_refused("fifo", -EBADMSG, "'fifo' is not a loopscope capture");
	assert_refused("/dev/zero", -EBADMSG, "'/dev/zero' is not a loopscope capture");
	assert_refused("absent", -ENOENT, "cannot open 'absent': No such file or directory");
}

static void newer_schemas_are_refused_with_both_numbers(void **state)
{
	(void)state;
	fixture_change("x.lsc", "PRAGMA user_version = 7");
	assert_refused(
		"x.lsc", -EPROTO,
		"'x.lsc' was written by a newer loopscope (schema 7, this one reads up to 3)");
	fixture_change("x.lsc", "PRAGMA user_version = 0");
	assert_refused("x.lsc", -EBADMSG, "'x.lsc' is damaged: it has no schema version");
	fixture_change("x.lsc", "PRAGMA user_version = -5");
	assert_refused("x.lsc", -EBADMSG, "'x.lsc' is damaged: it has no schema version");
}

static void a_schema_that_is_not_ours_is_refused(void **state)
{
	(void)state;
	static const char *const edits[] = {
		"DROP TABLE wait; CREATE VIEW wait AS SELECT 1 AS id",
		"DROP VIEW stalls",
		"CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM stall; END",
		"CREATE TABLE extra(x)",
		"CREATE VIEW zzz AS SELECT load_extension('x')",
		"ALTER TABLE task ADD COLUMN more TEXT",
		"ALTER TABLE task RENAME COLUMN steps TO stepz",
		"DROP TABLE sample; CREATE TABLE sample(id INTEGER PRIMARY KEY)",
	};

	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		fixture_change("x.lsc", edits[i]);
		assert_refused("x.lsc", -EBADMSG,
			       "'x.lsc' is damaged: its tables are not those of schema 3");
		assert_int_equal(unlink("x.lsc"), 0);
		fixture_small_capture("x.lsc");
	}
}

static int ignore_block(const struct store_block *row, void *arg)
{
	(void)row;
	(void)arg;
	return 0;
}

static int ignore_task(const struct store_task *row, void *arg)
{
	(void)row;
	(void)arg;
	return 0;
}

static int ignore_stack(const struct store_stack *row, void *arg)
{
	for (size_t i = 0; i < row->nframes; i++)
		if (row->frames[i].function)
			*(size_t *)arg += strlen(row->frames[i].function);
	return 0;
}

static void values_out_of_their_range_make_the_capture_damaged(void **state)
{
	(void)state;
	struct store *s;
	size_t n = 0;

	fixture_change("x.lsc", "UPDATE block SET cause = -1");
	s = fixture_open("x.lsc");
	assert_int_equal(store_each_block(s, ignore_block, NULL), -EBADMSG);
	store_close(s);
	fixture_change("x.lsc", "UPDATE block SET cause = 0, path = printf('%.5000c', 'x')");
	s = fixture_open("x.lsc");
	assert_int_equal(store_each_block(s, ignore_block, NULL), -EBADMSG);
	store_close(s);
	fixture_change("x.lsc", "UPDATE block SET path = NULL, waker_pid = 1 << 40");
	s = fixture_open("x.lsc");
	assert_int_equal(store_each_block(s, ignore_block, NULL), -EBADMSG);
	store_close(s);
	fixture_change("x.lsc", "UPDATE task SET ready_wait = x'ffffff'");
	s = fixture_open("x.lsc");
	assert_int_equal(store_each_task(s, ignore_task, NULL), -EBADMSG);
	store_close(s);
	fixture_change(
		"x.lsc",
		"WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < 2000) "
		"INSERT INTO frame SELECT 1, i, 0, 'f', NULL, 0, NULL, NULL, 0, 0 FROM c");
	s = fixture_open("x.lsc");
	assert_int_equal(store_each_stack(s, ignore_stack, &n), -EBADMSG);
	store_close(s);
}

static int see_other(const struct store_stall *row, void *arg)
{
	assert_int_equal(row->split[LSC_CAUSE_OTHER], 300000000);
	++*(int *)arg;
	return 0;
}

static void a_cause_of_a_later_version_counts_as_other(void **state)
{
	(void)state;
	int seen = 0;

	fixture_change("x.lsc", "UPDATE stall_split SET cause = 77 WHERE cause = 0");
	struct store *s = fixture_open("x.lsc");
	assert_int_equal(store_each_stall(s, see_other, &seen), 0);
	assert_int_equal(seen, 1);
	store_close(s);
}

/* Opens whatever it is, and reads all that a report reads. */
static void walk(const char *path)
{
	struct lsc_err err = {0};
	struct store *s;
	size_t n = 0;
	int r = store_open(path, &s, &err);

	if (r) {
		assert_true(r == -EBADMSG || r == -EPROTO);
		if (strncmp(err.text, "'bad.lsc' ", 10) != 0 || strchr(err.text, '\n'))
			fail_msg("%d: %s", r, err.text);
		return;
	}
	store_each_block(s, ignore_block, NULL);
	store_each_task(s, ignore_task, NULL);
	store_each_stack(s, ignore_stack, &n);
	store_meta_get_int(s, STORE_META_START_NS, 0);
	store_close(s);
}

static void damage_is_noticed_and_never_repaired_in_place(void **state)
{
	(void)state;
	uint64_t seed = fixture_seed();
	size_t size, after;
	uint8_t *good = fixture_read("x.lsc", &size), *bad = malloc(size);

	assert_non_null(bad);
	for (int i = 0; i < 300; i++) {
		size_t length = i % 3 ? size : fixture_random(&seed) % size;
		memcpy(bad, good, size);
		for (uint64_t flips = i % 3 ? 1 + fixture_random(&seed) % 40 : 0; flips; flips--)
			bad[fixture_random(&seed) % (i % 2 ? size : 200)] =
				(uint8_t)fixture_random(&seed);
		fixture_write("bad.lsc", bad, length);
		walk("bad.lsc");
		uint8_t *now = fixture_read("bad.lsc", &after);
		assert_int_equal(after, length);
		assert_memory_equal(bad, now, length);
		free(now);
		assert_int_equal(fixture_entries(), 2);
	}
	free(good);
	free(bad);
}

static void a_page_of_garbage_is_named_damaged(void **state)
{
	(void)state;
	size_t size;
	uint8_t *data = fixture_read("x.lsc", &size);
	struct lsc_err err = {0};
	struct store *s;

	memset(data + 4096 * 5L, 0x5a, 4096);
	fixture_write("x.lsc", data, size);
	assert_int_equal(store_open("x.lsc", &s, &err), -EBADMSG);
	assert_ptr_equal(strstr(err.text, "'x.lsc' is damaged: "), err.text);
	free(data);
}

static void a_capture_that_lacks_its_end_is_named_truncated(void **state)
{
	(void)state;
	size_t size, lengths[] = {1, 100, 4096, 40960};
	uint8_t *data = fixture_read("x.lsc", &size);
	char text[120];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		fixture_write("x.lsc", data, size - lengths[i]);
		snprintf(text, sizeof(text),
			 "'x.lsc' is truncated: it has %zu of %zu bytes; copy it again",
			 size - lengths[i], size);
		assert_refused("x.lsc", -EBADMSG, text);
	}
	free(data);
}

/* Leaves a capture with its -wal behind, as a killed writer does: the row "cut" lies in the -wal
 * only. */
static void cut_off_capture(const char *path)
{
	char wal[64];
	size_t size, wal_size;
	struct store *s = fixture_create("live.lsc");

	assert_int_equal(store_meta_put(s, "cut", "off"), 0);
	assert_int_equal(store_commit(s), 0);
	uint8_t *file = fixture_read("live.lsc", &size),
		*log = fixture_read("live.lsc-wal", &wal_size);
	assert_true(wal_size > 0);
	store_close(s);
	unlink("live.lsc");
	snprintf(wal, sizeof(wal), "%s-wal", path);
	fixture_write(path, file, size);
	fixture_write(wal, log, wal_size);
	free(file);
	free(log);
}

static void a_cut_off_capture_opens_with_its_wal_and_nothing_changes(void **state)
{
	(void)state;
	cut_off_capture("c.lsc");
	size_t size[4];
	uint8_t *data[4] = {fixture_read("c.lsc", &size[0]), fixture_read("c.lsc-wal", &size[1])};
	int entries = fixture_entries();

	for (int i = 0; i < 2; i++) { /* a second time: the first changed nothing that matters */
		struct store *s = fixture_open("c.lsc");
		assert_string_equal(store_meta_get(s, "cut"), "off");
		assert_int_equal(store_meta_get_int(s, STORE_META_END_NS, -1), -1);
		store_close(s);
	}
	assert_int_equal(fixture_entries(), entries);
	data[2] = fixture_read("c.lsc", &size[2]);
	data[3] = fixture_read("c.lsc-wal", &size[3]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(size[i], size[i + 2]);
		assert_memory_equal(data[i], data[i + 2], size[i]);
	}
	for (int i = 0; i < 4; i++)
		free(data[i]);

	/* without its -wal it is what was checkpointed last: nothing yet */
	unlink("c.lsc-wal");
	struct store *s = fixture_open("c.lsc");
	assert_null(store_meta_get(s, "cut"));
	store_close(s);
	assert_int_equal(fixture_entries(), entries - 1);
}

static void names_with_every_character_open(void **state)
{
	(void)state;
	static const char *const names[] = {"a b.lsc", "50%41.lsc",    "q?mode=memory", "h#x.lsc",
					    "file:x",  "\xff\xfe.lsc", ":memory:"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		fixture_small_capture(names[i]);
		struct store *s = fixture_open(names[i]);
		assert_string_equal(store_meta_get(s, STORE_META_MODE), "attach");
		store_close(s);
	}
	assert_int_equal(fixture_entries(), 1 + (int)(sizeof(names) / sizeof(names[0])));
}

static bool opens_with(const char *path, const char *key, const char *value)
{
	struct store *s;

	if (store_open(path, &s, NULL))
		return false;
	const char *got = store_meta_get(s, key);
	bool same = got && !strcmp(got, value);
	store_close(s);
	return same;
}

static void a_reader_without_rights_in_the_directory_opens_both_kinds(void **state)
{
	(void)state;
	if (geteuid())
		skip(); /* needs another uid to be refused by */
	cut_off_capture("c.lsc");
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(chmod("x.lsc", 0644), 0);
	assert_int_equal(chmod("c.lsc", 0644), 0);
	assert_int_equal(chmod("c.lsc-wal", 0644), 0);
	int entries = fixture_entries(), status;
	pid_t pid = fork();

	if (!pid) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(9);
		_exit(!opens_with("x.lsc", STORE_META_MODE, "attach") +
		      2 * !opens_with("c.lsc", "cut", "off"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fixture_entries(), entries);
	assert_int_equal(chmod("x.lsc", 0600), 0);
	pid = fork();
	if (!pid) {
		struct store *s;
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(9);
		_exit(store_open("x.lsc", &s, NULL) != -EACCES);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A reader in a process of its own, forked before the writer opens anything: SQLite's book of locks
 * would come along otherwise. It is told by one byte what to do, and answers; it ends with its
 * socket. */
struct reader {
	pid_t pid;
	int fd;
};

static int hold_until_told(const char *key, const char *value, void *arg)
{
	char c;
	int fd = *(int *)arg;

	(void)key;
	(void)value;
	return write(fd, "held", 4) != 4 || read(fd, &c, 1) != 1;
}

static void read_on_demand(int fd)
{
	struct store *s;
	char c;

	while (read(fd, &c, 1) == 1) {
		if (store_open("live.lsc", &s, NULL))
			_exit(1);
		const char *turn = store_meta_get(s, "turn");
		const char *answer = c == 'l' ? (store_is_live(s) ? "live" : "over") : turn;
		int r = c == 'h' ? store_each_meta(s, hold_until_told, &fd)
				 : write(fd, answer ? answer : "none", 4) != 4;
		store_close(s);
		if (r)
			_exit(2);
	}
	_exit(0);
}

static struct reader start_reader(void)
{
	struct reader r;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	r.pid = fork();
	if (!r.pid) {
		close(pair[0]);
		read_on_demand(pair[1]);
	}
	close(pair[1]);
	r.fd = pair[0];
	return r;
}

static void assert_answers(const struct reader *r, const char *command, const char *want)
{
	char got[5] = "";

	assert_int_equal(write(r->fd, command, 1), 1);
	assert_int_equal(read(r->fd, got, 4), 4);
	assert_string_equal(got, want);
}

static void end_reader(const struct reader *r)
{
	int status;

	close(r->fd);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_int_equal(status, 0);
}

static void a_reader_looks_on_while_the_capture_is_written(void **state)
{
	(void)state;
	struct reader reader = start_reader();
	struct store *s = fixture_create("live.lsc");
	char turn[12];

	for (int i = 0; i < 3; i++) {
		snprintf(turn, sizeof(turn), "%04d", i);
		assert_int_equal(store_meta_put(s, "turn", turn), 0);
		assert_int_equal(store_commit(s), 0);
		assert_int_equal(store_meta_put(s, "turn", "not committed"), 0);
		assert_answers(&reader, "t", turn);
		assert_answers(&reader, "l", "live");
	}
	assert_int_equal(store_meta_put(s, "turn", "last"), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	assert_answers(&reader, "t", "last");
	assert_answers(&reader, "l", "over");
	end_reader(&reader);
}

static void finishing_under_a_reader_says_that_the_wal_stays(void **state)
{
	(void)state;
	struct reader reader = start_reader();
	struct store *s = fixture_create("live.lsc");
	struct lsc_err err = {0};

	assert_int_equal(store_meta_put(s, "turn", "1st."), 0);
	assert_int_equal(store_commit(s), 0);
	assert_answers(&reader, "h", "held");
	assert_int_equal(store_meta_put(s, "turn", "2nd."), 0);
	assert_int_equal(store_finish(s, &err), -EBUSY);
	assert_string_equal(err.text,
			    "'live.lsc' is complete, but somebody reads it: its -wal stays");
	assert_int_equal(write(reader.fd, "g", 1), 1);
	assert_answers(&reader, "t", "2nd.");
	end_reader(&reader);
}

int main(void)
{
#define WITH_A_CAPTURE(test)                                                                       \
	cmocka_unit_test_setup_teardown(test, each_with_a_small_capture, fixture_leave)
	const struct CMUnitTest tests[] = {
		WITH_A_CAPTURE(other_files_are_no_captures),
		WITH_A_CAPTURE(newer_schemas_are_refused_with_both_numbers),
		WITH_A_CAPTURE(a_schema_that_is_not_ours_is_refused),
		WITH_A_CAPTURE(values_out_of_their_range_make_the_capture_damaged),
		WITH_A_CAPTURE(a_cause_of_a_later_version_counts_as_other),
		WITH_A_CAPTURE(damage_is_noticed_and_never_repaired_in_place),
		WITH_A_CAPTURE(a_page_of_garbage_is_named_damaged),
		WITH_A_CAPTURE(a_capture_that_lacks_its_end_is_named_truncated),
		WITH_A_CAPTURE(a_cut_off_capture_opens_with_its_wal_and_nothing_changes),
		WITH_A_CAPTURE(names_with_every_character_open),
		WITH_A_CAPTURE(a_reader_without_rights_in_the_directory_opens_both_kinds),
		WITH_A_CAPTURE(a_reader_looks_on_while_the_capture_is_written),
		WITH_A_CAPTURE(finishing_under_a_reader_says_that_the_wal_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
