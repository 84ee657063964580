/* SPDX-License-Identifier: MIT */
/*
 * Runs the programs that test_differ.py makes, from standard input, and prints what happens in
 * them: "TIME WHO LINE OPERATION RESULT". Time is virtual: it passes when the loop would wait, up
 * to the next timer. The operations are those of asyncio; each returns what the library's call
 * returns.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "base/clock.h"
#include "loopscope/loopscope.h"
#include "timer.h"

#define LINES	2000
#define ARGS	8
#define TASKS	16
#define FUTURES 4
#define MADE	2 /* shields and gathers with names */
#define LATER	1000000000000ull

enum { EVENTS = 2, LOCKS = 2, QUEUES = 3 };

struct line {
	char op[12];
	long args[ARGS]; /* times, values, and indices: of tasks, futures, then what was made */
	int n;
	int end; /* of a block: the line of its "end" */
};

struct actor {
	int id; /* of its task; -1: a callback */
	bool stubborn;
	int begin, end;
	struct lsc_group *group;     /* the innermost */
	struct lsc_timeout *timeout; /* the same */
};

static struct line lines[LINES];
static struct actor actors[TASKS];
static struct lsc_future *futures[TASKS + FUTURES + MADE]; /* NULL: not spawned, not made */
static struct lsc_event *events[EVENTS];
static struct lsc_lock *locks[LOCKS];
static struct lsc_condition *condition; /* on the last lock */
static struct lsc_lock *loose;		/* acquired and released by whoever comes */
static struct lsc_semaphore *semaphore, *bounded;
static struct lsc_handle *handle; /* of the latest call */
static int counter;
static struct lsc_barrier *barrier;
static struct lsc_queue *queues[QUEUES];

/* ---- virtual time ---- */

static uint64_t now_ns, due_ns;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){.tv_sec = (time_t)(now_ns / LSC_NS_PER_S),
				 .tv_nsec = (long)(now_ns % LSC_NS_PER_S)};
	return 0;
}

uint64_t __real_timer_wheel_next(struct timer_wheel *wheel);
uint64_t __wrap_timer_wheel_next(struct timer_wheel *wheel);
uint64_t __wrap_timer_wheel_next(struct timer_wheel *wheel)
{
	due_ns = __real_timer_wheel_next(wheel);
	return due_ns;
}

static void pass_time(bool waits)
{
	if (!waits)
		return;
	if (due_ns == UINT64_MAX) {
		puts("nothing left to wait for");
		fflush(stdout);
		abort();
	}
	if (due_ns > now_ns)
		now_ns = due_ns;
}

struct epoll_event;
int __real_epoll_wait(int fd, struct epoll_event *ret, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *ret, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *ret, int max, int timeout)
{
	pass_time(timeout != 0);
	return __real_epoll_wait(fd, ret, max, 0);
}

#ifdef LSC_HAVE_URING
struct uring;
int __real_uring_enter(struct uring *u, uint64_t timeout_ns);
int __wrap_uring_enter(struct uring *u, uint64_t timeout_ns);
int __wrap_uring_enter(struct uring *u, uint64_t timeout_ns)
{
	pass_time(timeout_ns != 0);
	return __real_uring_enter(u, 0);
}
#endif

/* ---- operations ---- */

static int run_block(struct actor *a, int begin, int end);

static void say(const struct actor *a, int line, const char *op, long result)
{
	printf("%llu %d %d %s %ld\n", (unsigned long long)now_ns, a->id, line, op, result);
}

/* The futures that arguments from `from` on name and that exist; only pending ones if asked. */
static int pick(const struct line *l, int from, bool pending, struct lsc_future **ret)
{
	int n = 0;

	for (int i = from; i < l->n; i++) {
		struct lsc_future *f = futures[l->args[i]];

		if (f && !(pending && lsc_is_done(f)))
			ret[n++] = f;
	}
	return n;
}

static int index_of(const struct lsc_future *future)
{
	int i = 0;

	while (futures[i] != future)
		i++;
	return i;
}

static int run_task(void *arg)
{
	struct actor *a = arg;
	int r = run_block(a, a->begin, a->end);

	return r < 0 ? r : a->id * 10;
}

static int spawn(struct actor *a, long k, bool in_group)
{
	if (futures[k])
		return -EEXIST;
	if (in_group && !a->group)
		return -ENOENT;
	futures[k] = in_group ? lsc_group_spawn(a->group, run_task, &actors[k], "child")
			      : lsc_spawn(run_task, &actors[k], "task");
	return futures[k] ? 0 : -EPERM;
}

static int gather(const struct line *l)
{
	struct lsc_future *members[ARGS];
	int results[ARGS], n = pick(l, 1, false, members), sum = 0;
	struct lsc_future *all = lsc_gather(members, (size_t)n, (unsigned)l->args[0]);
	int r = lsc_await(all);

	if (r == 0 && lsc_gather_results(all, results, ARGS) == n)
		for (int i = 0; i < n; i++)
			sum = sum * 7 + results[i];
	lsc_unref(all);
	return r < 0 ? r : sum & 0xffffff;
}

static int each(const struct actor *a, int at)
{
	struct lsc_future *members[ARGS], *next;
	int n = pick(&lines[at], 0, true, members), r;
	struct lsc_as_completed *all = lsc_as_completed_new(members, (size_t)n);

	while ((r = lsc_as_completed_next(all, &next)) > 0)
		say(a, at, "next", index_of(next));
	lsc_as_completed_free(all);
	return r;
}

/* A shield or a gather of the futures that exist. */
static int make(const struct line *l, bool gathers)
{
	struct lsc_future *members[ARGS], **made = &futures[l->args[0]];

	if (*made)
		return -EEXIST;
	int n = pick(l, gathers ? 2 : 1, false, members);
	if (n == 0 && !gathers)
		return -ENOENT;
	*made = gathers ? lsc_gather(members, (size_t)n, (unsigned)l->args[1])
			: lsc_shield(members[0]);
	return *made ? 0 : -ENOMEM;
}

static int shield(const struct line *l)
{
	struct lsc_future *inner = futures[l->args[0]];
	struct lsc_future *outer = inner ? lsc_shield(inner) : NULL;
	int r = outer ? lsc_await(outer) : -ENOENT;

	lsc_unref(outer);
	return r;
}

static int get(struct lsc_queue *queue, bool wait)
{
	void *item;
	int r = wait ? lsc_queue_get(queue, &item) : lsc_queue_get_nowait(queue, &item);

	return r < 0 ? r : (int)(intptr_t)item;
}

/* The end of the program: everything is asked to end until it does, at once or one by one. */
static int reap(bool apart)
{
	int alive = TASKS, rounds = 0;

	for (; alive > 0 && rounds < 100; rounds++) {
		alive = 0;
		for (int i = 1; i < TASKS; i++)
			if (futures[i] && !lsc_is_done(futures[i])) {
				lsc_cancel(futures[i]);
				alive++;
				if (apart)
					lsc_sleep(LATER);
			}
		lsc_sleep(LATER);
	}
	return rounds;
}

static void call_back(void *arg)
{
	const struct line *l = arg;
	struct actor callback = {.id = -1, .stubborn = true};

	run_block(&callback, (int)(l - lines) + 1, l->end);
}

static void has_ended(struct lsc_future *future, void *arg)
{
	struct actor callback = {.id = -1};

	say(&callback, (int)((struct line *)arg - lines), "ended", lsc_result(future));
}

static int with_lock(struct actor *a, int at, struct lsc_lock *lock)
{
	int r = lsc_lock_acquire(lock);

	if (r < 0)
		return r;
	r = run_block(a, at + 1, lines[at].end);
	lsc_lock_release(lock);
	return r;
}

static int with_permit(struct actor *a, int at)
{
	int r = lsc_semaphore_acquire(semaphore);

	if (r < 0)
		return r;
	r = run_block(a, at + 1, lines[at].end);
	lsc_semaphore_release(semaphore);
	return r;
}

static int with_timeout(struct actor *a, int at)
{
	struct lsc_timeout timeout, *outer = a->timeout;

	lsc_timeout_begin(&timeout, (uint64_t)lines[at].args[0]);
	a->timeout = &timeout;
	int r = lsc_timeout_end(&timeout, run_block(a, at + 1, lines[at].end));
	a->timeout = outer;
	return r;
}

static int reached(void *arg)
{
	return counter >= *(const long *)arg;
}

static int bump(void)
{
	int r = lsc_condition_notify(condition, SIZE_MAX);

	counter += r >= 0;
	return r < 0 ? r : 0;
}

static int with_group(struct actor *a, int at)
{
	struct lsc_group *outer = a->group;

	a->group = lsc_group_new();
	int r = lsc_group_end(a->group, run_block(a, at + 1, lines[at].end));
	a->group = outer;
	return r;
}

static int wait_for_some(const struct line *l)
{
	struct lsc_future *members[ARGS];
	int n = pick(l, 2, false, members);

	int r = lsc_wait(members, (size_t)n, (enum lsc_wait_for_what)l->args[0],
			 l->args[1] < 0 ? UINT64_MAX : (uint64_t)l->args[1]);
	return l->args[0] == LSC_ALL_COMPLETED || r < 1 ? r : 1; /* others may end before it runs */
}

static int run_future_op(struct actor *a, int at, const struct line *l)
{
	struct lsc_future *f =
		l->n > 0 && l->args[0] < TASKS + FUTURES + MADE ? futures[l->args[0]] : NULL;

#define IS(name) (strcmp(l->op, name) == 0)
	if (IS("spawn") || IS("gspawn"))
		return spawn(a, l->args[0], IS("gspawn"));
	if (IS("set"))
		return lsc_resolve(f, (int)l->args[1]);
	if (IS("gather"))
		return gather(l);
	if (IS("shieldas") || IS("gatheras"))
		return make(l, IS("gatheras"));
	if (IS("wait"))
		return wait_for_some(l);
	if (IS("each"))
		return each(a, at);
	if (IS("waitfor"))
		return futures[l->args[1]] ? lsc_wait_for(futures[l->args[1]], (uint64_t)l->args[0])
					   : -ENOENT;
	if (!f)
		return -ENOENT;
	if (IS("await"))
		return lsc_await(f);
	if (IS("cancel"))
		return lsc_cancel(f);
	if (IS("shield"))
		return shield(l);
	if (IS("result"))
		return lsc_result(f);
	if (IS("onend"))
		return lsc_add_done_callback(f, has_ended, &lines[at]);
	if (IS("offend"))
		return lsc_remove_done_callback(f, has_ended, &lines[l->args[1]]);
	abort();
}

static int run_loose_op(struct actor *a, int at, const struct line *l)
{
	if (IS("cwaitfor")) {
		int r = lsc_condition_wait_for(condition, reached, (void *)&l->args[0]);

		return r > 0 ? 0 : r;
	}
	if (IS("cbump"))
		return bump();
	if (IS("acquire"))
		return lsc_lock_acquire(loose);
	if (IS("release"))
		return lsc_lock_release(loose);
	if (IS("sacquire"))
		return lsc_semaphore_acquire(bounded);
	if (IS("srelease"))
		return lsc_semaphore_release(bounded);
	if (IS("isset"))
		return lsc_event_is_set(events[l->args[0]]);
	if (IS("locked"))
		return lsc_lock_is_locked(locks[l->args[0]]);
	if (IS("size"))
		return (int)lsc_queue_count(queues[l->args[0]]);
	return run_future_op(a, at, l);
}

static int run_sync_op(struct actor *a, int at, const struct line *l)
{
	if (IS("ewait"))
		return lsc_event_wait(events[l->args[0]]);
	if (IS("eset"))
		return lsc_event_set(events[l->args[0]]);
	if (IS("eclear"))
		return lsc_event_clear(events[l->args[0]]), 0;
	if (IS("lock"))
		return with_lock(a, at, locks[l->args[0]]);
	if (IS("cwait"))
		return lsc_condition_wait(condition);
	if (IS("cnotify")) {
		int r = lsc_condition_notify(condition, (size_t)l->args[0]);

		return r > 0 ? 0 : r;
	}
	if (IS("permit"))
		return with_permit(a, at);
	if (IS("bwait"))
		return lsc_barrier_wait(barrier);
	if (IS("babort"))
		return lsc_barrier_abort(barrier), 0;
	if (IS("breset"))
		return lsc_barrier_reset(barrier), 0;
	struct lsc_queue *q = l->args[0] < QUEUES ? queues[l->args[0]] : NULL;
	if (IS("put"))
		return lsc_queue_put(q, (void *)(intptr_t)l->args[1]);
	if (IS("putnow"))
		return lsc_queue_put_nowait(q, (void *)(intptr_t)l->args[1]);
	if (IS("get") || IS("getnow"))
		return get(q, IS("get"));
	if (IS("taskdone"))
		return lsc_queue_task_done(q);
	if (IS("join"))
		return lsc_queue_join(q);
	if (IS("shutdown"))
		return lsc_queue_shutdown(q, NULL), 0;
	return run_loose_op(a, at, l);
}

static int run_line(struct actor *a, int at)
{
	struct line *l = &lines[at];

	if (IS("sleep"))
		return lsc_sleep((uint64_t)l->args[0]);
	if (IS("yield"))
		return lsc_yield();
	if (IS("fail"))
		return (int)l->args[0];
	if (IS("uncancel"))
		return lsc_uncancel(lsc_current_task());
	if (IS("cancelling"))
		return lsc_cancelling(lsc_current_task());
	if (IS("timeout"))
		return with_timeout(a, at);
	if (IS("group"))
		return with_group(a, at);
	if (IS("resched"))
		return a->timeout ? lsc_timeout_reschedule(a->timeout,
							   lsc_time() + (uint64_t)l->args[0])
				  : -ENOENT;
	if (IS("expired"))
		return a->timeout ? lsc_timeout_expired(a->timeout) : -ENOENT;
	if (IS("soon") || IS("later")) {
		lsc_handle_unref(handle);
		handle = IS("soon") ? lsc_call_soon(call_back, l)
				    : lsc_call_later((uint64_t)l->args[0], call_back, l);
		return 0;
	}
	if (IS("uncall")) {
		if (handle)
			lsc_handle_cancel(handle);
		return 0;
	}
	if (IS("reap"))
		return reap(l->args[0] != 0);
	return run_sync_op(a, at, l);
}

/* Errors are noted and passed over, but for "fail", and for a cancellation that is not swallowed.
 */
static int run_block(struct actor *a, int begin, int end)
{
	for (int at = begin; at<end; at = lines[at].end> at ? lines[at].end + 1 : at + 1) {
		const struct line *l = &lines[at];
		int r = run_line(a, at);

		say(a, at, l->op, r);
		if (IS("fail") || (r == -ECANCELED && !a->stubborn))
			return r;
	}
	return 0;
}

/* ---- programs ---- */

static int compare(const void *a, const void *b)
{
	return (int)((intptr_t)a - (intptr_t)b);
}

static int run_main(void *arg)
{
	(void)arg;
	futures[0] = lsc_ref(lsc_current_task());
	for (int i = 0; i < FUTURES; i++)
		futures[TASKS + i] = lsc_future_new();
	for (int i = 0; i < EVENTS; i++)
		events[i] = lsc_event_new();
	for (int i = 0; i < LOCKS; i++)
		locks[i] = lsc_lock_new();
	condition = lsc_condition_new(locks[LOCKS - 1]);
	loose = lsc_lock_new();
	semaphore = lsc_semaphore_new(1, 0);
	bounded = lsc_semaphore_new(2, 2);
	counter = 0;
	barrier = lsc_barrier_new(2);
	queues[0] = lsc_queue_new(LSC_FIFO, 1, NULL);
	queues[1] = lsc_queue_new(LSC_LIFO, 0, NULL);
	queues[2] = lsc_queue_new(LSC_PRIORITY, 2, compare);
	int r = run_task(&actors[0]);
	handle = lsc_handle_unref(handle);
	for (int i = 0; i < TASKS + FUTURES + MADE; i++)
		futures[i] = lsc_unref(futures[i]);
	for (int i = 0; i < EVENTS; i++)
		lsc_event_free(events[i]);
	lsc_condition_free(condition);
	for (int i = 0; i < LOCKS; i++)
		lsc_lock_free(locks[i]);
	lsc_lock_free(loose);
	lsc_semaphore_free(semaphore);
	lsc_semaphore_free(bounded);
	lsc_barrier_free(barrier);
	for (int i = 0; i < QUEUES; i++)
		lsc_queue_free(queues[i]);
	return r;
}

static void parse(char *text, struct line *l)
{
	char *save, *word = strtok_r(text, " \n", &save);

	*l = (struct line){.end = -1};
	snprintf(l->op, sizeof(l->op), "%s", word);
	while ((word = strtok_r(NULL, " \n", &save)) && l->n < ARGS)
		l->args[l->n++] = *word == 'g'	 ? TASKS + FUTURES + atol(word + 1)
				  : *word == 'f' ? TASKS + atol(word + 1)
				  : *word == 't' ? atol(word + 1)
						 : atol(word);
}

/* A program is lines "task NUMBER STUBBORN", blocks that end with "end", and "run" at its end. */
int main(void)
{
	int n = 0, open[32], depth = 0;
	char text[200];

	now_ns = LSC_NS_PER_S;
	while (fgets(text, sizeof(text), stdin) && n < LINES) {
		struct line *l = &lines[n];

		parse(text, l);
		if (IS("task") || IS("timeout") || IS("group") || IS("lock") || IS("permit") ||
		    IS("soon") || IS("later"))
			open[depth++] = n;
		if (IS("end")) {
			struct line *first = &lines[open[--depth]];

			first->end = n;
			if (strcmp(first->op, "task") == 0)
				actors[first->args[0]] =
					(struct actor){.id = (int)first->args[0],
						       .stubborn = first->args[1] != 0,
						       .begin = open[depth] + 1,
						       .end = n};
		}
		n++;
		if (!IS("run"))
			continue;
		now_ns = LSC_NS_PER_S;
		printf("ended %d\n", lsc_run(run_main, NULL));
		fflush(stdout);
		n = 0;
	}
	return 0;
}
