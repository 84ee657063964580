/* SPDX-License-Identifier: MIT */
/* Operations on files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "descriptors.h"
#include "loopscope/loopscope.h"
#include "reader.h"

static char directory[] = "/tmp/loopscope-test-file-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void run(int (*fn)(void *arg))
{
	assert_int_equal(lsc_run(fn, NULL), 0);
}

static int main_of_basics(void *arg)
{
	char data[16] = {0};
	struct statx st;

	(void)arg;
	int fd = lsc_open(path_of("a"), O_RDWR | O_CREAT | O_EXCL, 0640);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(lsc_pwrite(fd, "world", 5, 6), 5);
	assert_int_equal(lsc_pwrite(fd, "hello ", 6, 0), 6);
	assert_int_equal(lsc_pread(fd, data, sizeof(data), 0), 11);
	assert_string_equal(data, "hello world");
	assert_int_equal(lsc_pread(fd, data, 3, 8), 3);
	assert_memory_equal(data, "rld", 3);
	assert_int_equal(lsc_pread(fd, data, 3, 11), 0);
	assert_int_equal(lsc_pread(fd, data, 0, 0), 0);
	/* The file's own position is another matter. */
	assert_int_equal(lsc_read(fd, data, 5), 5);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(lsc_write(fd, "!", 1), 1);
	assert_int_equal(lsc_pread(fd, data, 11, 0), 11);
	assert_memory_equal(data, "hello!world", 11);
	assert_int_equal(lsc_fsync(fd), 0);
	assert_int_equal(lsc_fdatasync(fd), 0);
	assert_int_equal(lsc_close(fd), 0);
	assert_int_equal(lsc_statx(AT_FDCWD, path_of("a"), 0, STATX_SIZE | STATX_MODE, &st), 0);
	assert_int_equal(st.stx_size, 11);
	assert_int_equal(st.stx_mode & 0777, 0640);
	return 0;
}

static void files_are_opened_read_and_written(void **state)
{
	(void)state;
	run(main_of_basics);
}

static int main_of_errors(void *arg)
{
	char data[16];
	struct statx st = {.stx_size = 7};
	int ends[2];

	(void)arg;
	assert_int_equal(lsc_open(path_of("none"), O_RDONLY, 0), -ENOENT);
	assert_int_equal(lsc_statx(AT_FDCWD, path_of("none"), 0, STATX_SIZE, &st), -ENOENT);
	assert_int_equal(st.stx_size, 7);
	assert_int_equal(lsc_pread(-1, data, 1, 0), -EBADF);
	assert_int_equal(lsc_pread(999, data, 1, 0), -EBADF);
	assert_int_equal(lsc_fsync(-1), -EBADF);
	assert_int_equal(lsc_statx(999, "x", 0, STATX_SIZE, &st), -EBADF);
	int fd = lsc_open("/dev/full", O_RDWR, 0);
	assert_true(fd >= 0);
	assert_int_equal(lsc_pwrite(fd, "x", 1, 0), -ENOSPC);
	assert_int_equal(lsc_write(fd, "x", 1), -ENOSPC);
	assert_int_equal(lsc_pread(fd, data, 1, -1), -EINVAL);
	assert_int_equal(lsc_pwrite(fd, data, 1, -1), -EINVAL);
	lsc_close(fd);
	fd = lsc_open(path_of("a"), O_RDONLY | O_CREAT, 0600);
	assert_int_equal(lsc_pwrite(fd, "x", 1, 0), -EBADF);
	lsc_close(fd);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(lsc_pread(ends[0], data, 1, 0), -ESPIPE);
	assert_int_equal(lsc_fsync(ends[0]), -EINVAL);
	lsc_close(ends[0]);
	lsc_close(ends[1]);
	return 0;
}

static void errors_are_those_of_the_system_calls(void **state)
{
	char data[1];
	struct statx st;

	(void)state;
	run(main_of_errors);
	assert_int_equal(lsc_open("/", O_RDONLY, 0), -EPERM);
	assert_int_equal(lsc_pread(0, data, 1, 0), -EPERM);
	assert_int_equal(lsc_pwrite(0, data, 1, 0), -EPERM);
	assert_int_equal(lsc_fsync(0), -EPERM);
	assert_int_equal(lsc_fdatasync(0), -EPERM);
	assert_int_equal(lsc_statx(AT_FDCWD, "/", 0, STATX_SIZE, &st), -EPERM);
}

static int wait_for_writer(void *arg)
{
	return lsc_wait_fd(*(int *)arg, POLLIN);
}

static int main_of_fifo(void *arg)
{
	char data[8];

	(void)arg;
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(lsc_open(path_of("fifo"), O_WRONLY, 0), -ENXIO);
	int fd = lsc_open(path_of("fifo"), O_RDONLY, 0);
	assert_true(fd >= 0);
	struct lsc_future *f = lsc_spawn(wait_for_writer, &fd, NULL);
	lsc_sleep(LSC_NS_PER_MS);
	assert_int_equal(lsc_is_done(f), 0);
	lsc_cancel(f);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	f = lsc_spawn(wait_for_writer, &fd, NULL);
	lsc_yield();
	int writer = lsc_open(path_of("fifo"), O_WRONLY, 0);
	assert_int_equal(lsc_write(writer, "hi", 2), 2);
	assert_int_equal(lsc_await(f), POLLIN);
	lsc_unref(f);
	assert_int_equal(lsc_read(fd, data, sizeof(data)), 2);
	lsc_close(writer);
	assert_int_equal(lsc_read(fd, data, sizeof(data)), 0);
	lsc_close(fd);
	return 0;
}

static void a_fifo_is_opened_without_waiting(void **state)
{
	(void)state;
	run(main_of_fifo);
}

/* ---- cancelled ---- */

struct attempt {
	int fd;
	int opened;
	int after;
};

static int open_and_write(void *arg)
{
	struct attempt *a = arg;

	a->opened = lsc_open(path_of("cancelled"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (a->opened < 0)
		return a->opened;
	a->after = (int)lsc_pwrite(a->opened, "x", 1, 0);
	lsc_close(a->opened);
	return a->after;
}

/* Whenever it is asked to end: what was opened is known, and closed. */
static int main_of_cancelling(void *arg)
{
	struct stat st;
	int before = descriptors_open();

	(void)arg;
	for (int round = 0; round < 300; round++) {
		struct attempt a = {.opened = -1, .after = 1};
		struct lsc_future *f = lsc_spawn(open_and_write, &a, NULL);

		unlink(path_of("cancelled"));
		for (int i = 0; i < round % 7; i++)
			lsc_yield();
		if (round % 3 == 2)
			lsc_sleep((uint64_t)(round % 50) * 5000);
		lsc_cancel(f);
		int r = lsc_await(f);
		lsc_unref(f);
		assert_true(r == 1 || r == -ECANCELED);
		if (a.opened == -1 || a.opened == -ECANCELED)
			assert_int_equal(stat(path_of("cancelled"), &st), -1);
		else
			assert_int_equal(stat(path_of("cancelled"), &st), 0);
		if (r == 1)
			assert_int_equal(st.st_size, 1);
		assert_int_equal(descriptors_open(), before);
	}
	return 0;
}

static void a_cancelled_task_knows_what_was_done(void **state)
{
	(void)state;
	run(main_of_cancelling);
}

/* ---- the record ---- */

static int open_one(void *arg)
{
	(void)arg;
	int fd = lsc_open(path_of("a"), O_RDONLY | O_CREAT, 0600);
	return fd < 0 ? fd : lsc_close(fd);
}

static int main_of_record(void *arg)
{
	struct lsc_future *f = lsc_spawn(open_one, NULL, "opener");

	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
	reader_open(arg);
	return 0;
}

static void an_operation_is_recorded_as_a_wait_for_a_thread(void **state)
{
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run(main_of_record, &r), 0);
	size_t at = reader_next(&r, 0, LSC_REC_TASK_SUSPEND, reader_task(&r, "opener"));
	assert_true(at < r.count);
	assert_int_equal(r.records[at].arg8, LSC_WAIT_THREAD);
	reader_close(&r);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"a", "fifo", "cancelled"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_opened_read_and_written),
		cmocka_unit_test(errors_are_those_of_the_system_calls),
		cmocka_unit_test(a_fifo_is_opened_without_waiting),
		cmocka_unit_test(a_cancelled_task_knows_what_was_done),
		cmocka_unit_test(an_operation_is_recorded_as_a_wait_for_a_thread),
	};
	return cmocka_run_group_tests_name("file", tests, make_directory, remove_directory);
}
