/* SPDX-License-Identifier: MIT */
/* Calls in worker threads: side by side, cancelled before and while they run, and at the loop's
 * end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>

#include "loopscope/loopscope.h"

/* A job that says that it runs, and runs until it is let go. */
struct job {
	sem_t begun;
	sem_t go;
	int calls;
	int released;
};

static void job_init(struct job *job)
{
	*job = (struct job){0};
	sem_init(&job->begun, 0, 0);
	sem_init(&job->go, 0, 0);
}

static int work(void *arg)
{
	struct job *job = arg;

	job->calls++;
	sem_post(&job->begun);
	sem_wait(&job->go);
	return 7;
}

static void release(void *arg)
{
	((struct job *)arg)->released++;
}

static int call_work(void *arg)
{
	int r = lsc_to_thread(work, arg);

	/* A request that came meanwhile is met by what suspends next. */
	int then = lsc_yield();
	return r == 7 && then == -ECANCELED ? -ECANCELED : r < 0 ? r : then < 0 ? -EIO : r;
}

static void wait_begun(struct job *job)
{
	while (sem_wait(&job->begun) < 0)
		;
}

static int main_of_call(void *arg)
{
	struct job job;

	(void)arg;
	job_init(&job);
	sem_post(&job.go);
	assert_int_equal(lsc_to_thread(work, &job), 7);
	/* Two at once need two threads, and the loop runs on beside them. */
	struct job two[2];
	struct lsc_future *f[2];
	for (int i = 0; i < 2; i++) {
		job_init(&two[i]);
		f[i] = lsc_spawn(call_work, &two[i], NULL);
	}
	lsc_yield();
	wait_begun(&two[0]);
	wait_begun(&two[1]);
	sem_post(&two[1].go);
	assert_int_equal(lsc_await(f[1]), 7);
	assert_int_equal(lsc_is_done(f[0]), 0);
	sem_post(&two[0].go);
	assert_int_equal(lsc_await(f[0]), 7);
	lsc_unref(f[0]);
	lsc_unref(f[1]);
	return 0;
}

static void calls_run_beside_each_other_and_the_loop(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_call, NULL), 0);
}

static int main_of_cancel(void *arg)
{
	struct job job;

	(void)arg;
	job_init(&job);
	struct lsc_future *f = lsc_spawn(call_work, &job, NULL);
	lsc_yield();
	wait_begun(&job);
	lsc_cancel(f);
	lsc_cancel(f);
	for (int i = 0; i < 5; i++)
		lsc_yield();
	/* It runs, on the task's own memory: the task stays. */
	assert_int_equal(lsc_is_done(f), 0);
	sem_post(&job.go);
	assert_int_equal(lsc_await(f), -ECANCELED);
	lsc_unref(f);
	return 0;
}

static void a_call_that_runs_is_waited_for_by_a_cancelled_task(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_cancel, NULL), 0);
}

#define CROWD 64 /* more than there are workers */

static int main_of_crowd(void *arg)
{
	struct lsc_future *f[CROWD];
	struct job jobs[CROWD];
	int calls = 0, cancelled = 0;

	(void)arg;
	for (int i = 0; i < CROWD; i++) {
		job_init(&jobs[i]);
		f[i] = lsc_spawn(call_work, &jobs[i], NULL);
	}
	lsc_yield();
	wait_begun(&jobs[0]);
	lsc_cancel(f[CROWD - 1]); /* far from its turn */
	assert_int_equal(lsc_await(f[CROWD - 1]), -ECANCELED);
	assert_int_equal(jobs[CROWD - 1].calls, 0);
	for (int i = 0; i < CROWD; i++)
		sem_post(&jobs[i].go);
	for (int i = 0; i < CROWD; i++) {
		cancelled += lsc_await(f[i]) == -ECANCELED;
		calls += jobs[i].calls;
		lsc_unref(f[i]);
	}
	assert_int_equal(cancelled, 1);
	assert_int_equal(calls, CROWD - 1);
	return 0;
}

static void a_call_that_has_not_begun_is_withdrawn(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_crowd, NULL), 0);
}

static int main_of_future(void *arg)
{
	struct job *jobs = arg;

	sem_post(&jobs[0].go);
	struct lsc_future *f = lsc_thread_start(work, &jobs[0], release);
	assert_int_equal(lsc_await(f), 7);
	assert_int_equal(jobs[0].released, 0); /* its result may lie there */
	lsc_unref(f);
	assert_int_equal(jobs[0].released, 1);
	/* Cancelled while it runs: the future ends, the call goes on. */
	f = lsc_thread_start(work, &jobs[1], release);
	wait_begun(&jobs[1]);
	assert_int_equal(lsc_cancel(f), 1);
	assert_int_equal(lsc_await(f), -ECANCELED);
	assert_int_equal(lsc_cancel(f), 0);
	lsc_unref(f);
	assert_int_equal(jobs[1].released, 0);
	sem_post(&jobs[1].go);
	/* The loop's end waits for this one. */
	lsc_unref(lsc_thread_start(work, &jobs[2], release));
	wait_begun(&jobs[2]);
	sem_post(&jobs[2].go);
	return 0;
}

static void a_call_as_a_future_owns_its_argument(void **state)
{
	struct job jobs[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		job_init(&jobs[i]);
	assert_null(lsc_thread_start(work, &jobs[0], release));
	assert_int_equal(lsc_run(main_of_future, jobs), 0);
	assert_int_equal(jobs[1].released, 1);
	assert_int_equal(jobs[2].released, 1);
	assert_int_equal(jobs[2].calls, 1);
}

/* ---- more calls than threads, when the loop ends ---- */

struct rush {
	struct job jobs[CROWD];	   /* of tasks */
	struct job futures[CROWD]; /* of futures, whose references are dropped */
	struct lsc_future *tasks[CROWD];
	sem_t over;
};

/* Lets everything go when the task that began it has ended: while the loop does. */
static void *let_go(void *arg)
{
	struct rush *rush = arg;

	while (sem_wait(&rush->over) < 0)
		;
	for (int i = 0; i < CROWD; i++) {
		sem_post(&rush->jobs[i].go);
		sem_post(&rush->futures[i].go);
	}
	return NULL;
}

static int main_of_rush(void *arg)
{
	struct rush *rush = arg;

	for (int i = 0; i < CROWD; i++) {
		rush->tasks[i] = lsc_spawn(call_work, &rush->jobs[i], NULL);
		lsc_unref(lsc_thread_start(work, &rush->futures[i], release));
	}
	lsc_yield();
	wait_begun(&rush->futures[0]);
	/* Every other one is cancelled: of those that run, and of those that wait. */
	for (int i = 0; i < CROWD; i += 2)
		lsc_cancel(rush->tasks[i]);
	for (int i = 0; i < CROWD; i++)
		lsc_unref(rush->tasks[i]);
	sem_post(&rush->over);
	return 0;
}

static void a_loop_ends_amid_more_calls_than_threads(void **state)
{
	static struct rush rush;
	pthread_t thread;
	int begun = 0;

	(void)state;
	for (int i = 0; i < CROWD; i++) {
		job_init(&rush.jobs[i]);
		job_init(&rush.futures[i]);
	}
	sem_init(&rush.over, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, let_go, &rush), 0);
	assert_int_equal(lsc_run(main_of_rush, &rush), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (int i = 0; i < CROWD; i++) {
		assert_in_range(rush.jobs[i].calls, 0, 1);
		assert_in_range(rush.futures[i].calls, 0, 1);
		assert_int_equal(rush.futures[i].released, 1); /* called or not */
		begun += rush.jobs[i].calls + rush.futures[i].calls;
	}
	/* What no worker had taken by then is dropped, and not called. */
	assert_in_range(begun, 1, 2 * CROWD - 1);
	sem_destroy(&rush.over);
}

static int blocked_signals(void *arg)
{
	sigset_t set;

	(void)arg;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	return sigismember(&set, SIGTERM);
}

static int main_of_signals(void *arg)
{
	(void)arg;
	return lsc_to_thread(blocked_signals, NULL) - 1;
}

static void workers_leave_signals_to_the_program(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_signals, NULL), 0);
	assert_int_equal(lsc_to_thread(blocked_signals, NULL), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_run_beside_each_other_and_the_loop),
		cmocka_unit_test(a_call_that_runs_is_waited_for_by_a_cancelled_task),
		cmocka_unit_test(a_call_that_has_not_begun_is_withdrawn),
		cmocka_unit_test(a_call_as_a_future_owns_its_argument),
		cmocka_unit_test(a_loop_ends_amid_more_calls_than_threads),
		cmocka_unit_test(workers_leave_signals_to_the_program),
	};
	return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
