/* SPDX-License-Identifier: MIT */
/* Each way to wait is recorded as what it is, with its detail, and with who ended it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "reader.h"

/* What the waits are for: made by main, which ends each of them. */
static struct {
	struct lsc_future *future, *task, *gather;
	struct lsc_lock *lock, *condition_lock;
	struct lsc_queue *queue, *joined;
	struct lsc_event *event;
	struct lsc_condition *condition;
	struct lsc_semaphore *semaphore;
	struct lsc_barrier *barrier;
	struct lsc_process *child;
	uint64_t deadline_ns;
	int pair[2], threads[2];
} on;

/* ---- the waits: bodies of tasks ---- */

static int wait_timer(void *arg)
{
	(void)arg;
	return lsc_sleep_until(on.deadline_ns);
}

static int wait_fd(void *arg)
{
	(void)arg;
	return lsc_wait_fd(on.pair[0], POLLIN) < 0;
}

static int wait_task(void *arg)
{
	(void)arg;
	return lsc_await(on.task);
}

static int wait_future(void *arg)
{
	(void)arg;
	return lsc_await(on.future);
}

static int wait_gather(void *arg)
{
	(void)arg;
	return lsc_await(on.gather);
}

static int wait_lock(void *arg)
{
	int r = lsc_lock_acquire(on.lock);

	(void)arg;
	return r < 0 ? r : lsc_lock_release(on.lock);
}

static int wait_queue(void *arg)
{
	void *item;

	(void)arg;
	return lsc_queue_get(on.queue, &item);
}

static int wait_join(void *arg)
{
	(void)arg;
	return lsc_queue_join(on.joined);
}

static int read_byte(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) == 1 ? 0 : -EIO;
}

static int wait_thread(void *arg)
{
	(void)arg;
	return lsc_to_thread(read_byte, &on.threads[0]);
}

static int wait_child(void *arg)
{
	int status;

	(void)arg;
	return lsc_process_wait(on.child, &status);
}

static int wait_event(void *arg)
{
	(void)arg;
	return lsc_event_wait(on.event);
}

static int wait_condition(void *arg)
{
	int r = lsc_lock_acquire(on.condition_lock);

	(void)arg;
	if (r == 0)
		r = lsc_condition_wait(on.condition);
	return r < 0 ? r : lsc_lock_release(on.condition_lock);
}

static int wait_semaphore(void *arg)
{
	(void)arg;
	return lsc_semaphore_acquire(on.semaphore);
}

static int wait_barrier(void *arg)
{
	(void)arg;
	return lsc_barrier_wait(on.barrier);
}

static int wait_signal(void *arg)
{
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return lsc_signal_wait(&set) == SIGUSR1 ? 0 : -EIO;
}

/* ---- their ends ---- */

static void end_fd(void)
{
	assert_int_equal(send(on.pair[1], "x", 1, 0), 1);
}

static void end_task(void)
{
	assert_int_equal(lsc_cancel(on.task), 1);
}

static void end_future(void)
{
	assert_int_equal(lsc_resolve(on.future, 0), 0);
}

static void end_lock(void)
{
	assert_int_equal(lsc_lock_release(on.lock), 0);
}

static void end_queue(void)
{
	assert_int_equal(lsc_queue_put_nowait(on.queue, NULL), 0);
}

static void end_join(void)
{
	assert_int_equal(lsc_queue_task_done(on.joined), 0);
}

static void end_thread(void)
{
	assert_int_equal(write(on.threads[1], "x", 1), 1);
}

static void end_child(void)
{
	assert_int_equal(lsc_process_kill(on.child, SIGKILL), 0);
}

static void end_event(void)
{
	assert_int_equal(lsc_event_set(on.event), 0);
}

static void end_condition(void)
{
	assert_int_equal(lsc_lock_acquire(on.condition_lock), 0);
	assert_int_equal(lsc_condition_notify(on.condition, 1), 1);
	assert_int_equal(lsc_lock_release(on.condition_lock), 0);
}

static void end_semaphore(void)
{
	assert_int_equal(lsc_semaphore_release(on.semaphore), 0);
}

static void end_barrier(void)
{
	assert_in_range(lsc_barrier_wait(on.barrier), 0, 1);
}

static void end_signal(void)
{
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
}

/* ---- what is expected ---- */

enum waker {
	BY_LOOP, /* a timer, a descriptor, another thread */
	BY_MAIN,
	BY_OTHER, /* a task that main made end */
};

static const struct way {
	const char *name; /* of the task */
	lsc_task_fn wait;
	void (*end)(void);
	uint8_t kind;
	enum waker waker;
} ways[] = {
	{"timer", wait_timer, NULL, LSC_WAIT_TIMER, BY_LOOP},
	{"fd", wait_fd, end_fd, LSC_WAIT_FD, BY_LOOP},
	{"task", wait_task, end_task, LSC_WAIT_TASK, BY_OTHER},
	{"future", wait_future, end_future, LSC_WAIT_FUTURE, BY_MAIN},
	{"gather", wait_gather, NULL, LSC_WAIT_GROUP, BY_MAIN}, /* ends with the future */
	{"lock", wait_lock, end_lock, LSC_WAIT_LOCK, BY_MAIN},
	{"queue", wait_queue, end_queue, LSC_WAIT_QUEUE, BY_MAIN},
	{"join", wait_join, end_join, LSC_WAIT_QUEUE, BY_MAIN},
	{"thread", wait_thread, end_thread, LSC_WAIT_THREAD, BY_LOOP},
	{"child", wait_child, end_child, LSC_WAIT_CHILD, BY_LOOP},
	{"event", wait_event, end_event, LSC_WAIT_EVENT, BY_MAIN},
	{"condition", wait_condition, end_condition, LSC_WAIT_CONDITION, BY_MAIN},
	{"semaphore", wait_semaphore, end_semaphore, LSC_WAIT_SEMAPHORE, BY_MAIN},
	{"barrier", wait_barrier, end_barrier, LSC_WAIT_BARRIER, BY_MAIN},
	{"signal", wait_signal, end_signal, LSC_WAIT_SIGNAL, BY_LOOP},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static pid_t child_pid;

static uint64_t detail_of(const struct reader *r, const char *name)
{
	if (!strcmp(name, "timer"))
		return on.deadline_ns;
	if (!strcmp(name, "fd"))
		return (uint32_t)on.pair[0] | (uint64_t)POLLIN << 32;
	if (!strcmp(name, "task"))
		return reader_task(r, "sleeper");
	if (!strcmp(name, "child"))
		return (uint64_t)child_pid;
	if (!strcmp(name, "lock"))
		return reader_task(r, "main");
	if (!strcmp(name, "gather") || !strcmp(name, "join"))
		return 1; /* one member, one item */
	return !strcmp(name, "barrier") ? 2 : 0;
}

static int sleep_long(void *arg)
{
	(void)arg;
	return lsc_sleep(3600 * LSC_NS_PER_S);
}

static void make_all(void)
{
	char *sleep[] = {"sleep", "3600", NULL};

	on.deadline_ns = lsc_time() + 50 * LSC_NS_PER_MS;
	on.future = lsc_future_new();
	on.task = lsc_spawn(sleep_long, NULL, "sleeper");
	on.gather = lsc_gather(&on.future, 1, 0);
	on.lock = lsc_lock_new();
	on.condition_lock = lsc_lock_new();
	on.queue = lsc_queue_new(LSC_FIFO, 0, NULL);
	on.joined = lsc_queue_new(LSC_FIFO, 0, NULL);
	on.event = lsc_event_new();
	on.condition = lsc_condition_new(on.condition_lock);
	on.semaphore = lsc_semaphore_new(0, 0);
	on.barrier = lsc_barrier_new(2);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, on.pair), 0);
	assert_int_equal(pipe(on.threads), 0);
	assert_int_equal(lsc_process_start(sleep, NULL, &on.child), 0);
	child_pid = lsc_process_pid(on.child);
	assert_int_equal(lsc_lock_acquire(on.lock), 0);
	assert_int_equal(lsc_queue_put_nowait(on.joined, NULL), 0);
}

static void free_all(void)
{
	lsc_unref(on.gather);
	lsc_unref(on.future);
	lsc_unref(on.task);
	lsc_lock_free(on.lock);
	lsc_lock_free(on.condition_lock);
	lsc_queue_free(on.queue);
	lsc_queue_free(on.joined);
	lsc_event_free(on.event);
	lsc_condition_free(on.condition);
	lsc_semaphore_free(on.semaphore);
	lsc_barrier_free(on.barrier);
	lsc_process_free(on.child);
	for (int i = 0; i < 2; i++) {
		lsc_close(on.pair[i]);
		lsc_close(on.threads[i]);
	}
}

static int main_of_waits(void *arg)
{
	struct lsc_future *tasks[WAYS];

	make_all();
	for (size_t i = 0; i < WAYS; i++)
		assert_non_null(tasks[i] = lsc_spawn(ways[i].wait, NULL, ways[i].name));
	lsc_yield();
	lsc_yield(); /* the condition's lock goes round */
	for (size_t i = 0; i < WAYS; i++) {
		if (ways[i].end)
			ways[i].end();
		/* That another one's end is not taken for this one's. */
		if (ways[i].kind != LSC_WAIT_TASK)
			assert_in_range(lsc_await(tasks[i]), 0, 1);
	}
	reader_open(arg);
	for (size_t i = 0; i < WAYS; i++)
		lsc_unref(tasks[i]);
	free_all();
	return 0;
}

static void each_wait_is_recorded_with_its_detail_and_its_waker(void **state)
{
	struct reader r;

	(void)state;
	assert_int_equal(lsc_run(main_of_waits, &r), 0);
	uint32_t main_id = reader_task(&r, "main"), sleeper = reader_task(&r, "sleeper");
	for (size_t i = 0; i < WAYS; i++) {
		uint32_t id = reader_task(&r, ways[i].name);
		size_t at = reader_next(&r, 0, LSC_REC_TASK_SUSPEND, id);

		assert_in_range(at, 0, r.count - 1);
		print_message("%s\n", ways[i].name);
		assert_int_equal(r.records[at].arg8, ways[i].kind);
		assert_int_equal(r.records[at].arg64, detail_of(&r, ways[i].name));
		at = reader_next(&r, at, LSC_REC_TASK_READY, id);
		assert_in_range(at, 0, r.count - 1);
		assert_int_equal(r.records[at].arg8, ways[i].kind);
		const uint32_t wakers[] = {
			[BY_LOOP] = 0, [BY_MAIN] = main_id, [BY_OTHER] = sleeper};
		assert_int_equal(r.records[at].arg64, wakers[ways[i].waker]);
	}
	reader_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wait_is_recorded_with_its_detail_and_its_waker),
	};
	return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
