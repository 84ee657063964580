/* SPDX-License-Identifier: MIT */
/* Targets that are gone, lie or hang, and children that die: each job is answered, others go on. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture.h"

#define NOT_A_CALL  (-2)
#define CODE_OFFSET 4096 /* nest.c maps code only */

static struct capture cap;
static struct answers got;
static char dir[] = "/tmp/inspect-XXXXXX";

static pid_t spawn_captured(const char *path, const char *map_file, struct capture *ret)
{
	pid_t pid = capture_spawn_nest(path, map_file, NULL);

	capture_take(pid, SYS_pause, NOT_A_CALL, ret);
	return pid;
}

static bool has_function(const char *name)
{
	for (size_t i = 0; i < got.last.nframes; i++)
		if (strcmp(got.last.frames[i].function, name) == 0)
			return true;
	return false;
}

static char *file_in_dir(const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", dir, name);
	return buf;
}

static void a_target_that_is_gone_before_the_job_is_answered_as_gone(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("ab", NULL, &cap);

	capture_kill(pid);
	answers_ask(ins, &got, &cap);
	assert_int_equal(got.last.nframes, 0);
	assert_string_equal(got.last.why, "target gone");
	inspector_free(ins);
}

static void a_target_that_was_known_is_unwound_after_its_end(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("ab", NULL, &cap);

	answers_ask(ins, &got, &cap);
	size_t n = got.last.nframes;
	capture_kill(pid);
	answers_ask(ins, &got, &cap);
	assert_int_equal(got.last.nframes, n);
	assert_true(has_function("nest_b"));
	inspector_forget(ins, pid);
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "target gone");
	inspector_free(ins);
}

static void a_program_that_starts_anew_is_looked_at_anew(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	int ready;
	pid_t pid = capture_spawn_nest("wxab", NULL, &ready);

	capture_take(pid, SYS_clock_nanosleep, NOT_A_CALL, &cap);
	answers_ask(ins, &got, &cap);
	assert_true(has_function("main") && !has_function("nest_b"));
	kill(pid, SIGUSR1);
	capture_await_ready(ready);
	capture_take(pid, SYS_pause, NOT_A_CALL, &cap);
	answers_ask(ins, &got, &cap);
	assert_true(has_function("nest_a") && has_function("nest_b"));
	close(ready);
	capture_kill(pid);
	inspector_free(ins);
}

static void assert_in_file(const char *path)
{
	assert_string_equal(got.last.frames[0].module, path);
	assert_int_equal(got.last.frames[0].offset, CODE_OFFSET + 42);
	assert_true(got.last.frames[0].build_id[0]);
}

/* Has the target map the file and asks for a stack at an address there, which is not *at. */
static void ask_in_new_map(struct inspector *ins, pid_t pid, int ready, const char *path,
			   uint64_t *at)
{
	uint64_t before = *at, end;

	kill(pid, SIGUSR1);
	capture_await_ready(ready);
	capture_find_map(pid, path, at, &end);
	assert_int_not_equal(*at, before);
	cap.regs[16] = *at + 42;
	answers_ask(ins, &got, &cap);
}

static void map_a_file_later(bool forget)
{
	struct inspector *ins = answers_start(&got, NULL);
	static unsigned char bytes[4 << 20];
	uint64_t at = 0;
	char path[64];
	int ready;

	file_in_dir("later", path, sizeof(path));
	capture_store(path, bytes, capture_load(getenv("NEST"), bytes, sizeof(bytes)));
	pid_t pid = capture_spawn_nest("wmwma", path, &ready);

	capture_take(pid, SYS_clock_nanosleep, NOT_A_CALL, &cap);
	answers_ask(ins, &got, &cap);
	ask_in_new_map(ins, pid, ready, path, &at);
	assert_in_file(path);
	uint64_t first = lsc_now_ns();
	ask_in_new_map(ins, pid, ready, path, &at);
	if (lsc_now_ns() - first < LSC_NS_PER_S) { /* a second file within a second */
		assert_string_equal(got.last.frames[0].module, "");
		assert_int_equal(got.last.frames[0].offset, at + 42);
	}
	if (forget)
		inspector_forget(ins, pid);
	do
		answers_ask(ins, &got, &cap);
	while (!forget && !got.last.frames[0].module[0] &&
	       lsc_now_ns() - first < 10 * LSC_NS_PER_S);
	assert_in_file(path);
	close(ready);
	capture_kill(pid);
	unlink(path);
	inspector_free(ins);
}

static void a_file_mapped_later_is_known_after_forgetting(void **state)
{
	(void)state;
	map_a_file_later(true);
}

static void a_file_mapped_later_is_known_after_a_while(void **state)
{
	(void)state;
	map_a_file_later(false);
}

static void a_short_copy_is_truncated_and_nothing_is_made_up_behind_it(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("cccccc", NULL, &cap);

	answers_ask(ins, &got, &cap);
	struct answer_copy whole = got.last;
	for (size_t size = 0; size < 6000; size += 1000) {
		cap.size = size;
		answers_ask(ins, &got, &cap);
		assert_true(got.last.truncated);
		assert_true(got.last.nframes >= 1 && got.last.nframes < whole.nframes);
		for (size_t i = 0; i < got.last.nframes; i++)
			assert_string_equal(got.last.frames[i].function, whole.frames[i].function);
	}
	capture_kill(pid);
	inspector_free(ins);
}

/* A child that was killed is reaped within 100 ms. */
static void assert_reaped(pid_t pid)
{
	uint64_t give_up = lsc_now_ns() + 100 * LSC_NS_PER_MS;

	while (kill(pid, 0) == 0 && lsc_now_ns() < give_up)
		poll(NULL, 0, 1);
	assert_int_equal(kill(pid, 0), -1);
}

/* Stops a child and asks: the answer must be why, in time, and the next crew must work. */
static void late_child_is_replaced(bool stop_broker, uint64_t deadline_ns,
				   const struct inspector_options *options)
{
	static struct capture other;
	struct inspector *ins = answers_start(&got, options);
	pid_t pid = spawn_captured("ab", NULL, &cap), pid2 = spawn_captured("c", NULL, &other);
	int broker, worker, broker2, worker2;

	answers_ask(ins, &got, &cap);
	inspector_children(ins, &broker, &worker);
	assert_true(broker > 0 && worker > 0);
	assert_int_equal(kill(stop_broker ? broker : worker, SIGSTOP), 0);
	uint64_t t = lsc_now_ns();
	if (stop_broker)
		inspector_forget(ins, pid);
	answers_ask(ins, &got, &cap);
	t = lsc_now_ns() - t;
	assert_string_equal(got.last.why, "deadline");
	assert_true(t >= deadline_ns);
	assert_true(t < deadline_ns + 100 * LSC_NS_PER_MS);

	t = lsc_now_ns();
	answers_ask(ins, &got, &other);
	assert_true(lsc_now_ns() - t < 1000 * LSC_NS_PER_MS);
	assert_true(has_function("nest_c"));
	inspector_children(ins, &broker2, &worker2);
	assert_int_not_equal(broker2, broker);
	assert_int_not_equal(worker2, worker);
	assert_reaped(worker);
	assert_reaped(broker);
	assert_true(got.slowest_dispatch_ns < 10 * LSC_NS_PER_MS);
	capture_kill(pid);
	capture_kill(pid2);
	inspector_free(ins);
}

static void a_stopped_worker_is_replaced_at_the_unwind_deadline(void **state)
{
	(void)state;
	const struct inspector_options defaults = {0};

	late_child_is_replaced(false, 50 * LSC_NS_PER_MS, &defaults);
}

static void a_stopped_broker_is_replaced_at_the_index_deadline(void **state)
{
	(void)state;
	const struct inspector_options options = {.index_deadline_ns = 300 * LSC_NS_PER_MS,
						  .unwind_deadline_ns = 300 * LSC_NS_PER_MS};

	late_child_is_replaced(true, options.index_deadline_ns, &options);
}

static void a_target_that_costs_two_workers_is_quarantined_alone(void **state)
{
	(void)state;
	static struct capture other;
	const struct inspector_options options = {.unwind_deadline_ns = 300 * LSC_NS_PER_MS};
	struct inspector *ins = answers_start(&got, &options);
	pid_t pid = spawn_captured("ab", NULL, &cap), pid2 = spawn_captured("c", NULL, &other);
	int broker, worker;

	for (int strike = 0; strike < 2; strike++) {
		answers_ask(ins, &got, &cap);
		assert_true(has_function("nest_b"));
		inspector_children(ins, &broker, &worker);
		assert_int_equal(kill(worker, SIGSTOP), 0);
		assert_int_equal(
			inspector_unwind(ins, got.n, pid, pid, cap.regs, cap.stack, cap.size), 0);
		inspector_dispatch(ins); /* sends it */
		if (strike)
			assert_int_equal(kill(worker, SIGKILL), 0);
		answers_await(ins, &got, got.n + 1);
		assert_string_equal(got.last.why, strike ? "worker ended" : "deadline");
	}
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "quarantined");
	answers_ask(ins, &got, &other);
	assert_true(has_function("nest_c"));
	capture_kill(pid);
	capture_kill(pid2);
	inspector_free(ins);
}

static void a_worker_that_dies_idle_is_replaced_and_nobody_blamed(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("ab", NULL, &cap);
	int broker, worker;

	for (int i = 0; i < 4; i++) {
		answers_ask(ins, &got, &cap);
		assert_string_equal(got.last.why, "");
		assert_true(has_function("nest_b"));
		inspector_children(ins, &broker, &worker);
		assert_int_equal(kill(i % 2 ? worker : broker, SIGKILL), 0);
		struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
		assert_int_equal(poll(&p, 1, 5000), 1); /* its end can be heard */
	}
	capture_kill(pid);
	inspector_free(ins);
}

static void a_collector_without_privileges_still_gets_new_children(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: there is nothing to drop\n");
		skip();
	}
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("ab", NULL, &cap);
	int broker, worker, worker2;

	inspector_children(ins, &broker, &worker);
	assert_int_equal(kill(worker, SIGKILL), 0);
	struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(seteuid(65534), 0); /* takes the effective capabilities, too */
	answers_ask(ins, &got, &cap);
	assert_int_equal(seteuid(0), 0);
	inspector_children(ins, &broker, &worker2);
	assert_int_not_equal(worker2, worker);
	assert_string_equal(got.last.why, "");
	assert_true(has_function("nest_b"));
	capture_kill(pid);
	inspector_free(ins);
}

static void a_file_of_another_mount_namespace_is_found_there(void **state)
{
	(void)state;
	static const char script[] =
		"#!/bin/sh\n"
		"exec unshare -m sh -c 'mount -t tmpfs none \"$0\" && cp \"$1\" \"$0/program\" &&"
		" exec \"$0/program\" \"$2\"' \"${0%/*}/elsewhere\" \"$REAL_NEST\" \"$1\"\n";
	char path[64], elsewhere[64], program[96];
	char *nest = getenv("NEST");

	if (geteuid() != 0) {
		print_message("not root: cannot make a mount namespace\n");
		skip();
	}
	file_in_dir("script", path, sizeof(path));
	capture_store(path, (const unsigned char *)script, sizeof(script) - 1);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(mkdir(file_in_dir("elsewhere", elsewhere, sizeof(elsewhere)), 0755), 0);
	struct inspector *ins = answers_start(&got, NULL);
	setenv("REAL_NEST", nest, 1);
	setenv("NEST", path, 1);
	pid_t pid = spawn_captured("ab", NULL, &cap);
	setenv("NEST", getenv("REAL_NEST"), 1);

	snprintf(program, sizeof(program), "%s/program", elsewhere);
	assert_int_equal(access(program, F_OK), -1);
	answers_ask(ins, &got, &cap);
	assert_true(has_function("nest_b"));
	assert_string_equal(got.last.frames[1].module, program);
	capture_kill(pid);
	unlink(path);
	rmdir(elsewhere);
	inspector_free(ins);
}

static void the_queue_is_bounded_and_each_job_answered_once(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("ab", NULL, &cap);
	int broker, worker;
	size_t n = 0;

	inspector_children(ins, &broker, &worker);
	assert_int_equal(kill(worker, SIGSTOP), 0);
	while (inspector_unwind(ins, n, pid, pid, cap.regs, cap.stack, cap.size) == 0)
		assert_true(++n <= 1000);
	assert_int_equal(n, 256);
	assert_int_equal(inspector_pending(ins), 256);
	assert_int_equal(inspector_unwind(ins, n, pid, pid, cap.regs, cap.stack, 1), -EAGAIN);
	assert_int_equal(kill(worker, SIGCONT), 0);
	answers_await(ins, &got, n);
	assert_int_equal(inspector_pending(ins), 0);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(got.whys[i], "answered");
	assert_int_equal(inspector_unwind(ins, n, 0, pid, cap.regs, cap.stack, 1), -EINVAL);
	assert_int_equal(
		inspector_unwind(ins, n, pid, pid, cap.regs, cap.stack, INSPECTOR_STACK_MAX + 1),
		-EINVAL);
	capture_kill(pid);
	inspector_free(ins);
}

/* The text behind "name:" in /proc/PID/status. */
static void status_field(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64], line[256];
	size_t n = strlen(name);

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	lsc_autofclose FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			snprintf(buf, size, "%s", line + n + 1 + strspn(line + n + 1, "\t "));
			buf[strcspn(buf, "\n")] = '\0';
			return;
		}
	fail_msg("no field %s", name);
}

static void the_worker_can_do_nothing_but_compute(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	int broker, worker;
	char text[128];

	inspector_children(ins, &broker, &worker);
	status_field(worker, "Seccomp", text, sizeof(text));
	assert_string_equal(text, "2");
	status_field(worker, "NoNewPrivs", text, sizeof(text));
	assert_string_equal(text, "1");
	static const char *const sets[] = {"CapEff", "CapPrm", "CapInh", "CapAmb"};
	for (size_t i = 0; i < LSC_ARRAY_LEN(sets); i++) {
		status_field(worker, sets[i], text, sizeof(text));
		assert_string_equal(text, "0000000000000000");
	}
	/* the broker gives up its rights on its own time: nobody waits for it before its first job
	 */
	for (int i = 0; i < 500; i++) {
		status_field(broker, "NoNewPrivs", text, sizeof(text));
		if (!strcmp(text, "1"))
			break;
		usleep(10000);
	}
	assert_string_equal(text, "1");
	if (geteuid() == 0) {
		status_field(worker, "Uid", text, sizeof(text));
		assert_string_equal(text, "65534\t65534\t65534\t65534");
		status_field(worker, "Groups", text, sizeof(text));
		assert_string_equal(text, "");
		status_field(broker, "CapEff", text, sizeof(text));
		/* CHECKPOINT_RESTORE, SYS_PTRACE, DAC_READ_SEARCH at most */
		assert_int_equal(strtoull(text, NULL, 16) & ~0x10000080004ull, 0);
	} else {
		print_message("not root: the worker keeps our user\n");
	}
	inspector_free(ins);
}

static void fifty_targets_leak_no_descriptor(void **state)
{
	(void)state;
	int before = count_fds(getpid());
	struct inspector *ins = answers_start(&got, NULL);
	int broker, worker, at_forty = 0, mine = 0, broker_fds = 0;

	inspector_children(ins, &broker, &worker);
	for (int i = 0; i < 50; i++) {
		pid_t pid = spawn_captured("b", NULL, &cap);
		answers_ask(ins, &got, &cap);
		assert_true(has_function("nest_b"));
		capture_kill(pid);
		if (i == 0) { /* the indexes of its files are kept, which are all targets' */
			mine = count_fds(getpid());
			broker_fds = count_fds(broker); /* it is at work, and has settled */
		}
		if (i == 40)
			at_forty = count_fds(worker);
	}
	assert_int_equal(count_fds(getpid()), mine);
	if (at_forty > 0) {
		/* 32 targets are remembered, each with the indexes of two files, which are two
		 * descriptors, and its memory */
		assert_int_equal(count_fds(worker), at_forty);
		assert_true(at_forty < 32 * 6 + 10);
		assert_int_equal(count_fds(broker), broker_fds);
	} else {
		print_message("not root: the children's descriptors cannot be listed\n");
	}
	inspector_free(ins);
	assert_int_equal(count_fds(getpid()), before);
	assert_int_equal(kill(worker, 0), -1);
	assert_int_equal(kill(broker, 0), -1);
}

static void without_its_keeper_it_answers_that_it_ended(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("ab", NULL, &cap);
	int broker, worker;
	char keeper[16];

	inspector_children(ins, &broker, &worker);
	status_field(worker, "PPid", keeper, sizeof(keeper));
	assert_int_equal(kill(atoi(keeper), SIGKILL), 0);
	struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 5000), 1);
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "inspector ended");
	capture_kill(pid);
	inspector_free(ins);
}

static void a_stopped_keeper_does_not_hold_up_the_end(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	int broker, worker;
	char keeper[16];

	inspector_children(ins, &broker, &worker);
	status_field(worker, "PPid", keeper, sizeof(keeper));
	struct pollfd ended[2] = {
		{.fd = (int)syscall(SYS_pidfd_open, broker, 0), .events = POLLIN},
		{.fd = (int)syscall(SYS_pidfd_open, worker, 0), .events = POLLIN}};
	assert_int_equal(kill(atoi(keeper), SIGSTOP), 0);
	uint64_t begin = lsc_now_ns();
	inspector_free(ins);
	assert_true(lsc_now_ns() - begin < 5 * LSC_NS_PER_S); /* it gives the keeper 1 s */
	assert_int_equal(kill(atoi(keeper), 0), -1);
	for (size_t i = 0; i < 2; i++) {
		assert_true(ended[i].fd >= 0);
		assert_int_equal(poll(&ended[i], 1, 5000), 1);
		close(ended[i].fd);
	}
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_that_is_gone_before_the_job_is_answered_as_gone),
		cmocka_unit_test(a_target_that_was_known_is_unwound_after_its_end),
		cmocka_unit_test(a_program_that_starts_anew_is_looked_at_anew),
		cmocka_unit_test(a_file_mapped_later_is_known_after_forgetting),
		cmocka_unit_test(a_file_mapped_later_is_known_after_a_while),
		cmocka_unit_test(a_short_copy_is_truncated_and_nothing_is_made_up_behind_it),
		cmocka_unit_test(a_stopped_worker_is_replaced_at_the_unwind_deadline),
		cmocka_unit_test(a_stopped_broker_is_replaced_at_the_index_deadline),
		cmocka_unit_test(a_target_that_costs_two_workers_is_quarantined_alone),
		cmocka_unit_test(a_worker_that_dies_idle_is_replaced_and_nobody_blamed),
		cmocka_unit_test(a_collector_without_privileges_still_gets_new_children),
		cmocka_unit_test(a_file_of_another_mount_namespace_is_found_there),
		cmocka_unit_test(the_queue_is_bounded_and_each_job_answered_once),
		cmocka_unit_test(the_worker_can_do_nothing_but_compute),
		cmocka_unit_test(fifty_targets_leak_no_descriptor),
		cmocka_unit_test(without_its_keeper_it_answers_that_it_ended),
		cmocka_unit_test(a_stopped_keeper_does_not_hold_up_the_end),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
