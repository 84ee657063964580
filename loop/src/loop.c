/* SPDX-License-Identifier: MIT */
/*
 * The loop: loop_turn() is one tick, in asyncio's order - wait, descriptors, timers, then the tasks
 * that were ready at that point. What becomes ready during a tick runs in the next.
 */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

/* How long an idle loop waits between two pieces of a large snapshot: time for the reader to
 * follow. */
#define SNAPSHOT_PAUSE_NS (5 * LSC_NS_PER_MS)

static __thread struct lsc_loop *thread_loop;

struct lsc_loop *lsc_loop_current(void)
{
	return thread_loop;
}

static int check_options(const struct lsc_loop_options *given, struct lsc_loop_options *ret)
{
	*ret = (struct lsc_loop_options){.record_bits = RING_DEFAULT_BITS,
					 .stack_size = STACK_DEFAULT_SIZE};
	if (!given)
		return 0;
	if (given->size < sizeof(*given))
		return -EINVAL;
	if (given->record_bits != 0)
		ret->record_bits = given->record_bits;
	if (given->stack_size != 0)
		ret->stack_size = given->stack_size;
	if (ret->record_bits < LSC_RING_MIN_BITS || ret->record_bits > LSC_RING_MAX_BITS ||
	    ret->stack_size < STACK_MIN_SIZE || ret->stack_size > STACK_MAX_SIZE)
		return -EINVAL;
	return 0;
}

/* Takes apart what loop_open() made, all of it or part. */
static void release(struct lsc_loop *loop)
{
	remote_close(loop);
	if (loop->backend_data)
		loop->backend->close(loop);
	trace_close(&loop->trace);
	timer_heap_done(&loop->timers);
	fd_table_done(&loop->fds);
	stack_pool_done(&loop->stacks);
	free(loop);
}

int loop_open(struct lsc_loop **ret, const struct lsc_loop_options *options)
{
	struct lsc_loop_options o;

	if (thread_loop)
		return -EBUSY;
	int r = check_options(options, &o);
	if (r < 0)
		return r;
	struct lsc_loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->backend = &backend_epoll;
	loop->remote.fd = -1;
	list_init(&loop->ready);
	list_init(&loop->live);
	stack_pool_init(&loop->stacks, o.stack_size);
	trace_open(&loop->trace, o.record_bits);
	r = loop->backend->open(loop);
	if (r == 0)
		r = remote_open(loop);
	if (r < 0) {
		release(loop);
		return r;
	}
	thread_loop = loop;
	*ret = loop;
	return 0;
}

void loop_fd_ready(struct lsc_loop *loop, int fd, uint32_t events)
{
	if (fd == loop->remote.fd)
		remote_run(loop);
	else
		fd_ready(loop, fd, events);
}

static uint64_t time_to_wait(const struct lsc_loop *loop, uint64_t timeout_ns)
{
	const struct timer *first = timer_heap_first(&loop->timers);

	if (!list_empty(&loop->ready))
		return 0;
	if (loop->snapshotting && timeout_ns > SNAPSHOT_PAUSE_NS)
		timeout_ns = SNAPSHOT_PAUSE_NS;
	if (!first)
		return timeout_ns;
	uint64_t now = lsc_now_ns();
	uint64_t left = first->due_ns > now ? first->due_ns - now : 0;
	return left < timeout_ns ? left : timeout_ns;
}

static void expire_timers(struct lsc_loop *loop)
{
	struct timer *timer = timer_heap_first(&loop->timers);

	if (!timer)
		return;
	for (uint64_t now = lsc_now_ns(); timer && timer->due_ns <= now;
	     timer = timer_heap_first(&loop->timers)) {
		timer_heap_remove(&loop->timers, timer);
		task_ready(container_of(timer, struct task, timer));
	}
}

/* Runs the tasks that are ready now. */
static void run_ready(struct lsc_loop *loop)
{
	struct list batch;

	list_init(&batch);
	list_splice(&batch, &loop->ready);
	while (!list_empty(&batch)) {
		struct task *task = container_of(batch.next, struct task, ready);

		list_remove(&task->ready);
		task_step(task);
	}
}

int loop_turn(struct lsc_loop *loop, uint64_t timeout_ns)
{
	timeout_ns = time_to_wait(loop, timeout_ns);
	trace_tick_end(&loop->trace, timeout_ns);
	int n = loop->backend->wait(loop, timeout_ns);
	trace_tick_begin(&loop->trace, n > 0 ? (uint64_t)n : 0);
	if (n > 0)
		loop->backend->dispatch(loop, n);
	expire_timers(loop);
	loop->snapshotting = trace_snapshot(&loop->trace, &loop->live);
	run_ready(loop);
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
	cancel_all(loop);
	while (!list_empty(&loop->live)) {
		/* A loop that cannot wait any more can only insist until every stack has unwound.
		 */
		if (loop_turn(loop, UINT64_MAX) < 0)
			cancel_all(loop);
	}
	thread_loop = NULL;
	release(loop);
}

int lsc_run_with(const struct lsc_loop_options *options, lsc_task_fn main, void *arg)
{
	static struct lsc_site site = {__func__, __FILE__, __LINE__, 0};
	struct lsc_loop *loop;

	int r = loop_open(&loop, options);
	if (r < 0)
		return r;
	struct task *task = task_new(loop, &site, main, arg, "main");
	if (!task) {
		loop_close(loop);
		return -ENOMEM;
	}
	while (!task->future.done) {
		/* As in loop_close(). */
		if (loop_turn(loop, UINT64_MAX) < 0)
			lsc_cancel(&task->future);
	}
	r = task->future.result;
	lsc_unref(&task->future);
	loop_close(loop);
	return r;
}

int lsc_run(lsc_task_fn main, void *arg)
{
	return lsc_run_with(NULL, main, arg);
}

void lsc_mark(const char *text)
{
	if (thread_loop)
		trace_mark(&thread_loop->trace, thread_loop->current, text);
}
