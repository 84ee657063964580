/* SPDX-License-Identifier: MIT */
/* Killed writers: a child writes and commits, says over a pipe what it committed, and gets SIGKILL
 * at a random moment. The capture opens, is sound, and every row that was said to be committed is
 * there. */
#include "fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define ROUNDS	  24
#define ROWS_EACH 40 /* in one transaction */

/* Never returns: commits as fast as it can, writes the number of committed rows to fd after each.
 */
static void write_for_ever(int fd)
{
	struct store_create_options o = {.owner = (uid_t)-1, .group = (gid_t)-1};
	struct store *s;
	int64_t id = 0;
	char name[400];

	if (store_create("x.lsc", &o, &s, NULL) || store_publish(s, NULL))
		_exit(1);
	memset(name, 'n', sizeof(name));
	for (;;) {
		for (int i = 0; i < ROWS_EACH; i++) {
			id++;
			name[id % 399 + 1] = '\0';
			struct store_task task = {
				.id = id, .name = name, .steps = (uint64_t)id * 3};
			struct store_stall stall = {
				.id = id, .start_ns = (uint64_t)id, .split = {7, 8}};
			if (store_put_task(s, &task) || store_put_stall(s, &stall))
				_exit(2);
			name[id % 399 + 1] = 'n';
		}
		if (store_commit(s) || write(fd, &id, sizeof(id)) != sizeof(id))
			_exit(3);
	}
}

static int64_t last_said(int fd)
{
	int64_t id = 0, said;

	while (read(fd, &said, sizeof(said)) == sizeof(said))
		id = said;
	return id;
}

static int see_task(const struct store_task *row, void *arg)
{
	assert_int_equal(row->id, ++*(int64_t *)arg);
	assert_int_equal(row->steps, row->id * 3);
	assert_int_equal(strlen(row->name), row->id % 399 + 1);
	return 0;
}

static int see_stall(const struct store_stall *row, void *arg)
{
	assert_int_equal(row->id, ++*(int64_t *)arg);
	assert_int_equal(row->split[0] + row->split[1], 15);
	return 0;
}

static void committed_rows_survive_kill_9(void **state)
{
	(void)state;
	uint64_t seed = fixture_seed();
	int64_t most = 0;

	for (int round = 0; round < ROUNDS; round++) {
		int pipe_fd[2], status;
		assert_int_equal(pipe(pipe_fd), 0);
		pid_t pid = fork();
		if (!pid) {
			close(pipe_fd[0]);
			write_for_ever(pipe_fd[1]);
		}
		close(pipe_fd[1]);
		/* the first commit, then a random moment: in the middle of whatever it does then */
		struct pollfd p = {pipe_fd[0], POLLIN, 0};
		assert_int_equal(poll(&p, 1, 30000), 1);
		uint64_t until = lsc_now_ns() + fixture_random(&seed) % (60 * LSC_NS_PER_MS);
		while (lsc_now_ns() < until)
			;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		int64_t said = last_said(pipe_fd[0]), tasks = 0, stalls = 0;
		close(pipe_fd[0]);
		assert_true(said >= ROWS_EACH);

		struct store *s = fixture_open("x.lsc");
		assert_int_equal(store_each_task(s, see_task, &tasks), 0);
		assert_int_equal(store_each_stall(s, see_stall, &stalls), 0);
		store_close(s);
		/* whole transactions only; one may have been committed and not yet said */
		assert_true(tasks == said || tasks == said + ROWS_EACH);
		assert_int_equal(stalls, tasks);
		most = tasks > most ? tasks : most;
		unlink("x.lsc");
		unlink("x.lsc-wal");
		unlink("x.lsc-shm");
	}
	print_message("up to %lld rows\n", (long long)most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(committed_rows_survive_kill_9)};

	return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
