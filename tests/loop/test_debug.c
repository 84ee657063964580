/* SPDX-License-Identifier: MIT */
/* Debug mode: each mistake is told in one line, word by word as here, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"
#include "reader.h"

static int return_seven(void *arg)
{
	(void)arg;
	return 7;
}

static int sleep_long(void *arg)
{
	(void)arg;
	return lsc_sleep(LSC_NS_PER_S * 3600);
}

static char said[8192];

static void hear(const char *message, void *arg)
{
	assert_string_equal(arg, "arg");
	assert_null(strchr(message, '\n'));
	strcat(said, message);
	strcat(said, "\n");
}

/* Whether the line that text begins with is want, in which # stands for a number. */
static bool is_line(const char *text, const char *want)
{
	for (; *want; want++) {
		if (*want != '#') {
			if (*text++ != *want)
				return false;
			continue;
		}
		if (!isdigit((unsigned char)*text))
			return false;
		while (isdigit((unsigned char)*text))
			text++;
	}
	return *text == '\n';
}

/* All that was said are these lines, in any order. */
static void assert_said(const char *const *lines, size_t n)
{
	size_t told = 0;

	for (const char *c = said; *c; c++)
		told += *c == '\n';
	for (size_t i = 0; i < n; i++) {
		const char *at = said;

		while (*at && !is_line(at, lines[i]))
			at = strchr(at, '\n') + 1;
		if (!*at)
			fail_msg("'%s' is not among:\n%s", lines[i], said);
	}
	if (told != n)
		fail_msg("%zu lines, not %zu:\n%s", told, n, said);
}

#define ASSERT_SAID(...)                                                                           \
	assert_said((const char *const[]){__VA_ARGS__},                                            \
		    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

#define NEVER_SLOW (LSC_NS_PER_S * 3600)

static int run_with(lsc_task_fn main_fn, void *arg, uint64_t slow_step_ns)
{
	struct lsc_loop_options o = {
		.size = sizeof(o),
		.debug = LSC_DEBUG_ON,
		.slow_step_ns = slow_step_ns,
		.log = hear,
		.log_arg = "arg",
	};

	said[0] = '\0';
	return lsc_run_with(&o, main_fn, arg);
}

/* A step that the machine holds up is no mistake that these tests are about. */
static int run_debug(lsc_task_fn main_fn, void *arg)
{
	return run_with(main_fn, arg, NEVER_SLOW);
}

static int block(void *arg)
{
	struct timespec t = {.tv_nsec = 250 * LSC_NS_PER_MS};

	(void)arg;
	nanosleep(&t, NULL);
	return 0;
}

static void block_in_a_call(void *arg)
{
	block(arg);
}

static int main_of_slow(void *arg)
{
	struct lsc_future *f = lsc_spawn(block, NULL, "slowpoke");

	(void)arg;
	lsc_await(f);
	lsc_unref(f);
	lsc_handle_unref(lsc_call_soon(block_in_a_call, NULL));
	return lsc_yield();
}

static void debug_tells_who_held_the_loop(void **state)
{
	(void)state;
	assert_int_equal(run_with(main_of_slow, NULL, 200 * LSC_NS_PER_MS), 0);
	ASSERT_SAID("task # 'slowpoke', spawned in main_of_slow (tests/loop/test_debug.c:#) "
		    "held the loop for #.# ms",
		    "a call held the loop for #.# ms");
}

static int fail_io(void *arg)
{
	(void)arg;
	return -EIO;
}

static int leave_a_lock(void *arg)
{
	return lsc_lock_acquire(arg);
}

static int main_of_forgotten(void *arg)
{
	struct lsc_lock *lock = lsc_lock_new();

	(void)arg;
	struct lsc_future *untaken = lsc_future_new();

	lsc_unref(lsc_spawn(fail_io, NULL, "failed"));
	assert_int_equal(lsc_resolve(untaken, -EIO), 0);
	lsc_unref(untaken);
	lsc_unref(lsc_spawn(return_seven, NULL, "detached")); /* no mistake */
	struct lsc_future *forgotten = lsc_spawn(return_seven, NULL, "forgotten");
	struct lsc_future *awaited = lsc_spawn(fail_io, NULL, "seen");
	struct lsc_future *locker = lsc_spawn(leave_a_lock, lock, "locker");
	lsc_unref(lsc_spawn(sleep_long, NULL, "left"));
	assert_int_equal(lsc_await(awaited), -EIO);
	assert_int_equal(lsc_await(locker), 0);
	assert_int_equal(lsc_lock_is_locked(lock), 1);
	assert_int_equal(lsc_lock_release(lock), 0);
	lsc_lock_free(lock);
	lsc_unref(forgotten);
	lsc_unref(awaited);
	lsc_unref(locker);
	return 0;
}

static void debug_tells_what_was_forgotten(void **state)
{
	(void)state;
	assert_int_equal(run_debug(main_of_forgotten, NULL), 0);
#define SPAWNED "spawned in main_of_forgotten (tests/loop/test_debug.c:#)"
	ASSERT_SAID("task # 'failed', " SPAWNED
		    ": its error -5 (Input/output error) was never taken",
		    "a future: its error -5 (Input/output error) was never taken",
		    "task # 'forgotten', " SPAWNED " was never awaited",
		    "task # 'locker', " SPAWNED " ended with 1 lock held",
		    "task # 'left', " SPAWNED " is cancelled: its loop ends");
}

struct shared {
	struct lsc_future *future;
	struct lsc_event *event;
	struct lsc_lock *lock;
	struct lsc_semaphore *semaphore;
	struct lsc_queue *queue;
	struct lsc_barrier *barrier;
	struct lsc_handle *handle;
	struct lsc_timer timer;
	struct lsc_stream *stream;
	struct lsc_server *server;
};

static void never(struct lsc_future *future, void *arg)
{
	(void)future;
	(void)arg;
	abort();
}

static void *use_foreign_objects(void *arg)
{
	struct shared *s = arg;
	void *item;

	assert_int_equal(lsc_resolve(s->future, 1), -EPERM);
	assert_int_equal(lsc_cancel(s->future), -EPERM);
	assert_int_equal(lsc_add_done_callback(s->future, never, NULL), -EPERM);
	assert_int_equal(lsc_event_set(s->event), -EPERM);
	assert_int_equal(lsc_lock_release(s->lock), -EPERM);
	assert_int_equal(lsc_semaphore_release(s->semaphore), -EPERM);
	assert_int_equal(lsc_queue_put_nowait(s->queue, NULL), -EPERM);
	assert_int_equal(lsc_queue_get_nowait(s->queue, &item), -EPERM);
	assert_int_equal(lsc_handle_cancel(s->handle), -EPERM);
	assert_int_equal(lsc_timer_stop(&s->timer), -EPERM);
	assert_int_equal(lsc_timer_start(&s->timer, 0), -EPERM);
	assert_int_equal(lsc_stream_write(s->stream, "x", 1), -EPERM);
	/* These give nothing back, and do nothing. */
	lsc_queue_shutdown(s->queue, NULL);
	lsc_barrier_abort(s->barrier);
	lsc_barrier_reset(s->barrier);
	lsc_stream_close(s->stream);
	lsc_stream_abort(s->stream);
	lsc_server_close(s->server);
	return NULL;
}

static void call_nothing(void *arg)
{
	(void)arg;
	abort();
}

static int serve_nobody(struct lsc_stream *stream, void *arg)
{
	(void)stream;
	(void)arg;
	return 0;
}

static int main_of_foreign(void *arg)
{
	struct shared s = {.future = lsc_future_new(),
			   .event = lsc_event_new(),
			   .lock = lsc_lock_new(),
			   .semaphore = lsc_semaphore_new(0, 0),
			   .queue = lsc_queue_new(LSC_FIFO, 0, NULL),
			   .barrier = lsc_barrier_new(2),
			   .handle = lsc_call_later(LSC_NS_PER_S * 3600, call_nothing, NULL)};
	pthread_t thread;
	char path[64];
	int pair[2];

	(void)arg;
	/* the same test may run elsewhere, with the other backend */
	snprintf(path, sizeof(path), "@loopscope-test-debug-%d", getpid());
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(lsc_stream_open(pair[0], &s.stream), 0);
	assert_int_equal(lsc_start_unix_server(path, serve_nobody, NULL, NULL, &s.server), 0);
	lsc_timer_init(&s.timer, call_nothing, NULL);
	assert_int_equal(lsc_timer_start(&s.timer, lsc_time() + LSC_NS_PER_S * 3600), 0);
	assert_int_equal(lsc_lock_acquire(s.lock), 0);
	assert_int_equal(pthread_create(&thread, NULL, use_foreign_objects, &s), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(lsc_is_done(s.future), 0);
	assert_int_equal(lsc_event_is_set(s.event), 0);
	assert_int_equal(lsc_barrier_is_broken(s.barrier), 0);
	assert_int_equal(lsc_queue_put_nowait(s.queue, NULL), 0);
	assert_int_equal(lsc_stream_write(s.stream, "x", 1), 0);
	assert_int_equal(lsc_timer_stop(&s.timer), 1);
	assert_int_equal(lsc_handle_cancel(s.handle), 1);
	lsc_handle_unref(s.handle);
	lsc_unref(s.future);
	lsc_event_free(s.event);
	lsc_lock_free(s.lock);
	lsc_semaphore_free(s.semaphore);
	lsc_queue_free(s.queue);
	lsc_barrier_free(s.barrier);
	lsc_stream_free(s.stream);
	lsc_server_close(s.server);
	assert_int_equal(lsc_server_wait_closed(s.server), 0);
	lsc_server_free(s.server);
	return close(pair[1]);
}

static void debug_refuses_calls_from_another_thread(void **state)
{
#define FOREIGN "() called by another thread than the loop's: use lsc_call_soon_threadsafe()"
	(void)state;
	assert_int_equal(run_debug(main_of_foreign, NULL), 0);
	ASSERT_SAID("lsc_resolve" FOREIGN, "lsc_cancel" FOREIGN, "lsc_add_done_callback" FOREIGN,
		    "lsc_event_set" FOREIGN, "lsc_lock_release" FOREIGN,
		    "lsc_semaphore_release" FOREIGN, "lsc_queue_put_nowait" FOREIGN,
		    "lsc_queue_get_nowait" FOREIGN, "lsc_handle_cancel" FOREIGN,
		    "lsc_timer_stop" FOREIGN, "lsc_stream_write" FOREIGN,
		    "lsc_queue_shutdown" FOREIGN, "lsc_barrier_abort" FOREIGN,
		    "lsc_barrier_reset" FOREIGN, "lsc_stream_close" FOREIGN,
		    "lsc_stream_abort" FOREIGN, "lsc_server_close" FOREIGN);
}

static int use_stack(void *arg)
{
	size_t size = *(size_t *)arg;
	volatile char frame[size];

	for (size_t i = 0; i < size; i += 64)
		frame[i] = 1;
	return frame[0] - 1;
}

static int main_of_stacks(void *arg)
{
	struct lsc_task_options o = {.size = sizeof(o), .stack_size = 4u << 20};
	static struct lsc_site sites[3] = {{.function = "a", .file = "a.c", .line = 1},
					   {.function = "b", .file = "b.c", .line = 2},
					   {.function = "c", .file = "c.c", .line = 3}};
	size_t sizes[3] = {40000, 900000, 90000};

	(void)arg;
	for (int i = 0; i < 3; i++) { /* one after the other, on the same stack */
		struct lsc_future *f = lsc_spawn_with_at(&sites[i], use_stack, &sizes[i], &o);

		assert_int_equal(lsc_await(f), 0);
		lsc_unref(f);
		assert_in_range(sites[i].stack_high, sizes[i], sizes[i] + 30000);
		assert_int_equal(sites[i].stack_size, o.stack_size);
	}
	sizes[2] = 20000; /* less: the mark stays */
	struct lsc_future *f = lsc_spawn_with_at(&sites[2], use_stack, &sizes[2], &o);
	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
	assert_in_range(sites[2].stack_high, 90000, 120000);
	return 0;
}

static int keep_reference(void *arg)
{
	*(struct lsc_future **)arg = lsc_future_new();
	return 0;
}

static void debug_takes_no_late_reference_for_another_thread(void **state)
{
	struct lsc_future *late;

	(void)state;
	assert_int_equal(run_debug(keep_reference, &late), 0);
	lsc_unref(late);
	assert_string_equal(said, "");
}

static void debug_measures_the_stack_of_each_site(void **state)
{
	(void)state;
	assert_int_equal(run_debug(main_of_stacks, NULL), 0);
}

/* The SITE_STACK behind record `from` whose site is that of the task. */
static const struct lsc_record *site_stack_of(const struct reader *r, size_t from, const char *name)
{
	size_t task = reader_next(r, 0, LSC_REC_TASK_NEW, reader_task(r, name));
	size_t at = reader_next(r, from, LSC_REC_SITE_STACK, (uint32_t)r->records[task].arg64);

	assert_in_range(at, 0, r->count - 1);
	return &r->records[at];
}

static int use_stack_and_wait(void *arg)
{
	size_t size = *(size_t *)arg;
	volatile char frame[size];

	frame[0] = 1;
	return lsc_sleep(LSC_NS_PER_S * 3600) + frame[0];
}

/* Each from the same place. */
static void run_shallow(void)
{
	size_t size = 5000;
	struct lsc_future *f = lsc_spawn(use_stack, &size, "shallow");

	assert_int_equal(lsc_await(f), 0);
	lsc_unref(f);
}

static int main_of_snapshot(void *arg)
{
	struct lsc_task_options o = {.size = sizeof(o), .name = "deep", .stack_size = 1u << 20};
	size_t deep = 300000;
	struct lsc_future *f = lsc_spawn_with(use_stack_and_wait, &deep, &o);
	struct lsc_loop *loop = lsc_loop_current();
	uint32_t asked = 1;

	run_shallow();
	assert_int_equal(pwrite(reader_find(), &asked, sizeof(asked),
				offsetof(struct lsc_ring_header, listener)),
			 sizeof(asked));
	loop->burst_end_ns = 0; /* the snapshot is of the next tick */
	lsc_yield();
	run_shallow(); /* what the late reader missed of this place comes with its next task */
	reader_open(arg);
	lsc_cancel(f);
	lsc_unref(f);
	return 0;
}

static void debug_tells_a_late_reader_of_the_stacks_of_live_tasks(void **state)
{
	struct reader r;

	(void)state;
	assert_int_equal(run_debug(main_of_snapshot, &r), 0);
	size_t snapshot = reader_next(&r, 0, LSC_REC_SNAPSHOT_BEGIN, 0);
	assert_in_range(snapshot, 1, r.count - 1);
	const struct lsc_record *deep = site_stack_of(&r, snapshot, "deep");
	assert_in_range(deep->arg64, 300000, 330000);
	assert_int_equal(deep->arg8, 20);
	assert_in_range(site_stack_of(&r, snapshot, "shallow")->arg64, 5000, 35000);
	reader_close(&r);
}

static int is_debug(void *arg)
{
	(void)arg;
	return lsc_loop_current()->debug != NULL;
}

static void debug_is_asked_for_by_the_environment_or_an_option(void **state)
{
	struct lsc_loop_options o = {.size = sizeof(o), .debug = LSC_DEBUG_OFF};

	(void)state;
	unsetenv("LSC_DEBUG");
	assert_int_equal(lsc_run(is_debug, NULL), 0);
	setenv("LSC_DEBUG", "1", 1);
	assert_int_equal(lsc_run(is_debug, NULL), 1);
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), 0);
	setenv("LSC_DEBUG", "0", 1);
	assert_int_equal(lsc_run(is_debug, NULL), 0);
	o.debug = LSC_DEBUG_ON;
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), 1);
	o.debug = 3;
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), -EINVAL);
	/* Options of a program that was built before there was a debug mode. */
	o = (struct lsc_loop_options){.size = 16, .debug = 3};
	assert_int_equal(lsc_run_with(&o, is_debug, NULL), 0);
	unsetenv("LSC_DEBUG");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(debug_tells_who_held_the_loop),
		cmocka_unit_test(debug_tells_what_was_forgotten),
		cmocka_unit_test(debug_refuses_calls_from_another_thread),
		cmocka_unit_test(debug_takes_no_late_reference_for_another_thread),
		cmocka_unit_test(debug_measures_the_stack_of_each_site),
		cmocka_unit_test(debug_tells_a_late_reader_of_the_stacks_of_live_tasks),
		cmocka_unit_test(debug_is_asked_for_by_the_environment_or_an_option),
	};
	return cmocka_run_group_tests_name("debug", tests, NULL, NULL);
}
