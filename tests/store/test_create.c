/* SPDX-License-Identifier: MIT */
/* Creating a capture: names, owners, links, what is left after an error, the size bound, a full
 * disk. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static const struct store_create_options plain = {.owner = (uid_t)-1, .group = (gid_t)-1};
static const struct store_create_options over = {
	.owner = (uid_t)-1, .group = (gid_t)-1, .overwrite = true};

/* On a file system that has no files without a name. */
static bool all_have_names;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode = 0;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if (flags & __O_TMPFILE && all_have_names) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return __real_open(path, flags, mode);
}

static int each_in_its_own_directory(void **state)
{
	return fixture_enter(state);
}

static void assert_refused(const char *path, const struct store_create_options *o, int code,
			   const char *text)
{
	struct lsc_err err = {0};
	struct store *s = NULL;
	int before = fixture_entries();

	assert_int_equal(store_create(path, o, &s, &err), code);
	assert_null(s);
	assert_int_equal(err.code, code);
	assert_string_equal(err.text, text);
	assert_int_equal(fixture_entries(), before);
}

static void the_mode_does_not_depend_on_the_umask_and_the_owner_is_given(void **state)
{
	(void)state;
	struct store_create_options o = {.owner = (uid_t)-1, .group = (gid_t)-1};
	struct stat st;
	struct store *s;

	mode_t old = umask(0777);
	assert_int_equal(store_create("a.lsc", &o, &s, NULL), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	o.mode = 0604;
	assert_int_equal(store_create("b.lsc", &o, &s, NULL), 0);
	assert_int_equal(store_publish(s, NULL), 0);
	store_close(s);
	umask(old);
	assert_int_equal(stat("a.lsc", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(stat("b.lsc", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0604);
	o.owner = o.group = geteuid() ? geteuid() : NOBODY;
	if (geteuid())
		o.group = getegid();
	assert_int_equal(store_create("c.lsc", &o, &s, NULL), 0);
	assert_int_equal(store_publish(s, NULL), 0);
	assert_int_equal(stat("c.lsc", &st), 0);
	assert_int_equal(st.st_uid, o.owner);
	assert_int_equal(st.st_gid, o.group);
	assert_int_equal(stat("c.lsc-wal", &st), 0);
	assert_int_equal(st.st_uid, o.owner);
	store_close(s);
}

static void what_exists_stays_unless_it_may_be_overwritten(void **state)
{
	(void)state;
	size_t size;
	struct store *s;

	fixture_write("x.lsc", "precious", 8);
	assert_refused("x.lsc", &plain, -EEXIST, "'x.lsc' exists");
	assert_refused("x.lsc", &over, -EBADMSG,
		       "'x.lsc' exists and is no capture: name another file");
	uint8_t *data = fixture_read("x.lsc", &size);
	assert_int_equal(size, 8);
	assert_memory_equal(data, "precious", 8);
	free(data);

	fixture_write("x.lsc", "", 0);
	for (int i = 0; i < 2; i++) { /* an empty file, then a capture */
		assert_int_equal(store_create("x.lsc", &over, &s, NULL), 0);
		assert_int_equal(store_finish(s, NULL), 0);
		assert_int_equal(fixture_entries(), 1);
		store_close(fixture_open("x.lsc"));
	}
}

static void links_directories_and_missing_directories_are_refused(void **state)
{
	(void)state;
	fixture_write("victim", "precious", 8);
	assert_int_equal(symlink("victim", "link.lsc"), 0);
	assert_int_equal(symlink("nowhere", "dangling.lsc"), 0);
	assert_int_equal(mkdir("dir.lsc", 0700), 0);
	assert_refused("link.lsc", &plain, -EEXIST, "'link.lsc' exists");
	assert_refused("link.lsc", &over, -ELOOP, "'link.lsc' is a symbolic link");
	assert_refused("dangling.lsc", &plain, -EEXIST, "'dangling.lsc' exists");
	assert_refused("dangling.lsc", &over, -ELOOP, "'dangling.lsc' is a symbolic link");
	assert_refused("dir.lsc", &over, -EISDIR, "cannot create 'dir.lsc': Is a directory");
	assert_refused("no/x.lsc", &plain, -ENOENT,
		       "cannot create 'no/x.lsc': No such file or directory");
	size_t size;
	uint8_t *data = fixture_read("victim", &size);
	assert_int_equal(size, 8);
	free(data);
}

static void a_stale_wal_never_reaches_the_new_capture(void **state)
{
	(void)state;
	struct store *s;

	/* somebody's -wal counts as something that exists, and is told by its name */
	static const char refusal[] = "'x.lsc-wal' exists, though its capture is gone: remove it, "
				      "or name another file";
	fixture_write("x.lsc-wal", "stale", 5);
	assert_refused("x.lsc", &plain, -EEXIST, refusal);
	assert_refused("x.lsc", &over, -EEXIST, refusal);
	unlink("x.lsc-wal");

	/* a cut-off capture is replaced with its -wal */
	s = fixture_create("x.lsc");
	assert_int_equal(store_meta_put(s, "from", "old"), 0);
	assert_int_equal(store_commit(s), 0);
	size_t size;
	uint8_t *file = fixture_read("x.lsc", &size), *wal;
	size_t wal_size;
	wal = fixture_read("x.lsc-wal", &wal_size);
	assert_true(wal_size > 0);
	store_close(s);
	fixture_write("x.lsc", file, size);
	fixture_write("x.lsc-wal", wal, wal_size);
	free(file);
	free(wal);
	s = fixture_open("x.lsc");
	assert_string_equal(store_meta_get(s, "from"), "old");
	store_close(s);
	assert_int_equal(store_create("x.lsc", &over, &s, NULL), 0);
	assert_null(store_meta_get(s, "from"));
	assert_int_equal(store_finish(s, NULL), 0);
	assert_int_equal(fixture_entries(), 1);
}

/* Creation fails in the middle of writing the schema. */
static void a_failed_creation_leaves_the_old_capture_and_nothing_else(void **state)
{
	(void)state;
	size_t size, after;

	fixture_small_capture("x.lsc");
	uint8_t *before = fixture_read("x.lsc", &size);
	pid_t pid = fork();
	if (!pid) {
		struct rlimit limit = {8192, 8192};
		struct store *s;
		signal(SIGXFSZ, SIG_IGN);
		int failed = setrlimit(RLIMIT_FSIZE, &limit) ||
			     store_create("x.lsc", &over, &s, NULL) >= 0;
		_exit(failed || store_create("y.lsc", &plain, &s, NULL) >= 0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	uint8_t *now = fixture_read("x.lsc", &after);
	assert_int_equal(after, size);
	assert_memory_equal(before, now, size);
	assert_int_equal(fixture_entries(), 1);
	free(before);
	free(now);
}

/* Until it is published a new capture takes nothing away, and is nothing when it is given up. */
static void the_old_capture_stays_until_the_new_one_is_published(void **state)
{
	(void)state;
	size_t size, after;
	struct store *s;

	fixture_small_capture("x.lsc");
	uint8_t *before = fixture_read("x.lsc", &size);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "new.lsc" : "x.lsc";

		assert_int_equal(store_create(name, &over, &s, NULL), 0);
		assert_int_equal(store_meta_put(s, "from", "new"), 0);
		assert_int_equal(store_commit(s), 0);
		uint8_t *now = fixture_read("x.lsc", &after);
		assert_int_equal(after, size);
		assert_memory_equal(before, now, size);
		free(now);
		store_close(s); /* given up */
		assert_int_equal(fixture_entries(), 1);
	}
	free(before);

	assert_int_equal(store_create("x.lsc", &over, &s, NULL), 0);
	assert_int_equal(store_meta_put(s, "from", "new"), 0);
	assert_int_equal(store_publish(s, NULL), 0);
	struct store *reader = fixture_open("x.lsc"); /* what was put is there at once */
	assert_string_equal(store_meta_get(reader, "from"), "new");
	store_close(reader);
	assert_int_equal(store_meta_put(s, "more", "later"), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	s = fixture_open("x.lsc");
	assert_string_equal(store_meta_get(s, "from"), "new");
	assert_string_equal(store_meta_get(s, "more"), "later");
	store_close(s);
	assert_int_equal(fixture_entries(), 1);
}

/* Somebody takes the place while the capture begins. */
static void a_place_that_is_taken_meanwhile_is_left_alone(void **state)
{
	(void)state;
	struct lsc_err err = {0};
	struct store *s;
	size_t size;

	assert_int_equal(store_create("x.lsc", &plain, &s, NULL), 0);
	fixture_write("x.lsc", "precious", 8);
	assert_int_equal(store_publish(s, &err), -EEXIST);
	assert_string_equal(err.text, "'x.lsc' exists");
	assert_int_equal(store_meta_put(s, "from", "new"), -EEXIST); /* and does not crash */
	assert_int_equal(store_commit(s), -EEXIST);
	assert_int_equal(store_finish(s, NULL), -EEXIST);
	free(fixture_read("x.lsc", &size));
	assert_int_equal(size, 8);
	assert_int_equal(fixture_entries(), 1);
}

/* In a process of its own, that says when it has come so far. Gives its number. */
static pid_t start_writer(const struct store_create_options *o, bool publish)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (!pid) {
		struct store *s;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (store_create("x.lsc", o, &s, NULL) || store_meta_put(s, "from", "the writer") ||
		    (publish && store_publish(s, NULL)) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void kill_writer(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void a_writer_killed_before_it_published_leaves_nothing(void **state)
{
	struct store *s;

	(void)state;
	fixture_small_capture("x.lsc");
	kill_writer(start_writer(&over, false));
	/* where the file has a name all the time, it stays */
	assert_int_equal(fixture_entries(), all_have_names ? 2 : 1);
	s = fixture_open("x.lsc");
	assert_null(store_meta_get(s, "from"));
	store_close(s);
}

static void a_capture_that_another_process_writes_is_not_replaced(void **state)
{
	struct lsc_err err = {0};
	struct store *s;

	(void)state;
	assert_int_equal(store_create("x.lsc", &over, &s, NULL), 0); /* before there is one */
	pid_t pid = start_writer(&over, true);
	assert_refused("x.lsc", &over, -ETXTBSY,
		       "'x.lsc' is being written by another loopscope: name another file");
	assert_int_equal(store_publish(s, &err), -ETXTBSY);
	assert_string_equal(err.text,
			    "'x.lsc' is being written by another loopscope: name another file");
	store_close(s);
	kill_writer(pid);
	s = fixture_open("x.lsc"); /* what it had written so far */
	assert_string_equal(store_meta_get(s, "from"), "the writer");
	store_close(s);
	assert_int_equal(store_create("x.lsc", &over, &s, NULL), 0); /* nobody writes it any more */
	assert_int_equal(store_finish(s, NULL), 0);
	assert_int_equal(fixture_entries(), 1);
}

static int count_tasks(const struct store_task *row, void *arg)
{
	(void)row;
	++*(int64_t *)arg;
	return 0;
}

static void the_size_bound_refuses_rows_but_not_the_summary(void **state)
{
	(void)state;
	struct store_create_options o = {
		.owner = (uid_t)-1, .group = (gid_t)-1, .max_bytes = 1 << 20};
	struct store *s;
	struct stat st;
	int64_t put = 0, seen = 0;
	char name[1001];
	int r;

	memset(name, 'x', 1000);
	name[1000] = '\0';
	assert_int_equal(store_create("x.lsc", &o, &s, NULL), 0);
	for (;;) {
		struct store_task task = {.id = put + 1, .name = name};
		r = store_put_task(s, &task);
		if (r)
			break;
		if (++put % 50 == 0)
			assert_int_equal(store_commit(s), 0);
		assert_in_range(put, 1, 2000);
	}
	assert_int_equal(r, -EFBIG);
	assert_int_equal(store_put_task(s, &(struct store_task){.id = 5000, .name = name}), -EFBIG);
	assert_int_equal(store_put_loss(s, LSC_LOSS_STORE_FULL, 2), 0);
	assert_int_equal(store_meta_put_int(s, STORE_META_END_NS, 1), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	assert_int_equal(stat("x.lsc", &st), 0);
	assert_in_range(st.st_size, 700000, 1 << 20);
	s = fixture_open("x.lsc");
	assert_int_equal(store_each_task(s, count_tasks, &seen), 0);
	assert_int_equal(seen, put);
	store_close(s);
}

/* The -wal hits RLIMIT_FSIZE: what was not committed is void, says so, and a later commit works. */
static int write_into_a_full_disk(void)
{
	struct rlimit limit = {300000, RLIM_INFINITY};
	struct store_task task = {.id = 1, .name = "committed"};
	struct store *s;
	int r = 0;
	static char big[4001];

	memset(big, 'x', 4000);
	signal(SIGXFSZ, SIG_IGN);
	if (store_create("x.lsc", &plain, &s, NULL) || store_publish(s, NULL) ||
	    store_put_task(s, &task) || store_commit(s))
		return 1;
	if (setrlimit(RLIMIT_FSIZE, &limit))
		return 2;
	task.name = big;
	for (int i = 0; i < 1000 && !r; i++) {
		task.id++;
		r = store_put_task(s, &task);
	}
	if (!r)
		r = store_commit(s);
	else if (store_put_task(s, &task) != r || store_commit(s) != r)
		return 3;
	if (r != -ENOSPC && r != -EIO)
		return 4;
	limit.rlim_cur = RLIM_INFINITY;
	if (setrlimit(RLIMIT_FSIZE, &limit))
		return 5;
	task.id = 2000;
	task.name = "later";
	return store_put_task(s, &task) || store_finish(s, NULL) ? 6 : 0;
}

static int note_id(const struct store_task *row, void *arg)
{
	int64_t *ids = arg;

	assert_in_range(ids[0], 0, 1);
	ids[1 + ids[0]++] = row->id;
	return 0;
}

static void a_full_disk_voids_one_transaction_and_says_so(void **state)
{
	(void)state;
	int64_t ids[3] = {0};
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(write_into_a_full_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	struct store *s = fixture_open("x.lsc");
	assert_int_equal(store_each_task(s, note_id, ids), 0);
	assert_int_equal(ids[0], 2);
	assert_int_equal(ids[1], 1);
	assert_int_equal(ids[2], 2000);
	store_close(s);
}

int main(void)
{
#define IN_ITS_DIRECTORY(test)                                                                     \
	cmocka_unit_test_setup_teardown(test, each_in_its_own_directory, fixture_leave)
	const struct CMUnitTest tests[] = {
		IN_ITS_DIRECTORY(the_mode_does_not_depend_on_the_umask_and_the_owner_is_given),
		IN_ITS_DIRECTORY(what_exists_stays_unless_it_may_be_overwritten),
		IN_ITS_DIRECTORY(links_directories_and_missing_directories_are_refused),
		IN_ITS_DIRECTORY(a_stale_wal_never_reaches_the_new_capture),
		IN_ITS_DIRECTORY(a_failed_creation_leaves_the_old_capture_and_nothing_else),
		IN_ITS_DIRECTORY(the_old_capture_stays_until_the_new_one_is_published),
		IN_ITS_DIRECTORY(a_place_that_is_taken_meanwhile_is_left_alone),
		IN_ITS_DIRECTORY(a_writer_killed_before_it_published_leaves_nothing),
		IN_ITS_DIRECTORY(a_capture_that_another_process_writes_is_not_replaced),
		IN_ITS_DIRECTORY(the_size_bound_refuses_rows_but_not_the_summary),
		IN_ITS_DIRECTORY(a_full_disk_voids_one_transaction_and_says_so),
	};
	int failed = cmocka_run_group_tests_name("files without a name", tests, NULL, NULL);

	all_have_names = true;
	return failed + cmocka_run_group_tests_name("files with names only", tests, NULL, NULL);
}
