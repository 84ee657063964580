/* SPDX-License-Identifier: MIT */
/*
 * The loop: loop_turn() is one tick, in asyncio's order - wait, descriptors, timers, then what is
 * ready. asyncio looks for events after each round of what was ready; here further rounds follow
 * while they are short, so that a chain of quick hand-overs costs no system calls.
 */
#include "loop.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "debug.h"
#include "fork.h"
#include "hot.h"
#include "overflow.h"
#include "pool.h"
#include "signals.h"
#include "stack.h"
#include "task.h"

/* How long an idle loop waits between two pieces of a large snapshot: time for the reader to
 * follow. */
#define SNAPSHOT_PAUSE_NS (5 * LSC_NS_PER_MS)

/* How long rounds follow each other before the loop looks for events: short beside a wait that
 * anybody notices, long beside the system call. */
#define BURST_NS 50000u

/* Timers that one tick takes, or a slot more: those that are due together beyond that wait for the
 * next, so that events are looked at meanwhile, and what is fetched into the cache is used there.
 */
#define TIMERS_MAX 256u

__thread struct lsc_loop *loop_thread;

struct lsc_loop *lsc_loop_current(void)
{
	return loop_thread;
}

/* The first version ended with stack_size. */
#define OPTIONS_MIN_SIZE (offsetof(struct lsc_loop_options, stack_size) + sizeof(uint64_t))

static int check_options(const struct lsc_loop_options *given, struct lsc_loop_options *ret)
{
	struct lsc_loop_options o = {.size = sizeof(o)};

	if (given && given->size < OPTIONS_MIN_SIZE)
		return -EINVAL;
	if (given)
		memcpy(&o, given, given->size < sizeof(o) ? given->size : sizeof(o));
	if (o.record_bits == 0)
		o.record_bits = RING_DEFAULT_BITS;
	if (o.stack_size == 0)
		o.stack_size = STACK_DEFAULT_SIZE;
	if (o.record_bits < LSC_RING_MIN_BITS || o.record_bits > LSC_RING_MAX_BITS ||
	    o.stack_size < STACK_MIN_SIZE || o.stack_size > STACK_MAX_SIZE ||
	    o.debug > LSC_DEBUG_OFF)
		return -EINVAL;
	*ret = o;
	return 0;
}

static void drop_jobs(struct lsc_loop *loop)
{
	struct job *job;

	job_splice(&loop->batch, &loop->ready);
	while ((job = job_pop(&loop->batch)))
		if (job->ops && job->ops->drop)
			job->ops->drop(job);
}

/* Takes apart what loop_open() made, all of it or part. */
static void release(struct lsc_loop *loop)
{
	resource_close_all(&loop->resources);
	signals_close(loop);
	pool_close(loop);
	remote_close(loop); /* with what came back from the pool */
	drop_jobs(loop);
	timer_wheel_drop(&loop->timers);
	if (loop->backend_data)
		loop->backend->close(loop);
	trace_close(&loop->trace);
	fd_table_done(&loop->fds);
	runner_pool_done(&loop->runners);
	slab_pool_done(&loop->tasks);
	/* Late references are no calls from another thread. */
	free(loop->debug);
	loop->debug = NULL;
	loop_unref(loop);
}

void loop_unref(struct lsc_loop *loop)
{
	if (--loop->refs > 0)
		return;
	free(loop);
}

int loop_open(struct lsc_loop **ret, const struct lsc_loop_options *options)
{
	struct lsc_loop_options o;

	if (loop_thread)
		return -EBUSY;
	int r = check_options(options, &o);
	if (r == 0)
		r = fork_watch();
	if (r < 0)
		return r;
	struct lsc_loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->remote.fd = -1;
	loop->refs = 1;
	loop->burst_ns = BURST_NS;
	loop->alarm_ns = LOOP_NO_ALARM;
	slab_pool_init(&loop->tasks, sizeof(struct task));
	loop->size_class = runner_class(o.stack_size);
	job_queue_init(&loop->batch);
	job_queue_init(&loop->ready);
	list_init(&loop->live);
	list_init(&loop->resources);
	fd_table_init(&loop->fds);
	coro_init_thread(&loop->thread, &loop->thread_stack);
	timer_wheel_init(&loop->timers, lsc_now_ns());
	r = debug_open(&loop->debug, &o);
	if (r < 0) {
		loop_unref(loop);
		return r;
	}
	trace_init(&loop->trace);
	r = backend_open(loop);
	if (r == 0)
		r = remote_open(loop);
	if (r < 0) {
		release(loop);
		return r;
	}
	/* Last: the ring must not take the descriptor or the memory that the loop needs. */
	trace_open(&loop->trace, o.record_bits);
	loop->observed = loop->debug || trace_records(&loop->trace);
	loop->attended = loop->observed;
	loop_thread = loop;
	overflow_open(loop);
	*ret = loop;
	return 0;
}

LSC_HOT void loop_fd_ready(struct lsc_loop *loop, uint64_t token, uint32_t events)
{
	if (token == REMOTE_TOKEN) {
		remote_run(loop);
		if (loop->has_signals)
			signals_run(loop);
		return;
	}
	fd_ready(loop, token, events);
}

void loop_fd_unwatched(struct lsc_loop *loop, uint64_t token, int error)
{
	if (token != REMOTE_TOKEN)
		fd_unwatched(loop, token, error);
}

/* Has the backend's alarm end the wait. Setting it costs about as much as it saves a wait, so it is
 * set for a time that is asked for twice. False: the wait needs its timeout. */
static bool set_alarm(struct lsc_loop *loop, uint64_t due_ns)
{
	bool wanted = due_ns == loop->alarm_wanted_ns;

	loop->alarm_wanted_ns = due_ns;
	if (!wanted || !loop->backend->alarm || !loop->backend->alarm(loop, due_ns))
		return false;
	loop->alarm_ns = due_ns;
	return true;
}

static uint64_t time_to_wait(struct lsc_loop *loop, uint64_t timeout_ns)
{
	if (loop->ready.first)
		return 0;
	if (loop->snapshotting && timeout_ns > SNAPSHOT_PAUSE_NS)
		timeout_ns = SNAPSHOT_PAUSE_NS;
	uint64_t due_ns = timer_wheel_next(&loop->timers);
	if (due_ns == UINT64_MAX || due_ns == loop->alarm_ns)
		return timeout_ns;
	uint64_t now = lsc_now_ns();
	uint64_t left = due_ns > now ? due_ns - now : 0;
	return left >= timeout_ns || (left > 0 && set_alarm(loop, due_ns)) ? timeout_ns : left;
}

bool loop_begin_round(struct lsc_loop *loop)
{
	if (lsc_now_ns() >= loop->burst_end_ns)
		return false;
	job_splice(&loop->batch, &loop->ready);
	return true;
}

static void run_job(struct lsc_loop *loop, struct job *job)
{
	if (loop->debug)
		debug_begin(loop->debug);
	job->ops->run(job);
	if (loop->debug)
		debug_end(loop->debug, NULL);
}

static void run_ready(struct lsc_loop *loop)
{
	job_splice(&loop->batch, &loop->ready);
	while (loop->batch.first || loop_next_round(loop)) {
		struct coro *context = task_next_context(loop);
		struct job *job;

		if (context != &loop->thread)
			coro_switch(&loop->thread, context);
		else if ((job = job_pop(&loop->batch)))
			run_job(loop, job);
	}
}

LSC_HOT int loop_turn(struct lsc_loop *loop, uint64_t timeout_ns)
{
	timeout_ns = time_to_wait(loop, timeout_ns);
	fd_let_go(loop, !loop->ready.first);
	trace_tick_end(&loop->trace, timeout_ns);
	int n = loop->backend->wait(loop, timeout_ns);
	trace_tick_begin(&loop->trace, n > 0 ? (uint64_t)n : 0);
	uint64_t now = lsc_now_ns();
	loop->burst_end_ns = now + loop->burst_ns;
	if (n > 0)
		loop->backend->dispatch(loop, n);
	else if (n < 0)
		remote_run(loop); /* nothing tells of its calls any more */
	/* Those that are left have waited long enough: one round, then the next of them. */
	if (timer_wheel_expire(&loop->timers, now, TIMERS_MAX, &loop->ready))
		loop->burst_end_ns = now;
	loop->snapshotting =
		trace_snapshot_is_due(&loop->trace) && trace_snapshot(&loop->trace, &loop->live);
	run_ready(loop);
	if (runner_pool_is_large(&loop->runners))
		runner_pool_trim(&loop->runners);
	return n < 0 ? n : 0;
}

static void cancel_all(struct lsc_loop *loop)
{
	for (struct list *l = loop->live.next; l != &loop->live; l = l->next)
		lsc_cancel(&container_of(l, struct task, live)->future);
}

void loop_close(struct lsc_loop *loop)
{
	loop->closing = true;
	loop->running = true; /* nobody else turns or frees it */
	for (struct list *l = loop->live.next; loop->debug && l != &loop->live; l = l->next)
		debug_left(loop->debug, container_of(l, struct task, live));
	cancel_all(loop);
	while (!list_empty(&loop->live)) {
		/* A loop that cannot wait any more can only insist until every stack has unwound.
		 */
		if (loop_turn(loop, UINT64_MAX) < 0)
			cancel_all(loop);
	}
	trace_tick_end(&loop->trace, 0); /* what the thread does from now on is in no tick */
	overflow_close(loop);
	loop_thread = NULL;
	release(loop);
}
