/* SPDX-License-Identifier: MIT */
/*
 * The library never kills its host and never blocks it: where it cannot record, it runs unrecorded,
 * and a program that lives without recording lives with it. Each limit is set in a child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "life.h"
#include "loopscope/loopscope.h"
#include "reader.h"

static void nothing(void)
{
}

static void a_loop_records_by_default(void **state)
{
	(void)state;
	assert_int_equal(life_of_child(nothing), LIFE_RECORDED);
}

static void switch_off(void)
{
	setenv("LSC_TRACE", "0", 1);
}

static void LSC_TRACE_0_switches_recording_off(void **state)
{
	(void)state;
	assert_int_equal(life_of_child(switch_off), LIFE_UNRECORDED);
}

static void limit_file_size(void)
{
	struct rlimit limit = {1024, 1024}; /* ulimit -f 1 */

	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		_exit(LIFE_UNPREPARED);
}

static void a_file_size_limit_leaves_the_loop_unrecorded(void **state)
{
	(void)state;
	assert_int_equal(life_of_child(limit_file_size), LIFE_UNRECORDED);
}

/* ---- seccomp ---- */

/* A filter that answers one system call otherwise. */
static void answer(unsigned nr, uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(LIFE_UNPREPARED);
}

static void forbid_memfd_create(void)
{
	answer(SYS_memfd_create, SECCOMP_RET_ERRNO | EPERM);
}

static void lack_memfd_create(void)
{
	answer(SYS_memfd_create, SECCOMP_RET_ERRNO | ENOSYS);
}

static void forbid_fallocate(void)
{
	answer(SYS_fallocate, SECCOMP_RET_ERRNO | EPERM);
}

static void forbid_madvise(void)
{
	answer(SYS_madvise, SECCOMP_RET_ERRNO | EPERM);
}

static void forbid_getrlimit(void)
{
	answer(SYS_prlimit64, SECCOMP_RET_ERRNO | EPERM);
}

static void a_refused_call_leaves_the_loop_unrecorded(void **state)
{
	(void)state;
	assert_int_equal(life_of_child(forbid_memfd_create), LIFE_UNRECORDED);
	assert_int_equal(life_of_child(lack_memfd_create), LIFE_UNRECORDED);
	assert_int_equal(life_of_child(forbid_fallocate), LIFE_UNRECORDED);
	assert_int_equal(life_of_child(forbid_madvise), LIFE_UNRECORDED);
	assert_int_equal(life_of_child(forbid_getrlimit), LIFE_UNRECORDED);
}

static void kill_at_memfd_create(void)
{
	switch_off();
	answer(SYS_memfd_create, SECCOMP_RET_KILL);
}

static void where_a_filter_kills_LSC_TRACE_0_keeps_the_program_alive(void **state)
{
	(void)state;
	assert_int_equal(life_of_child(kill_at_memfd_create), LIFE_UNRECORDED);
}

/* ---- descriptors ---- */

static rlim_t descriptors;

static void limit_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(LIFE_UNPREPARED);
	limit.rlim_cur = descriptors;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(LIFE_UNPREPARED);
}

static void limit_descriptors_and_switch_off(void)
{
	limit_descriptors();
	switch_off();
}

/* From too few to enough: what a loop without a ring can do, one with a ring can. */
static void the_ring_takes_no_descriptor_that_the_loop_needs(void **state)
{
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC), r = -1;
	bool refused = false, unrecorded = false;

	(void)state;
	assert_true(first > 2);
	close(first);
	for (descriptors = (rlim_t)first; r != LIFE_RECORDED; descriptors++) {
		int without = life_of_child(limit_descriptors_and_switch_off);

		assert_in_range(descriptors, first, first + 20);
		r = life_of_child(limit_descriptors);
		if (without != LIFE_UNRECORDED) {
			assert_int_equal(without, 100 + EMFILE);
			assert_int_equal(r, without);
			refused = true;
		} else {
			assert_true(r == LIFE_RECORDED || r == LIFE_UNRECORDED);
			unrecorded |= r == LIFE_UNRECORDED;
		}
	}
	assert_true(refused && unrecorded);
}

/* What the program prints, to a descriptor that is not open, must not land in ours. */
static int main_without_standard_descriptors(void *arg)
{
	(void)arg;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			return 10 + fd;
	if (write(STDOUT_FILENO, "x", 1) >= 0 || errno != EBADF)
		return 20;
	/* A program puts something else there, as daemons do. */
	int null = open("/dev/null", O_RDWR);
	if (null != 0 || dup2(null, 1) != 1 || dup2(null, 2) != 2)
		return 21;
	char *argv[] = {"/bin/echo", "hello", NULL};
	const struct lsc_process_options options = {
		.size = sizeof(options),
		.stdio = {LSC_STDIO_NULL, LSC_STDIO_PIPE, LSC_STDIO_PIPE},
	};
	struct lsc_process_output out;
	struct lsc_process *p;
	int status;
	for (int fd = 0; fd < 3; fd++) /* and a child gets its pipes all the same */
		close(fd);
	if (lsc_process_start(argv, &options, &p) < 0 ||
	    lsc_process_communicate(p, NULL, 0, 100, &out, NULL, &status) < 0)
		return 22;
	bool heard = strcmp(out.data, "hello\n") == 0;
	free(out.data);
	lsc_process_free(p);
	return heard ? life(NULL) : 23;
}

static void closed_standard_descriptors_stay_closed(void **state)
{
	int status;

	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		_exit(lsc_run(main_without_standard_descriptors, NULL));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, LIFE_RECORDED << 8);
}

/* ---- memory ---- */

/* The sanitizers' shadow does not fit into any limit of address space. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOWED 1
#else
#define SHADOWED 0
#endif

static rlim_t address_space;

static size_t used_address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit_address_space(void)
{
	struct rlimit limit = {address_space, address_space};

	if (setrlimit(RLIMIT_AS, &limit) < 0)
		_exit(LIFE_UNPREPARED);
}

static void limit_address_space_and_switch_off(void)
{
	limit_address_space();
	switch_off();
}

/* From too little to enough: what a loop without a ring can do, one with a ring can. */
static void the_ring_takes_no_address_space_that_the_loop_needs(void **state)
{
	size_t used = used_address_space();
	int refused = 0, unrecorded = 0, r = -1;

	(void)state;
	if (SHADOWED) {
		print_message("skipped: a sanitizer's shadow needs the whole address space\n");
		skip();
	}
	for (size_t more = 0; r != LIFE_RECORDED; more += 128 * 1024) {
		address_space = used + more;
		int without = life_of_child(limit_address_space_and_switch_off);

		assert_in_range(more, 0, 64 << 20);
		r = life_of_child(limit_address_space);
		if (without != LIFE_UNRECORDED) {
			assert_int_equal(without, 100 + ENOMEM);
			assert_int_equal(r, without);
			refused++;
		} else {
			assert_true(r == LIFE_RECORDED || r == LIFE_UNRECORDED);
			unrecorded += r == LIFE_UNRECORDED;
		}
	}
	print_message("from %zu KiB on: %d times an error, %d times unrecorded\n", used / 1024,
		      refused, unrecorded);
	assert_true(unrecorded > 0);
}

/* A memory cgroup of our own below the one we are in, where that can be had. */
struct cgroup {
	char path[PATH_MAX - 64];
	const char *limit; /* the name of its file */
};

static int cgroup_write(const struct cgroup *g, const char *name, long long value)
{
	char path[PATH_MAX], text[32];
	int n = snprintf(text, sizeof(text), "%lld", value);

	snprintf(path, sizeof(path), "%s/%s", g->path, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC),
	    r = fd < 0 ? -1 : (int)write(fd, text, (size_t)n);
	if (fd >= 0)
		close(fd);
	return r == n ? 0 : -1;
}

/* 0, or -1: no memory controller that we may use. */
static int cgroup_make(struct cgroup *g)
{
	char line[1024], own[1024];
	FILE *f = fopen("/proc/self/cgroup", "r");
	int r = -1;

	while (f && r < 0 && fgets(line, sizeof(line), f)) {
		bool v1 = sscanf(line, "%*d:memory:%1000s", own) == 1;

		if (!v1 && sscanf(line, "0::%1000s", own) != 1)
			continue;
		g->limit = v1 ? "memory.limit_in_bytes" : "memory.max";
		snprintf(g->path, sizeof(g->path), "/sys/fs/cgroup%s%s/loopscope-test-%d",
			 v1 ? "/memory" : "", own, getpid());
		if (mkdir(g->path, 0755) < 0)
			continue;
		r = cgroup_write(g, g->limit, 64 << 20);
		if (r < 0)
			rmdir(g->path);
	}
	if (f)
		fclose(f);
	return r;
}

static const struct cgroup *memory_group;

static void enter_cgroup(void)
{
	if (cgroup_write(memory_group, "cgroup.procs", getpid()) < 0)
		_exit(LIFE_UNPREPARED);
}

static void enter_cgroup_and_switch_off(void)
{
	enter_cgroup();
	switch_off();
}

/* From too little to enough: where a loop without a ring lives, one with a ring is not killed. */
static void a_full_memory_cgroup_leaves_the_loop_unrecorded(void **state)
{
	struct cgroup g;
	int unrecorded = 0, r = -1;

	(void)state;
	if (SHADOWED || cgroup_make(&g) < 0) {
		print_message("skipped: %s\n", SHADOWED ? "a sanitizer's shadow needs more memory"
							: "no memory cgroup may be made here");
		skip();
	}
	memory_group = &g;
	for (int kib = 512; kib <= 16384 && r != LIFE_RECORDED; kib += 512) {
		if (cgroup_write(&g, g.limit, kib * 1024ll) < 0)
			continue; /* what is left in it from the child before does not fit */
		int without = life_of_child(enter_cgroup_and_switch_off);

		r = life_of_child(enter_cgroup);
		if (without != LIFE_UNRECORDED)
			continue;
		if (r != LIFE_RECORDED && r != LIFE_UNRECORDED)
			fail_msg("with %d KiB the loop ends with %d", kib, r);
		unrecorded += r == LIFE_UNRECORDED;
	}
	rmdir(g.path);
	assert_int_equal(r, LIFE_RECORDED);
	assert_true(unrecorded > 0);
}

/* ---- another user ---- */

static int main_that_gives_up_its_privileges(void *arg)
{
	(void)arg;
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return LIFE_UNPREPARED;
	/* Not dumpable any more: /proc/self/fd is root's. The loop goes on. */
	lsc_trace_mark("as nobody");
	return lsc_yield() < 0 || lsc_sleep(1000000) < 0 ? 1 : 0;
}

static void a_loop_outlives_the_privileges_of_its_program(void **state)
{
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root, to give it up\n");
		skip();
	}
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(lsc_run(main_that_gives_up_its_privileges, NULL));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_records_by_default),
		cmocka_unit_test(LSC_TRACE_0_switches_recording_off),
		cmocka_unit_test(a_file_size_limit_leaves_the_loop_unrecorded),
		cmocka_unit_test(a_refused_call_leaves_the_loop_unrecorded),
		cmocka_unit_test(where_a_filter_kills_LSC_TRACE_0_keeps_the_program_alive),
		cmocka_unit_test(the_ring_takes_no_descriptor_that_the_loop_needs),
		cmocka_unit_test(closed_standard_descriptors_stay_closed),
		cmocka_unit_test(the_ring_takes_no_address_space_that_the_loop_needs),
		cmocka_unit_test(a_full_memory_cgroup_leaves_the_loop_unrecorded),
		cmocka_unit_test(a_loop_outlives_the_privileges_of_its_program),
	};
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
