/* SPDX-License-Identifier: MIT */
/* The shared parts of the store's tests. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int fixture_enter(void **state)
{
	char template[] = "/tmp/test-store-XXXXXX";

	if (!mkdtemp(template) || chdir(template))
		return -1;
	*state = strdup(template);
	return *state ? 0 : -1;
}

int fixture_leave(void **state)
{
	DIR *dir = opendir(*state);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(dir), entry->d_name,
				 entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	if (dir)
		closedir(dir);
	int r = chdir("/") || rmdir(*state);
	free(*state);
	return r;
}

struct store *fixture_create(const char *path)
{
	struct store_create_options options = {.owner = (uid_t)-1, .group = (gid_t)-1};
	struct lsc_err err = {0};
	struct store *s = NULL;

	assert_int_equal(store_create(path, &options, &s, &err), 0);
	assert_int_equal(store_publish(s, &err), 0);
	return s;
}

struct store *fixture_open(const char *path)
{
	struct lsc_err err = {0};
	struct store *s = NULL;
	int r = store_open(path, &s, &err);

	if (r)
		fail_msg("store_open: %d %s", r, err.text);
	return s;
}

static void put_stall(struct store *s)
{
	struct store_stall stall = {
		.id = 1,
		.loop = 1,
		.start_ns = FIXTURE_START_NS + 1000000000,
		.duration_ns = 300200000,
		.duration_min_ns = 300200000,
		.duration_max_ns = 300200000,
		.task = 1,
		.stack = 1,
		.split = {[LSC_CAUSE_SLEEP] = 300000000, [LSC_CAUSE_CPU_USER] = 200000}};
	struct store_block block = {.id = 1,
				    .loop = 1,
				    .stall = 1,
				    .task = 1,
				    .start_ns = stall.start_ns + 100000,
				    .duration_ns = 300000000,
				    .count = 1,
				    .syscall = "clock_nanosleep",
				    .cause = LSC_CAUSE_SLEEP,
				    .args_json = "{\"ms\":300}",
				    .requested_ns = 300000000,
				    .resource_kind = "timer",
				    .stack = 1};
	struct store_frame frames[] = {
		{.module = "/lib/libc.so.6", .offset = 0xe1234},
		{.function = "debugCommand", .module = "/usr/bin/redis", .line = 7}};
	struct store_stack stack = {.id = 1, .nframes = 2, .frames = frames};
	struct store_culprit culprit = {.stall = 1, .task = 1, .ns = 300100000};
	/* one ends before the stall, one begins behind it, two lie across an edge */
	struct store_wait waits[] = {
		{.id = 1,
		 .loop = 1,
		 .task = 2,
		 .fd = -1,
		 .ready_ns = stall.start_ns - 50000000,
		 .wait_ns = 50000000},
		{.id = 2,
		 .loop = 1,
		 .task = 2,
		 .fd = -1,
		 .ready_ns = stall.start_ns - 1,
		 .wait_ns = 9000000},
		{.id = 3,
		 .loop = 1,
		 .kind = STORE_WAIT_SOCKET,
		 .fd = 9,
		 .peer = "127.0.0.1:51204",
		 .ready_ns = stall.start_ns + 400000,
		 .wait_ns = 299800000},
		{.id = 4,
		 .loop = 1,
		 .kind = STORE_WAIT_TIMER,
		 .fd = -1,
		 .name = "late",
		 .ready_ns = stall.start_ns + stall.duration_ns,
		 .wait_ns = 7000000},
		{.id = 5,
		 .loop = 2,
		 .task = 2,
		 .fd = -1,
		 .ready_ns = stall.start_ns,
		 .wait_ns = 9000000},
	};

	assert_int_equal(store_put_stall(s, &stall), 0);
	assert_int_equal(store_put_block(s, &block), 0);
	assert_int_equal(store_put_stack(s, &stack), 0);
	assert_int_equal(store_put_culprit(s, &culprit), 0);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		assert_int_equal(store_put_wait(s, &waits[i]), 0);
}

void fixture_small_capture(const char *path)
{
	struct store *s = fixture_create(path);
	struct lsc_histogram lag = {0};
	struct store_target target = {.id = 1, .pid = 4242, .comm = "redis-server"};
	struct store_loop loop = {.id = 1,
				  .target = 1,
				  .tid = 4243,
				  .comm = "redis-io",
				  .source = STORE_SOURCE_BPF,
				  .wait_syscall = "epoll_wait",
				  .wait_fd = 5,
				  .ticks = 100,
				  .busy_ns = 25,
				  .idle_ns = 75,
				  .lag = &lag,
				  .stall_count = 1,
				  .stalled_ns = 300200000};
	struct store_task parent = {.id = 1,
				    .loop = 1,
				    .name = "serve",
				    .state = "suspended",
				    .waiting_on = "task",
				    .awaits = 2,
				    .steps = 3,
				    .run_ns = 300100000,
				    .max_step_ns = 300000000};
	struct store_task child = {.id = 2,
				   .loop = 1,
				   .name = "reply",
				   .parent = 1,
				   .kind = STORE_TASK_CALLBACK,
				   .spawn_site = {"spawn", "app.c", 12},
				   .state = "done",
				   .created_ns = FIXTURE_START_NS + 2000000,
				   .ended_ns = FIXTURE_START_NS + 3500000,
				   .ready_wait = &lag};

	for (int i = 1; i <= 100; i++)
		lsc_hist_add(&lag, (uint64_t)i * 1000000);
	assert_int_equal(store_meta_put_int(s, STORE_META_START_NS, FIXTURE_START_NS), 0);
	assert_int_equal(store_meta_put(s, STORE_META_MODE, "attach"), 0);
	assert_int_equal(store_put_target(s, &target), 0);
	assert_int_equal(store_put_loop(s, &loop), 0);
	assert_int_equal(store_put_task(s, &parent), 0);
	assert_int_equal(store_put_task(s, &child), 0);
	/* one inside the stall, one before it and of no task */
	assert_int_equal(store_put_mark(s, &(struct store_mark){1, 1, FIXTURE_START_NS + 1002000000,
								"checkout begin"}),
			 0);
	assert_int_equal(
		store_put_mark(s, &(struct store_mark){1, 0, FIXTURE_START_NS + 500000, NULL}), 0);
	assert_int_equal(
		store_put_counter(s, &(struct store_counter){.id = 1,
							     .loop = 1,
							     .name = "open orders",
							     .count = 3,
							     .last_ns = FIXTURE_START_NS + 2500000,
							     .last = 4,
							     .min = -1,
							     .max = 9}),
		0);
	assert_int_equal(
		store_put_site_stack(
			s, &(struct store_site_stack){1, 1, {"serve", "app.c", 88}, 3277, 65536}),
		0);
	assert_int_equal(store_put_site_stack(
				 s, &(struct store_site_stack){.id = 2, .loop = 1, .used = 1024}),
			 0);
	put_stall(s);
	assert_int_equal(store_meta_put_int(s, STORE_META_END_NS, FIXTURE_START_NS + 9000000000ll),
			 0);
	assert_int_equal(store_finish(s, NULL), 0);
}

uint8_t *fixture_read(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	assert_true(fd >= 0 && !fstat(fd, &st));
	uint8_t *data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return data;
}

void fixture_write(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

int fixture_entries(void)
{
	DIR *dir = opendir(".");
	int n = -2; /* . and .. */

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

uint64_t fixture_seed(void)
{
	uint64_t seed;

	assert_int_equal(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
	print_message("seed %llu\n", (unsigned long long)seed);
	return seed;
}

/* splitmix64 */
uint64_t fixture_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

void fixture_change(const char *path, const char *sql)
{
	sqlite3 *db;
	char *message = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message))
		fail_msg("%s", message);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
