/* SPDX-License-Identifier: MIT */
/* What the cache of debug files gives, whoever has put things there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "folder.h"
#include "inspect/debugcache.h"
#include "inspect/sandbox.h"

static char dir[] = "/tmp/debugcache-XXXXXX";
static char cache[64];

static const char *path_of(const char *id)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", cache, id);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/debuginfo", cache, id);
	return path;
}

static void put(const char *id, const char *bytes)
{
	lsc_autoclose int fd = open(path_of(id), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
	assert_int_equal(fchown(fd, geteuid() == 0 ? SANDBOX_NOBODY : geteuid(), getegid()), 0);
}

static int look(const char *id)
{
	lsc_autoclose int fd = debugcache_open(id, strlen(id));

	return fd < 0 ? fd : 0;
}

static void what_its_owner_has_put_there_is_opened(void **state)
{
	lsc_autoclose int fd = -1;
	char byte;

	(void)state;
	put("aa01", "x");
	fd = debugcache_open("aa01", 4);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(debugcache_open("aa01more", 4), fd + 1); /* its size says where it ends */
	close(fd + 1);
}

static void what_is_not_there_or_known_to_be_nowhere_is_not(void **state)
{
	(void)state;
	put("aa02", "");
	assert_int_equal(look("aa02"), -ENOENT);
	assert_int_equal(look("aa03"), -ENOENT);
}

static void nothing_else_leads_anywhere(void **state)
{
	char other[128];

	(void)state;
	snprintf(other, sizeof(other), "%s/other", dir);
	put("bb01", "x");
	assert_int_equal(link(path_of("bb01"), other), 0);
	assert_int_equal(look("bb01"), -EPERM);
	assert_int_equal(symlink(other, path_of("bb02")), 0);
	assert_int_equal(look("bb02"), -ELOOP);
	assert_int_equal(mkfifo(path_of("bb03"), 0600), 0);
	assert_int_equal(look("bb03"), -ENXIO);
	put("bb04", "x");
	assert_int_equal(truncate(path_of("bb04"), 513ll << 20), 0);
	assert_int_equal(look("bb04"), -EFBIG);
	assert_int_equal(look("../other"), -EINVAL);
	assert_int_equal(look(".."), -EINVAL);
	assert_int_equal(look(""), -EINVAL);
	assert_int_equal(look("AA01"), -EINVAL);
}

static void what_belongs_to_another_user_is_not_opened(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can give a file to another user\n");
		skip();
	}
	put("cc01", "x");
	assert_int_equal(chown(path_of("cc01"), 0, 0), 0);
	assert_int_equal(look("cc01"), -EPERM);
}

static void it_is_made_for_whoever_fetches_and_left_alone_when_it_is_there(void **state)
{
	char path[PATH_MAX];
	struct stat st;
	lsc_autoclose int fd = debugcache_make(path);

	(void)state;
	assert_true(fd >= 0);
	assert_string_equal(path, cache);
	assert_int_equal(stat(cache, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, geteuid() == 0 ? SANDBOX_NOBODY : geteuid());
	assert_int_equal(chmod(cache, 0750), 0);
	lsc_autoclose int again = debugcache_make(path);
	assert_true(again >= 0);
	assert_int_equal(stat(cache, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	setenv("DEBUGINFOD_CACHE_PATH", "relative", 1);
	assert_int_equal(debugcache_make(path), -ENOENT);
	setenv("DEBUGINFOD_CACHE_PATH", cache, 1);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(cache, sizeof(cache), "%s/above/cache", dir);
	return setenv("DEBUGINFOD_CACHE_PATH", cache, 1);
}

static int tear_down(void **state)
{
	(void)state;
	return folder_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_made_for_whoever_fetches_and_left_alone_when_it_is_there),
		cmocka_unit_test(what_its_owner_has_put_there_is_opened),
		cmocka_unit_test(what_is_not_there_or_known_to_be_nowhere_is_not),
		cmocka_unit_test(nothing_else_leads_anywhere),
		cmocka_unit_test(what_belongs_to_another_user_is_not_opened),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
