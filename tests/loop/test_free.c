/* SPDX-License-Identifier: MIT */
/* What is freed or closed between the moment in which it wakes a task and the task's turn; and the
 * end of a loop beside what still wants something of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "task.h"

/* ---- objects ---- */

static struct lsc_lock *lock;
static struct lsc_condition *condition;
static struct lsc_event *event;
static struct lsc_semaphore *semaphore;
static struct lsc_barrier *barrier;
static struct lsc_queue *queue;

static int wait_for_lock(void)
{
	return lsc_lock_acquire(lock);
}

static void free_lock(void)
{
	lsc_lock_release(lock);
	lsc_lock_free(lock);
}

static int wait_for_condition(void)
{
	assert_int_equal(lsc_lock_acquire(lock), 0);
	int r = lsc_condition_wait(condition);
	assert_int_equal(lsc_lock_release(lock), 0);
	return r;
}

static void free_condition(void)
{
	assert_int_equal(lsc_condition_notify(condition, 1), 1);
	lsc_lock_release(lock);
	lsc_condition_free(condition);
}

static int wait_for_event(void)
{
	return lsc_event_wait(event);
}

static void free_event(void)
{
	lsc_event_set(event);
	lsc_event_free(event);
}

static int wait_for_permit(void)
{
	return lsc_semaphore_acquire(semaphore);
}

static void free_semaphore(void)
{
	lsc_semaphore_release(semaphore);
	lsc_semaphore_free(semaphore);
}

static int wait_for_others(void)
{
	return lsc_barrier_wait(barrier);
}

static void free_barrier(void)
{
	assert_int_equal(lsc_barrier_wait(barrier), 1); /* the last one to come sets them free */
	lsc_barrier_free(barrier);
}

static int wait_for_item(void)
{
	void *item;

	return lsc_queue_get(queue, &item);
}

static void free_queue(void)
{
	lsc_queue_put_nowait(queue, &queue);
	lsc_queue_free(queue);
}

static void shut_queue(void)
{
	lsc_queue_shutdown(queue, NULL);
	lsc_queue_free(queue);
}

static const struct {
	int (*wait)(void);
	void (*free)(void); /* wakes who waits, then frees what is waited for */
	bool holds_lock;
} cases[] = {
	{wait_for_lock, free_lock, true},	{wait_for_condition, free_condition, false},
	{wait_for_event, free_event, false},	{wait_for_permit, free_semaphore, false},
	{wait_for_others, free_barrier, false}, {wait_for_item, free_queue, false},
	{wait_for_item, shut_queue, false},
};

static int run_waiter(void *arg)
{
	return (*(int (*const *)(void))arg)();
}

static void check(size_t i, bool cancel)
{
	lock = lsc_lock_new();
	condition = lsc_condition_new(lock);
	event = lsc_event_new();
	semaphore = lsc_semaphore_new(0, 0);
	barrier = lsc_barrier_new(2);
	queue = lsc_queue_new(LSC_FIFO, 0, NULL);
	if (cases[i].holds_lock)
		lsc_lock_acquire(lock);
	struct lsc_future *task = lsc_spawn(run_waiter, (void *)&cases[i].wait, "waits");
	lsc_yield();
	if (cases[i].wait == wait_for_condition)
		lsc_lock_acquire(lock);
	cases[i].free();
	if (cancel)
		lsc_cancel(task);
	assert_int_equal(lsc_await(task), cancel ? -ECANCELED : -EIDRM);
	lsc_unref(task);
	if (cases[i].free != free_condition)
		lsc_condition_free(condition);
	if (cases[i].free != free_lock)
		lsc_lock_free(lock);
	if (cases[i].free != free_event)
		lsc_event_free(event);
	if (cases[i].free != free_semaphore)
		lsc_semaphore_free(semaphore);
	if (cases[i].free != free_barrier)
		lsc_barrier_free(barrier);
	if (cases[i].wait != wait_for_item)
		lsc_queue_free(queue);
}

static int main_of_freed(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(i, false);
		check(i, true);
	}
	return 0;
}

static void what_is_freed_after_it_woke_a_task_is_not_touched(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_freed, NULL), 0);
}

/* ---- descriptors ---- */

static int receive(void *arg)
{
	char byte = 0;
	ssize_t n = lsc_recvfrom(*(int *)arg, &byte, 1, 0, NULL, NULL);

	assert_int_not_equal(byte, 'n');
	return (int)n;
}

static int main_of_reuse(void *arg)
{
	int before[2], after[2];

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, before), 0);
	struct lsc_future *task = lsc_spawn(receive, &before[0], "receives");
	lsc_yield();
	assert_int_equal(write(before[1], "o", 1), 1);
	/* This task is ready all the time, so it runs before the other one. */
	while (task_of(task)->state != LSC_TASK_READY)
		lsc_yield();
	lsc_close(before[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, after), 0);
	assert_int_equal(after[0], before[0]);
	assert_int_equal(write(after[1], "n", 1), 1);
	assert_int_equal(lsc_await(task), -EBADF);
	lsc_unref(task);
	lsc_close(before[1]);
	lsc_close(after[0]);
	lsc_close(after[1]);
	return 0;
}

static void a_number_that_is_used_again_before_the_task_runs_is_not_read(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_reuse, NULL), 0);
}

/* Sends until its turn is taken from it, ahead of a try. */
static int send_for_long(void *arg)
{
	char byte = 0;
	ssize_t n = 0;

	while (n >= 0) {
		n = lsc_send(*(int *)arg, "o", 1, 0);
		if (n > 0)
			assert_int_equal(recv(((int *)arg)[1], &byte, 1, MSG_DONTWAIT), 1);
	}
	return (int)n;
}

static int main_of_turns(void *arg)
{
	int before[2], after[2];
	char byte;

	(void)arg;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, before), 0);
	struct lsc_future *task = lsc_spawn(send_for_long, before, "sends");
	lsc_yield();
	lsc_close(before[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, after), 0);
	assert_int_equal(after[0], before[0]);
	assert_int_equal(lsc_await(task), -EBADF);
	assert_int_equal(recv(after[1], &byte, 1, MSG_DONTWAIT), -1);
	lsc_unref(task);
	lsc_close(before[1]);
	lsc_close(after[0]);
	lsc_close(after[1]);
	return 0;
}

static void a_number_that_is_used_again_while_others_run_is_not_written(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_turns, NULL), 0);
}

/* ---- the end of a loop ---- */

static int interfere(void *arg)
{
	struct lsc_loop *loop = lsc_loop_current();

	(void)arg;
	assert_int_equal(lsc_sleep(LSC_NS_PER_S * 3600), -ECANCELED);
	assert_int_equal(lsc_loop_free(loop), -EBUSY);
	assert_int_equal(lsc_loop_run(loop), -EBUSY);
	assert_int_equal(lsc_run(interfere, NULL), -EBUSY);
	return 0;
}

static void a_loop_that_ends_cannot_be_turned_or_freed_by_its_tasks(void **state)
{
	struct lsc_loop *loop;

	(void)state;
	assert_int_equal(lsc_loop_new(NULL, &loop), 0);
	lsc_unref(lsc_spawn(interfere, NULL, "interferes"));
	lsc_call_soon_threadsafe(loop, (lsc_call_fn)lsc_loop_stop, loop);
	assert_int_equal(lsc_loop_run(loop), 0);
	assert_int_equal(lsc_loop_free(loop), 0);
}

static int calls;

static void count(void *arg)
{
	(void)arg;
	calls++;
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int main_of_late_call(void *arg)
{
	(void)arg;
	assert_int_equal(lsc_to_thread(do_nothing, NULL), 0);
	return lsc_call_soon_threadsafe(lsc_loop_current(), count, NULL);
}

static void a_call_of_a_thread_is_dropped_with_the_loop_also_beside_workers(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_late_call, NULL), 0);
	assert_int_equal(calls, 0);
}

/* ---- no threads ---- */

static bool no_threads;

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *),
			  void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(ret, attributes, fn, arg);
}

static int main_of_no_threads(void *arg)
{
	uint32_t refs = lsc_loop_current()->refs;

	(void)arg;
	assert_int_equal(lsc_to_thread(do_nothing, NULL), -EAGAIN);
	assert_null(lsc_thread_start(do_nothing, &calls, count));
	assert_int_equal(calls, 0); /* its argument is not taken */
	assert_int_equal(lsc_loop_current()->refs, refs);
	return 0;
}

static void a_call_without_a_thread_leaves_nothing(void **state)
{
	(void)state;
	no_threads = true;
	assert_int_equal(lsc_run(main_of_no_threads, NULL), 0);
	no_threads = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_freed_after_it_woke_a_task_is_not_touched),
		cmocka_unit_test(a_number_that_is_used_again_before_the_task_runs_is_not_read),
		cmocka_unit_test(a_number_that_is_used_again_while_others_run_is_not_written),
		cmocka_unit_test(a_loop_that_ends_cannot_be_turned_or_freed_by_its_tasks),
		cmocka_unit_test(a_call_of_a_thread_is_dropped_with_the_loop_also_beside_workers),
		cmocka_unit_test(a_call_without_a_thread_leaves_nothing),
	};

	return cmocka_run_group_tests_name("free", tests, NULL, NULL);
}
