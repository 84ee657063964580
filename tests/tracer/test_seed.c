/* SPDX-License-Identifier: MIT */
/*
 * A thread that sleeps when the watch begins, and runs again before the kernel side is told of it:
 * the turn that it is in by then is watched from its begin.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cause.h"
#include "base/clock.h"
#include "probe.h"
#include "seed.h"

#define STALL_NS 10000000ull
#define BLOCK_NS 60000000ull
#define SLACK_NS 3000000ull
#define LONG_NS	 (10 * LSC_NS_PER_S)

/* A loop that turns once: it runs from its wake-up until `told`, and sleeps before it waits again.
 */
struct turner {
	pthread_t thread;
	int epoll, event;
	atomic_int tid;
	atomic_bool woken, told;
	_Atomic uint64_t begin_ns, block_ns, end_ns; /* as it saw its turn */
};

static void *turn(void *arg)
{
	const struct timespec block = {.tv_nsec = BLOCK_NS};
	struct turner *t = arg;
	struct epoll_event ev;

	t->tid = (int)syscall(SYS_gettid);
	for (int i = 0; i < 2; i++) {
		if (epoll_wait(t->epoll, &ev, 1, -1) != 1 || i)
			return NULL;
		t->begin_ns = lsc_now_ns();
		eventfd_read(t->event, &(eventfd_t){0});
		t->woken = true;
		while (!t->told)
			;
		t->block_ns = lsc_now_ns();
		nanosleep(&block, NULL);
		t->end_ns = lsc_now_ns();
	}
	return NULL;
}

static void wake(const struct turner *t)
{
	assert_int_equal(eventfd_write(t->event, 1), 0);
}

static void start(struct turner *t)
{
	struct epoll_event ev = {.events = EPOLLIN};

	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	t->event = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->event, &ev), 0);
	assert_int_equal(pthread_create(&t->thread, NULL, turn, t), 0);
}

static void end(struct turner *t)
{
	wake(t);
	pthread_join(t->thread, NULL);
	close(t->event);
	close(t->epoll);
}

struct wanted {
	int tid;
	struct target_thread seen; /* tid 0: it does not idle */
};

static int take_wanted(const struct target_thread *t, void *arg)
{
	struct wanted *w = arg;

	if (t->tid != w->tid)
		return 0;
	if (!t->running && seed_idles(t))
		w->seen = *t;
	return 1;
}

static struct target_thread see_asleep(const struct turner *t)
{
	uint64_t until = lsc_now_ns() + LONG_NS;
	struct wanted w = {0};

	while (!w.seen.tid && lsc_now_ns() < until) {
		w.tid = t->tid;
		target_each_thread(getpid(), take_wanted, &w);
	}
	assert_int_equal(w.seen.tid, t->tid);
	return w.seen;
}

struct stalls {
	int tid;
	size_t count;
	struct event_stall last;
};

static void on_event(const struct event *e, size_t size, void *arg)
{
	struct stalls *s = arg;

	if (e->kind != EVENT_STALL || (int)e->tid != s->tid)
		return;
	assert_true(size >= sizeof(s->last));
	s->last = *(const struct event_stall *)e;
	s->count++;
}

static struct probe *probe_here(struct stalls *s)
{
	struct lsc_err err = {0};
	struct probe *p = NULL;
	int self = getpid();
	const struct probe_options o = {
		.pids = &self, .npids = 1, .stall_ns = STALL_NS, .block_ns = 1000000};

	if (probe_new(&o, on_event, s, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static void a_turn_that_began_before_its_thread_was_placed_is_told_whole(void **state)
{
	struct stalls s = {0};
	struct turner t = {0};

	(void)state;
	start(&t);
	struct target_thread seen = see_asleep(&t);
	s.tid = t.tid;
	struct probe *p = probe_here(&s);
	wake(&t);
	while (!t.woken)
		;
	assert_int_equal(seed_place(p, getpid(), &seen, false), 1);
	t.told = true;

	uint64_t until = lsc_now_ns() + LONG_NS;
	while (!s.count && lsc_now_ns() < until)
		assert_true(probe_consume(p) >= 0);
	assert_int_equal(s.count, 1);
	assert_in_range(s.last.begin_ns, seen.at_ns, t.block_ns);
	assert_in_range(s.last.end_ns, t.end_ns, t.end_ns + SLACK_NS);
	assert_in_range(s.last.low_ns, t.end_ns - t.block_ns - SLACK_NS,
			s.last.end_ns - s.last.begin_ns);
	assert_in_range(s.last.split[LSC_CAUSE_SLEEP], BLOCK_NS - SLACK_NS, t.end_ns - t.block_ns);
	end(&t);
	probe_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_that_began_before_its_thread_was_placed_is_told_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
