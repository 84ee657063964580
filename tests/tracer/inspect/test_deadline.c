/* SPDX-License-Identifier: MIT */
/* Who is late, and who merely got no CPU: children that sleep, that run, and that others keep from
 * running. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture.h"
#include "inspect/deadline.h"

#define NOT_A_CALL (-2)
#define MAY_NS	   (20 * LSC_NS_PER_MS)
#define WHOLE_NS   (10 * LSC_NS_PER_S)

static struct capture cap;
static struct answers got;

/* ---- children ---- */

enum doing { SLEEPS, SPINS };

static void spin_for(uint64_t ns)
{
	for (uint64_t end = lsc_now_ns() + ns; lsc_now_ns() < end;)
		;
}

static pid_t start(enum doing what)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	while (what == SPINS)
		spin_for(LSC_NS_PER_S);
	for (;;)
		pause();
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* CPU time of a process, to the ns. */
static uint64_t cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &t), 0);
	return (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Until it sleeps, and so wants no CPU any more. */
static void await_sleep(pid_t pid)
{
	char path[32], text[96];
	const char *name_end;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
		n = read(fd, text, sizeof(text) - 1);
		assert_true(n > 0);
		text[n] = '\0';
		name_end = strrchr(text, ')');
		assert_non_null(name_end);
	} while (name_end[2] != 'S' && poll(NULL, 0, 1) == 0);
}

/* One that spins, and of which the scheduler has an account. */
static pid_t start_spinning(void)
{
	pid_t pid = start(SPINS);

	while (cpu_ns(pid) < MAY_NS)
		poll(NULL, 0, 1);
	return pid;
}

/* ---- CPUs ---- */

static cpu_set_t all, ours, others; /* allowed; all but one; that one */

static void pin(pid_t pid, const cpu_set_t *to)
{
	assert_int_equal(sched_setaffinity(pid, sizeof(*to), to), 0);
}

/* Divides the CPUs between the test and the children that are to be kept from running. */
static void divide_cpus(void)
{
	int last = CPU_SETSIZE - 1;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(last, &all))
		last--;
	if (CPU_COUNT(&all) < 2) {
		print_message("one CPU: nobody could look on\n");
		skip();
	}
	ours = all;
	CPU_CLR(last, &ours);
	CPU_ZERO(&others);
	CPU_SET(last, &others);
	pin(0, &ours);
}

/* Takes the others' CPU for so long, from now on. Ends by itself. */
static pid_t occupy(uint64_t ns)
{
	struct sched_param urgent = {.sched_priority = 1};
	int ready[2];
	char has;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pin(0, &others);
		if (sched_setscheduler(0, SCHED_FIFO, &urgent) < 0)
			_exit(1);
		if (write(ready[1], "r", 1) == 1)
			spin_for(ns);
		_exit(0);
	}
	close(ready[1]);
	ssize_t n = read(ready[0], &has, 1);
	close(ready[0]);
	if (n == 1)
		return pid;
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	pin(0, &all);
	print_message("no SCHED_FIFO: nobody can be kept from running\n");
	skip();
	return 0;
}

/* ---- deadlines ---- */

/* Asks whenever there is something to be said. */
static enum deadline_verdict await_verdict(struct deadline *d, uint64_t *ret_ns)
{
	enum deadline_verdict verdict;

	while ((verdict = deadline_judge(d, *ret_ns = lsc_now_ns())) == DEADLINE_AHEAD) {
		assert_in_range(d->at_ns, *ret_ns, d->limit_ns);
		struct timespec t = {.tv_sec = (time_t)(d->at_ns / LSC_NS_PER_S),
				     .tv_nsec = (long)(d->at_ns % LSC_NS_PER_S)};
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
			;
	}
	return verdict;
}

static void who_sleeps_is_late_when_its_time_is_over(void **state)
{
	(void)state;
	pid_t pid = start(SLEEPS);
	struct deadline_child child = deadline_child(pid);
	struct deadline d;
	uint64_t begin, late;

	await_sleep(pid);
	begin = lsc_now_ns();
	deadline_begin(&d, child, MAY_NS, WHOLE_NS, begin);
	assert_int_equal(deadline_judge(&d, begin + MAY_NS - 1), DEADLINE_AHEAD);
	assert_int_equal(deadline_judge(&d, begin + MAY_NS), DEADLINE_MISSED);
	deadline_phase(&d, 2 * MAY_NS, begin + MAY_NS);
	assert_int_equal(d.at_ns, begin + 3 * MAY_NS);
	assert_int_equal(await_verdict(&d, &late), DEADLINE_MISSED);
	assert_true(late >= begin + 3 * MAY_NS);
	lsc_closep(&child.account);
	end(pid);
}

static void who_runs_is_late_when_it_has_run_for_that_long(void **state)
{
	(void)state;
	pid_t pid = start_spinning();
	struct deadline_child child = deadline_child(pid);
	struct deadline d;
	uint64_t late;

	deadline_begin(&d, child, MAY_NS, WHOLE_NS, lsc_now_ns());
	uint64_t known = d.began.ran_ns; /* as of the last time that the scheduler looked */
	assert_int_equal(await_verdict(&d, &late), DEADLINE_MISSED);
	assert_true(cpu_ns(pid) - known >= MAY_NS);
	lsc_closep(&child.account);
	end(pid);
}

static void without_an_account_all_time_counts(void **state)
{
	(void)state;
	struct deadline d;

	deadline_begin(&d, deadline_child(0), MAY_NS, WHOLE_NS, 1000);
	assert_int_equal(deadline_judge(&d, 1000 + MAY_NS - 1), DEADLINE_AHEAD);
	assert_int_equal(deadline_judge(&d, 1000 + MAY_NS), DEADLINE_MISSED);
	deadline_begin(&d, deadline_child(0), MAY_NS, MAY_NS / 2, 1000);
	assert_int_equal(d.at_ns, 1000 + MAY_NS / 2);
	assert_int_equal(deadline_judge(&d, 1000 + MAY_NS), DEADLINE_MISSED);
}

static void who_gets_no_cpu_is_not_late(void **state)
{
	(void)state;
	divide_cpus();
	pid_t pid = start_spinning(), busy;
	struct deadline_child child = deadline_child(pid);
	struct deadline d;
	uint64_t begin, late;

	pin(pid, &others);
	busy = occupy(5 * MAY_NS);
	begin = lsc_now_ns();
	deadline_begin(&d, child, MAY_NS, WHOLE_NS, begin);
	assert_int_equal(await_verdict(&d, &late), DEADLINE_MISSED);
	assert_true(cpu_ns(pid) - d.began.ran_ns >= MAY_NS);
	end(busy);

	busy = occupy(10 * MAY_NS);
	begin = lsc_now_ns();
	deadline_begin(&d, child, MAY_NS, 2 * MAY_NS, begin);
	assert_int_equal(await_verdict(&d, &late), DEADLINE_STARVED);
	assert_true(late >= begin + 2 * MAY_NS);
	end(busy);
	lsc_closep(&child.account);
	end(pid);
	pin(0, &all);
}

static void a_worker_without_a_cpu_is_waited_for_and_nobody_blamed(void **state)
{
	(void)state;
	const struct inspector_options defaults = {0};
	const uint64_t deadline_ns = 50 * LSC_NS_PER_MS;
	int broker, worker, same;

	divide_cpus();
	struct inspector *ins = answers_start(&got, &defaults);
	pid_t pid = capture_spawn_nest("ab", NULL, NULL);
	capture_take(pid, SYS_pause, NOT_A_CALL, &cap);
	answers_ask(ins, &got, &cap);
	inspector_children(ins, &broker, &worker);
	pin(worker, &others);
	for (int i = 0; i < 3; i++) {
		uint64_t t = lsc_now_ns();
		pid_t busy = occupy(3 * deadline_ns);
		answers_ask(ins, &got, &cap);
		assert_true(lsc_now_ns() - t > deadline_ns);
		assert_string_equal(got.last.why, "");
		assert_true(answers_have(&got, "nest_b"));
		end(busy);
	}
	inspector_children(ins, &broker, &same);
	assert_int_equal(same, worker);
	inspector_free(ins);
	capture_kill(pid);
	pin(0, &all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sleeps_is_late_when_its_time_is_over),
		cmocka_unit_test(who_runs_is_late_when_it_has_run_for_that_long),
		cmocka_unit_test(without_an_account_all_time_counts),
		cmocka_unit_test(who_gets_no_cpu_is_not_late),
		cmocka_unit_test(a_worker_without_a_cpu_is_waited_for_and_nobody_blamed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
