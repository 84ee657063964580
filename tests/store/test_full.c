/* SPDX-License-Identifier: MIT */
/* A disk that is full from the first write on that needs room, from the second, ... until the whole
 * capture comes through; and one that has no room for a single write. Each time the error is said,
 * what was said to be committed is there, nothing that was not put is, and no half file lies about.
 */
#include "fixture.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS	  5
#define ROWS_EACH 12
#define ROWS	  (ROUNDS * ROWS_EACH)

static long before;  /* writes until there is no room; -1: there is */
static long lacking; /* so many find none */

static bool has_room(void)
{
	if (before < 0 || before-- > 0)
		return true;
	if (!lacking) {
		before = -1;
		return true;
	}
	lacking--;
	before = 0;
	errno = ENOSPC;
	return false;
}

/* What lies within a file has its room already. */
static bool lies_within(int fd, off_t end)
{
	struct stat st;

	return fstat(fd, &st) == 0 && end <= st.st_size;
}

static ssize_t write_at(int fd, const void *data, size_t size, off_t at)
{
	bool may = lies_within(fd, at + (off_t)size) || has_room();

	return may ? pwrite(fd, data, size, at) : -1;
}

static ssize_t write_on(int fd, const void *data, size_t size)
{
	bool may = lies_within(fd, lseek(fd, 0, SEEK_CUR) + (off_t)size) || has_room();

	return may ? write(fd, data, size) : -1;
}

static int enter(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	if (vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)write_at) ||
	    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)write_at) ||
	    vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)write_on))
		return -1;
	return fixture_enter(state);
}

static int leave(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	return vfs->xSetSystemCall(vfs, NULL, NULL) | fixture_leave(state);
}

/* What one writer was told. */
struct told {
	bool created, published, finished;
	bool committed[ROWS + 1]; /* by id */
};

static void write_capture(struct told *t)
{
	static const struct store_create_options o = {.owner = (uid_t)-1, .group = (gid_t)-1};
	struct store *s;
	char name[900];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	int r = store_create("x.lsc", &o, &s, NULL);
	t->created = r == 0;
	if (r) {
		assert_true(r == -ENOSPC || r == -EIO);
		return;
	}
	for (int round = 0; round < ROUNDS; round++) {
		int failed = 0;

		for (int i = 1; i <= ROWS_EACH; i++) {
			struct store_task task = {.id = round * ROWS_EACH + i, .name = name};
			r = store_put_task(s, &task);
			failed = failed ? failed : r;
		}
		r = store_commit(s);
		assert_int_equal(r, failed ? failed : r);
		assert_true(r == 0 || r == -ENOSPC || r == -EIO);
		for (int i = 1; r == 0 && i <= ROWS_EACH; i++)
			t->committed[round * ROWS_EACH + i] = true;
		if (round == 1)
			t->published = store_publish(s, NULL) == 0;
	}
	r = store_finish(s, NULL);
	t->finished = r == 0;
	t->published = t->published || t->finished;
	assert_true(r == 0 || r == -ENOSPC || r == -EIO);
}

static int see(const struct store_task *row, void *arg)
{
	bool *seen = arg;

	assert_in_range(row->id, 1, ROWS);
	assert_false(seen[row->id]);
	assert_int_equal(strlen(row->name), 899);
	seen[row->id] = true;
	return 0;
}

static void check(const struct told *t)
{
	bool seen[ROWS + 1] = {false};

	if (access("x.lsc", F_OK)) {
		assert_false(t->published);
		assert_int_equal(fixture_entries(), 0);
		return;
	}
	assert_true(t->created);
	struct store *s = fixture_open("x.lsc");
	assert_int_equal(store_each_task(s, see, seen), 0);
	store_close(s);
	for (int id = 1; id <= ROWS; id++)
		assert_true(seen[id] || !t->committed[id]);
	if (t->finished)
		assert_int_equal(fixture_entries(), 1);
}

/* Returns how many points there are at which the room may end. */
static long sweep(long writes)
{
	for (long n = 0;; n++) {
		struct told t = {0};

		before = n;
		lacking = writes;
		write_capture(&t);
		bool through = before > 0;
		before = -1;
		check(&t);
		unlink("x.lsc");
		unlink("x.lsc-wal");
		unlink("x.lsc-shm");
		assert_int_equal(fixture_entries(), 0);
		if (through) {
			assert_true(t.finished && t.committed[1] && t.committed[ROWS]);
			return n;
		}
	}
}

static void a_disk_that_is_full_from_any_write_on_is_said_and_leaves_a_sound_capture(void **state)
{
	(void)state;
	assert_true(sweep(1000000) > ROUNDS);
}

static void a_disk_that_lacks_room_for_any_one_write_loses_what_it_says(void **state)
{
	(void)state;
	assert_true(sweep(1) > ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_disk_that_is_full_from_any_write_on_is_said_and_leaves_a_sound_capture,
			enter, leave),
		cmocka_unit_test_setup_teardown(
			a_disk_that_lacks_room_for_any_one_write_loses_what_it_says, enter, leave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
