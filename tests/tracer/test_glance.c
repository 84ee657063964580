/* SPDX-License-Identifier: MIT */
/*
 * Glances at a loop that never sleeps: what the breakpoint sees is what the loop itself counts, on
 * the CPU where it runs, and where others come by, it is said.
 */
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "probe.h"
#include "thread.h"

#define STALL_NS  10000000ull
#define TURN_NS	  50000ull
#define LEARNED	  5 /* so often it sleeps first */
#define MANY	  200
#define REGISTERS 4
#define LONG_NS	  (20 * LSC_NS_PER_S)

struct spinner {
	pthread_t thread;
	int epoll;
	bool shares; /* another call goes on at the same place as its wait */
	atomic_int tid;
	atomic_bool over;
	_Atomic uint64_t turns;
};

static struct probe *probe;

/* The wait of all of them, so that it returns to one place. */
static __attribute__((noinline)) long call(long nr, long a, void *b, long c, long d)
{
	return syscall(nr, a, b, c, d);
}

static void *spin(void *arg)
{
	struct spinner *s = arg;
	struct epoll_event ev;

	s->tid = (int)syscall(SYS_gettid);
	while (!s->over) {
		call(SYS_epoll_wait, s->epoll, &ev, 1, s->turns < LEARNED ? 2 : 0);
		s->turns++;
		if (s->shares)
			call(SYS_getppid, -1, NULL, 0, 0);
		for (uint64_t until = lsc_now_ns() + TURN_NS; lsc_now_ns() < until;)
			;
	}
	return NULL;
}

static void put(const struct spinner *s, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	assert_int_equal(sched_setaffinity(s->tid, sizeof(set), &set), 0);
}

static void pass_turns(const struct spinner *s, uint64_t n)
{
	uint64_t until = s->turns + n, limit = lsc_now_ns() + LONG_NS;

	while (s->turns < until && lsc_now_ns() < limit)
		sched_yield();
	assert_true(s->turns >= until);
}

static struct thread_state state(const struct spinner *s)
{
	struct thread_state t;

	assert_int_equal(probe_thread(probe, s->tid, &t), 0);
	return t;
}

/* A loop without pause on that CPU, and the place to which its wait returns is known. */
static void start(struct spinner *s, int cpu)
{
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_true(s->epoll >= 0);
	assert_int_equal(pthread_create(&s->thread, NULL, spin, s), 0);
	pass_turns(s, LEARNED + 1);
	put(s, cpu);
	pass_turns(s, 2);
	assert_int_equal(probe_arm(probe), 0);
	pass_turns(s, 2);
	probe_disarm(probe);
	assert_true(state(s).return_ip > RETURN_SHARED);
}

static void end(struct spinner *s)
{
	s->over = true;
	pthread_join(s->thread, NULL);
	close(s->epoll);
}

static uint64_t returns(void)
{
	return probe_counter(probe, COUNT_PRECISE_EXITS);
}

static int set_up(void **state)
{
	struct lsc_err err = {0};
	int self = getpid();
	const struct probe_options o = {
		.pids = &self, .npids = 1, .stall_ns = STALL_NS, .block_ns = 1000000};

	(void)state;
	if (probe_new(&o, NULL, NULL, &probe, &err) < 0)
		fail_msg("%s", err.text);
	if (probe_is_exact(probe)) {
		print_message("skipped: each return is hooked here, there are no glances\n");
		skip();
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	probe = probe_free(probe);
	return 0;
}

static void a_glance_sees_each_return_and_nothing_does_without(void **unused)
{
	struct spinner s = {0};

	(void)unused;
	start(&s, 0);
	uint64_t before = returns();
	pass_turns(&s, MANY);
	assert_int_equal(returns(), before);

	uint64_t begin = lsc_now_ns();
	assert_int_equal(probe_glance(probe, s.tid), 0);
	uint64_t turns = s.turns;
	pass_turns(&s, MANY);
	assert_true(probe_tick_begin(probe, s.tid) >= begin);
	assert_true(returns() - before >= s.turns - turns - 1);

	probe_glance_end(probe, s.tid, true);
	pass_turns(&s, 1);
	before = returns();
	pass_turns(&s, MANY);
	assert_int_equal(returns(), before);
	end(&s);
}

static void one_thread_at_a_time_is_looked_at_on_a_cpu(void **unused)
{
	struct spinner one = {0}, other = {0};

	(void)unused;
	start(&one, 0);
	start(&other, 0);
	assert_int_equal(probe_glance(probe, one.tid), 0);
	assert_int_equal(probe_glance(probe, other.tid), -EBUSY);
	probe_glance_end(probe, one.tid, true);
	assert_int_equal(probe_glance(probe, other.tid), 0);
	probe_glance_end(probe, other.tid, true);
	end(&one);
	end(&other);
}

static void a_thread_that_moves_is_followed_and_what_came_between_was_not_seen(void **unused)
{
	struct spinner s = {0};

	(void)unused;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_message("skipped: one CPU\n");
		skip();
	}
	start(&s, 0);
	assert_int_equal(probe_glance(probe, s.tid), 0);
	assert_true(state(&s).glance_ns);
	put(&s, 1);
	pass_turns(&s, 2);
	assert_int_equal(state(&s).glance_ns, 0);
	uint64_t before = returns();
	pass_turns(&s, MANY);
	assert_int_equal(returns(), before);

	assert_int_equal(probe_glance(probe, s.tid), 0);
	pass_turns(&s, MANY);
	assert_true(returns() > before);
	assert_true(state(&s).glance_ns);
	probe_glance_end(probe, s.tid, false);
	assert_int_equal(state(&s).glance_ns, 0);
	end(&s);
}

static void a_place_to_which_other_calls_return_is_left_to_the_precise_mode(void **unused)
{
	struct spinner s = {.shares = true};

	(void)unused;
	start(&s, 0);
	assert_int_equal(probe_glance(probe, s.tid), 0);
	pass_turns(&s, MANY);
	assert_int_equal(probe_glance(probe, s.tid), -EOPNOTSUPP);
	probe_glance_end(probe, s.tid, false);
	assert_int_equal(probe_arm(probe), 0);
	pass_turns(&s, 2);
	probe_disarm(probe);
	assert_int_equal(probe_glance(probe, s.tid), -EOPNOTSUPP);
	end(&s);
}

static void where_others_have_all_breakpoints_there_is_no_glance(void **unused)
{
	struct perf_event_attr attr = {.size = sizeof(attr),
				       .type = PERF_TYPE_BREAKPOINT,
				       .bp_type = HW_BREAKPOINT_X,
				       .bp_addr = 1,
				       .bp_len = sizeof(long),
				       .disabled = 1,
				       .exclude_kernel = 1};
	struct spinner s = {0};
	int taken[REGISTERS];

	(void)unused;
	start(&s, 0);
	for (int i = 0; i < REGISTERS; i++) {
		taken[i] = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
		assert_true(taken[i] >= 0);
	}
	assert_int_equal(probe_glance(probe, s.tid), -EOPNOTSUPP);
	for (int i = 0; i < REGISTERS; i++)
		close(taken[i]);
	end(&s);
}

#define GLANCE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GLANCE(a_glance_sees_each_return_and_nothing_does_without),
		GLANCE(one_thread_at_a_time_is_looked_at_on_a_cpu),
		GLANCE(a_thread_that_moves_is_followed_and_what_came_between_was_not_seen),
		GLANCE(a_place_to_which_other_calls_return_is_left_to_the_precise_mode),
		GLANCE(where_others_have_all_breakpoints_there_is_no_glance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
