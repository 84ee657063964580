/* SPDX-License-Identifier: MIT */
/* Files are indexed beside the worker: one that takes its time, or never comes, costs its own
 * names. */
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
#include "folder.h"

#define INDEXERS 3
#define LATER	 (1u << 30) /* no other's cookie */
#define FILE_MAX (4 << 20)

static struct capture cap, other;
static struct answers got;
static char dir[] = "/tmp/indexers-XXXXXX";
static char nest[256];
static unsigned char bytes[FILE_MAX];
static size_t size;

static const struct inspector_options quick = {.index_deadline_ns = 500 * LSC_NS_PER_MS,
					       .unwind_deadline_ns = 2 * LSC_NS_PER_S};

/* A program of its own: another file, which nobody has indexed. */
static pid_t spawn_captured(const char *name, const char *letters, struct capture *ret)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	capture_store(path, bytes, size);
	setenv("NEST", path, 1);
	pid_t pid = capture_spawn_nest(letters, NULL, NULL);
	setenv("NEST", nest, 1);
	capture_take(pid, SYS_pause, -2, ret);
	return pid;
}

static void ask_later(struct inspector *ins, uint64_t cookie, const struct capture *c)
{
	assert_int_equal(inspector_unwind(ins, cookie, c->pid, c->tid, c->regs, c->stack, c->size),
			 0);
}

/* The broker of the indexer that is there; it hangs from here on, and with it what it is asked. */
static int stop_crew(struct inspector *ins)
{
	int pids[2 * INDEXERS];

	assert_int_equal(inspector_indexers(ins, pids, 2 * INDEXERS), 2 * INDEXERS);
	assert_true(pids[0] > 0);
	assert_int_equal(kill(pids[0], SIGSTOP), 0);
	return pids[0];
}

/* All that there are, before they can be asked anything: they come up in their own time. */
static void stop_all(struct inspector *ins)
{
	int pids[2 * INDEXERS];
	size_t n = inspector_indexers(ins, pids, 2 * INDEXERS);

	for (size_t i = 1; i < n; i += 2)
		if (pids[i] > 0)
			kill(pids[i], SIGSTOP);
}

static void a_file_first_met_when_its_process_has_ended_has_its_names(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("ended", "ab", &cap);
	size_t whole = cap.size;

	(void)state;
	cap.size = 0; /* the innermost frame alone, which is the C library's */
	answers_ask(ins, &got, &cap);
	assert_false(answers_have(&got, "nest_b"));
	capture_kill(pid);
	cap.size = whole;
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "");
	assert_true(answers_have(&got, "nest_b") && answers_have(&got, "main"));
	assert_non_null(strstr(got.last.frames[1].file, "nest.c"));
	inspector_free(ins);
}

static void while_an_indexer_hangs_others_are_served(void **state)
{
	const struct inspector_options options = {.unwind_deadline_ns = 2 * LSC_NS_PER_S};
	struct inspector *ins = answers_start(&got, &options);
	pid_t known = spawn_captured("known", "ab", &other), hung, fresh;
	static struct capture third;
	int broker, worker, worker_then;

	(void)state;
	answers_ask(ins, &got, &other);
	inspector_children(ins, &broker, &worker);
	hung = spawn_captured("hung", "abc", &cap);
	fresh = spawn_captured("fresh", "cb", &third);
	int crew = stop_crew(ins);
	uint64_t t = lsc_now_ns(), rip = cap.regs[16], end;
	capture_find_map(hung, "hung", &cap.regs[16], &end); /* it seems to run there */
	ask_later(ins, LATER, &cap); /* for whose file that indexer is asked first */
	inspector_dispatch(ins);
	assert_false(inspector_is_indexing(ins, known));
	answers_ask(ins, &got, &other);
	assert_true(answers_have(&got, "nest_b"));
	answers_ask(ins, &got, &third); /* by another one */
	assert_true(answers_have(&got, "nest_c") && answers_have(&got, "nest_b"));
	assert_true(inspector_is_indexing(ins, hung));
	assert_true(lsc_now_ns() - t < 1500 * LSC_NS_PER_MS); /* its deadline is at 2000 */
	assert_int_equal(kill(crew, SIGCONT), 0);
	answers_await(ins, &got, got.n + 1);
	assert_int_equal(got.last.cookie, LATER);
	assert_true(got.last.frames[0].build_id[0]);
	assert_false(inspector_is_indexing(ins, hung));
	cap.regs[16] = rip;
	answers_ask(ins, &got, &cap);
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_c"));
	inspector_children(ins, &broker, &worker_then);
	assert_int_equal(worker_then, worker);
	capture_kill(known);
	capture_kill(hung);
	capture_kill(fresh);
	inspector_free(ins);
}

/* Two times its indexer hangs. */
static void a_file_that_costs_two_indexers_costs_its_own_names(void **state)
{
	struct inspector *ins = answers_start(&got, &quick);
	pid_t known = spawn_captured("well", "ab", &other);
	pid_t hung = spawn_captured("costly", "abc", &cap);
	uint64_t end;
	int broker, worker, worker_then;
	uint64_t t = lsc_now_ns();

	(void)state;
	capture_find_map(hung, "costly", &cap.regs[16], &end); /* it seems to run there */
	answers_ask(ins, &got, &other);
	inspector_children(ins, &broker, &worker);
	stop_all(ins);
	ask_later(ins, LATER, &cap);
	answers_ask(ins, &got, &other);
	assert_true(answers_have(&got, "nest_b"));
	for (size_t before = got.n; got.n == before; stop_all(ins)) {
		struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
		assert_true(lsc_now_ns() - t < 10 * LSC_NS_PER_S);
		poll(&p, 1, 1);
		inspector_dispatch(ins);
	}
	assert_true(lsc_now_ns() - t >= 2 * quick.index_deadline_ns);
	assert_int_equal(got.last.cookie, LATER);
	assert_string_equal(got.last.debug_why, "a file could not be read in time");
	assert_true(got.last.nframes >= 1);
	assert_string_equal(got.last.frames[0].function, "");
	assert_non_null(strstr(got.last.frames[0].module, "costly"));
	assert_true(got.last.frames[0].offset > 0);
	t = lsc_now_ns();
	answers_ask(ins, &got, &cap); /* it is quarantined: nobody is asked */
	assert_true(lsc_now_ns() - t < quick.index_deadline_ns);
	assert_string_equal(got.last.frames[0].function, "");
	answers_ask(ins, &got, &other);
	assert_true(answers_have(&got, "nest_b"));
	inspector_children(ins, &broker, &worker_then);
	assert_int_equal(worker_then, worker);
	capture_kill(known);
	capture_kill(hung);
	inspector_free(ins);
}

static void another_worker_gets_the_indexes_that_are_there(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("again", "acb", &cap);
	int broker, worker, fds;

	(void)state;
	answers_ask(ins, &got, &cap);
	fds = count_fds(getpid());
	inspector_children(ins, &broker, &worker);
	assert_int_equal(kill(worker, SIGSTOP), 0);
	assert_int_equal(kill(worker, SIGKILL), 0);
	do
		answers_ask(ins, &got, &cap);
	while (got.last.why[0]);
	assert_true(answers_have(&got, "nest_c"));
	assert_non_null(strstr(got.last.frames[1].file, "nest.c"));
	assert_int_equal(count_fds(getpid()), fds); /* none is there twice */
	capture_kill(pid);
	inspector_free(ins);
}

/* The same file at the same place, with other bytes: it is indexed anew. */
static void a_file_that_was_rewritten_is_another_one(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = spawn_captured("rewritten", "ab", &cap);
	unsigned char *at;

	(void)state;
	answers_ask(ins, &got, &cap);
	assert_true(answers_have(&got, "nest_b"));
	capture_kill(pid);
	lsc_autofree unsigned char *real = malloc(size);
	assert_non_null(real);
	memcpy(real, bytes, size);
	for (size_t i = 0; (at = memmem(bytes + i, size - i, "nest_b", 7));
	     i = (size_t)(at - bytes))
		memcpy(at, "nest_X", 7);
	pid = spawn_captured("rewritten", "ab", &cap);
	memcpy(bytes, real, size);
	answers_ask(ins, &got, &cap);
	assert_true(answers_have(&got, "nest_X") && !answers_have(&got, "nest_b"));
	capture_kill(pid);
	inspector_free(ins);
}

/* CPU time of the children that there are. */
static uint64_t cpu_ns_now(struct inspector *ins)
{
	int pids[2 + 2 * INDEXERS];
	struct timespec t;
	clockid_t clock;
	uint64_t ns = 0;

	inspector_children(ins, &pids[0], &pids[1]);
	size_t n = 2 + inspector_indexers(ins, pids + 2, 2 * INDEXERS);
	for (size_t i = 0; i < n; i++)
		if (pids[i] > 0 && clock_getcpuclockid(pids[i], &clock) == 0 &&
		    clock_gettime(clock, &t) == 0)
			ns += (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
	return ns;
}

/* What a file has made of its indexer costs no other file's names. */
static void an_indexer_reads_one_file_alone(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	pid_t first = spawn_captured("first", "acb", &cap), second;
	int before[2], then[2], last[2];

	(void)state;
	assert_int_equal(inspector_indexers(ins, before, 2), 2);
	answers_ask(ins, &got, &cap); /* its own file, and the C library's */
	assert_true(answers_have(&got, "nest_c") && answers_have(&got, "main"));
	assert_int_equal(inspector_indexers(ins, then, 2), 2);
	assert_int_equal(then[0], before[0]); /* the broker, which knows the targets */
	assert_int_not_equal(then[1], before[1]);
	assert_int_equal(kill(then[1], 0), 0);
	/* what the one took that has gone is known */
	assert_true(inspector_cpu_ns(ins) > cpu_ns_now(ins));
	answers_ask(ins, &got, &cap); /* nothing new */
	assert_int_equal(inspector_indexers(ins, last, 2), 2);
	assert_int_equal(last[1], then[1]);
	second = spawn_captured("second", "ab", &cap);
	answers_ask(ins, &got, &cap);
	assert_true(answers_have(&got, "nest_b") && answers_have(&got, "main"));
	assert_int_equal(inspector_indexers(ins, last, 2), 2);
	assert_int_equal(last[0], before[0]);
	assert_int_not_equal(last[1], then[1]);
	capture_kill(first);
	capture_kill(second);
	inspector_free(ins);
}

/* The leaf of a stack lies at an address of that library; whether its line is told. */
static bool ask_line(struct inspector *ins, const struct capture *c, const char *library,
		     uint64_t offset)
{
	static struct capture leaf;
	uint64_t end;

	leaf = *c;
	leaf.size = 0;
	capture_find_map(c->pid, library, &leaf.regs[16], &end);
	leaf.regs[16] += offset;
	assert_true(leaf.regs[16] < end);
	answers_ask(ins, &got, &leaf);
	assert_true(got.last.nframes >= 1);
	assert_non_null(strstr(got.last.frames[0].module, library));
	return strstr(got.last.frames[0].file, "nest_lines.c") && got.last.frames[0].line > 0;
}

/* Four files, and each time an address that nobody has asked about. */
static void lines_of_a_targets_files_are_told_by_who_has_them_open(void **state)
{
	static const char *const names[] = {"lines_a.so", "lines_b.so", "lines_c.so", "lines_d.so"};
	struct inspector *ins = answers_start(&got, NULL);
	lsc_autofree unsigned char *library = malloc(FILE_MAX);
	int before[2 * INDEXERS], then[2 * INDEXERS];
	char path[128], all[1024];
	size_t length = 0;

	(void)state;
	assert_non_null(library);
	size_t n = capture_load(getenv("NEST_LINES"), library, FILE_MAX);
	for (size_t i = 0; i < LSC_ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		capture_store(path, library, n);
		length += (size_t)snprintf(all + length, sizeof(all) - length, "%s:", path);
	}
	setenv("LD_PRELOAD", all, 1);
	pid_t pid = spawn_captured("with_lines", "ab", &cap);
	unsetenv("LD_PRELOAD");
	for (size_t round = 0; round < 12; round++) {
		if (round == 2) /* each has been opened where it stays */
			assert_int_equal(inspector_indexers(ins, before, 2 * INDEXERS),
					 2 * INDEXERS);
		for (size_t i = 0; i < LSC_ARRAY_LEN(names); i++)
			assert_true(ask_line(ins, &cap, names[i], 0x200 + 32 * round));
	}
	assert_int_equal(inspector_indexers(ins, then, 2 * INDEXERS), 2 * INDEXERS);
	for (size_t i = 0; i < 2 * INDEXERS; i++)
		assert_true(before[i] <= 0 || then[i] == before[i]);
	capture_kill(pid);
	inspector_free(ins);
}

/* The keeper is their parent. */
static pid_t keeper_of(struct inspector *ins)
{
	int pids[2], parent = 0;
	char path[64];

	assert_int_equal(inspector_indexers(ins, pids, 2), 2);
	snprintf(path, sizeof(path), "/proc/%d/stat", pids[0]);
	lsc_autofclose FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %*s %*c %d", &parent), 1);
	return parent;
}

static void await_indexing(struct inspector *ins, pid_t pid)
{
	uint64_t end = lsc_now_ns() + LSC_NS_PER_S;

	while (!inspector_is_indexing(ins, pid)) {
		struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
		assert_true(lsc_now_ns() < end);
		poll(&p, 1, 1);
		inspector_dispatch(ins);
	}
}

static void a_target_that_is_met_while_an_indexer_is_replaced_is_known_to_the_broker(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	pid_t first = spawn_captured("before", "ab", &cap);
	pid_t second = spawn_captured("meanwhile", "ab", &other), third;
	static struct capture late;

	(void)state;
	answers_ask(ins, &got, &cap);
	pid_t keeper = keeper_of(ins);
	third = spawn_captured("late", "ab", &late);
	size_t whole = late.size;
	assert_int_equal(kill(keeper, SIGSTOP), 0);
	ask_later(ins, LATER, &other);
	await_indexing(ins, second); /* by one that does not come yet */
	late.size = 0;		     /* the C library's frame alone */
	ask_later(ins, LATER + 1, &late);
	await_indexing(ins, third);
	capture_kill(third);
	assert_int_equal(kill(keeper, SIGCONT), 0);
	answers_await(ins, &got, got.n + 2);
	assert_true(answers_have(&got, "pause"));
	late.size = whole;
	answers_ask(ins, &got, &late);
	assert_true(answers_have(&got, "nest_b") && answers_have(&got, "main"));
	capture_kill(first);
	capture_kill(second);
	inspector_free(ins);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(nest, sizeof(nest), "%s", getenv("NEST"));
	size = capture_load(nest, bytes, FILE_MAX);
	return mkdtemp(dir) && chmod(dir, 0755) == 0 && size > 4096 && size < FILE_MAX ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return folder_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_first_met_when_its_process_has_ended_has_its_names),
		cmocka_unit_test(while_an_indexer_hangs_others_are_served),
		cmocka_unit_test(a_file_that_costs_two_indexers_costs_its_own_names),
		cmocka_unit_test(another_worker_gets_the_indexes_that_are_there),
		cmocka_unit_test(a_file_that_was_rewritten_is_another_one),
		cmocka_unit_test(an_indexer_reads_one_file_alone),
		cmocka_unit_test(lines_of_a_targets_files_are_told_by_who_has_them_open),
		cmocka_unit_test(
			a_target_that_is_met_while_an_indexer_is_replaced_is_known_to_the_broker),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
