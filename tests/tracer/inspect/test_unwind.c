/* SPDX-License-Identifier: MIT */
/* Real programs, blocked: their stacks with the names that must be there. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture.h"

static struct capture cap;
static struct answers got;

/* A busy machine may keep a healthy worker from its answer for longer than the default. */
static const struct inspector_options patient = {.unwind_deadline_ns = 2 * LSC_NS_PER_S};

static bool has_function(const char *name)
{
	for (size_t i = 0; i < got.last.nframes; i++)
		if (strcmp(got.last.frames[i].function, name) == 0)
			return true;
	return false;
}

static void the_nested_functions_of_a_program_without_frame_pointers_come_in_order(void **state)
{
	(void)state;
	unsigned int seed = (unsigned int)lsc_now_ns();
	struct inspector *ins = answers_start(&got, NULL);

	print_message("seed %u\n", seed);
	for (int round = 0; round < 4; round++) {
		char path[21] = "";
		int depth = 1 + rand_r(&seed) % 20;
		for (int i = 0; i < depth; i++)
			path[i] = (char)('a' + rand_r(&seed) % 3);
		pid_t pid = capture_spawn_nest(path, NULL, NULL);
		capture_take(pid, SYS_pause, -2, &cap);
		answers_ask(ins, &got, &cap);
		capture_kill(pid);

		size_t at = 0;
		for (int i = depth - 1; i >= 0; i--) {
			char name[] = {'n', 'e', 's', 't', '_', path[i], 0};
			while (at < got.last.nframes &&
			       strncmp(got.last.frames[at].function, "nest_", 5) != 0)
				at++;
			assert_true(at < got.last.nframes);
			assert_string_equal(got.last.frames[at].function, name);
			assert_false(got.last.frames[at].exported);
			assert_true(got.last.frames[at].build_id[0]);
			assert_non_null(strstr(got.last.frames[at].file, "nest.c"));
			assert_true(got.last.frames[at].line > 0);
			at++;
		}
		while (at < got.last.nframes && strcmp(got.last.frames[at].function, "main") != 0)
			assert_true(strncmp(got.last.frames[at++].function, "nest_", 5) != 0);
		assert_true(at < got.last.nframes);
		assert_string_equal(got.last.why, "");
		assert_false(got.last.truncated);
	}
	assert_null(inspector_free(ins));
}

static void unwind_nest(const char *path)
{
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = capture_spawn_nest(path, NULL, NULL);

	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	capture_kill(pid);
	inspector_free(ins);
	assert_string_equal(got.last.why, "");
	assert_false(got.last.truncated);
}

static void a_signal_handler_shows_what_it_interrupted(void **state)
{
	(void)state;
	unwind_nest("asb");
	assert_true(has_function("nest_b") && has_function("raise"));
	assert_true(has_function("nest_a") && has_function("main"));
}

static void an_inlined_function_has_its_own_frame(void **state)
{
	(void)state;
	size_t i = 0;

	unwind_nest("aib");
	while (i < got.last.nframes && !got.last.frames[i].inlined)
		i++;
	assert_true(i > 1 && i + 1 < got.last.nframes);
	const struct answer_frame_copy *f = &got.last.frames[i];
	assert_string_equal(f[-2].function, "nest_b");
	assert_string_equal(f[-1].function, "descend");
	assert_string_equal(f[0].function, "nest_inlined");
	assert_string_equal(f[1].function, "descend");
	assert_false(f[1].inlined);
	assert_int_equal(f[0].offset, f[1].offset);
	assert_non_null(strstr(f[0].file, "nest.c"));
	assert_non_null(strstr(f[1].file, "nest.c"));
	assert_true(f[0].line > 0 && f[1].line > f[0].line); /* it is called further below */
}

static void a_coroutine_ends_at_its_entry(void **state)
{
	(void)state;
	unwind_nest("aub");
	assert_true(has_function("nest_b"));
	assert_string_equal(got.last.frames[got.last.nframes - 1].function, "own_entry");
	assert_false(has_function("nest_a") || has_function("main"));
}

static void a_thread_is_unwound_also_when_the_first_has_ended(void **state)
{
	(void)state;
	for (int leave = 0; leave < 2; leave++) {
		struct inspector *ins = answers_start(&got, NULL);
		pid_t pid = capture_spawn_nest(leave ? "aTb" : "atb", NULL, NULL);
		capture_take_thread(pid, find_second_thread(pid), SYS_pause, &cap);
		answers_ask(ins, &got, &cap);
		capture_kill(pid);
		inspector_free(ins);
		assert_string_equal(got.last.why, "");
		assert_false(got.last.truncated);
		assert_true(has_function("nest_b") && has_function("on_thread"));
		assert_false(has_function("nest_a") || has_function("main"));
	}
}

static struct answers live;
static uint32_t live_words[INSPECTOR_WORDS];
static bool live_has_words;

static void add_live(const struct inspector_result *result, void *arg)
{
	live_has_words = result->words != NULL;
	if (result->words)
		memcpy(live_words, result->words, sizeof(live_words));
	answers_add(result, arg);
}

static void a_sleeping_thread_is_unwound_from_its_own_stack(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = capture_spawn_nest("abcabc", NULL, NULL);

	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	inspector_free(ins);
	assert_int_equal(inspector_new(&patient, add_live, &live, &ins, NULL), 0);
	for (int i = 0; i < 2; i++) { /* words that are there, and words that are not */
		uint64_t words = i ? 8 : cap.regs[7] - INSPECTOR_RED_ZONE;
		struct inspector_sleeper sleeper = {.regs = cap.regs, .words = words};
		assert_int_equal(inspector_unwind_asleep(ins, (uint64_t)i, pid, cap.tid, &sleeper),
				 0);
		answers_await(ins, &live, (size_t)i + 1);
		assert_int_equal(live_has_words, i == 0);
		if (i == 0)
			assert_memory_equal(live_words, cap.stack, sizeof(live_words));
		assert_string_equal(live.last.why, "");
		assert_false(live.last.truncated);
		assert_int_equal(live.last.nframes, got.last.nframes);
		for (size_t k = 0; k < got.last.nframes; k++)
			assert_string_equal(live.last.frames[k].function,
					    got.last.frames[k].function);
	}
	capture_kill(pid);
	inspector_free(ins);
}

struct copied {
	uint8_t bytes[INSPECTOR_STACK_MAX];
	size_t size;
};

static struct copied copied;
static struct answers after_copy;

static void add_copy(const struct inspector_result *result, void *arg)
{
	if (!result->copy) {
		answers_add(result, arg);
		return;
	}
	assert_in_range(result->copy_size, 1, sizeof(copied.bytes));
	copied.size = result->copy_size;
	memcpy(copied.bytes, result->copy, copied.size);
}

static void a_sleeping_thread_has_its_stack_copied(void **state)
{
	(void)state;
	struct inspector *ins;
	pid_t pid = capture_spawn_nest("abcabc", NULL, NULL);

	assert_int_equal(inspector_new(&patient, add_copy, &after_copy, &ins, NULL), 0);
	capture_take(pid, SYS_pause, -2, &cap);
	assert_int_equal(inspector_copy(ins, 1, pid, cap.tid, cap.regs), 0);
	answers_await(ins, &after_copy, 1);
	assert_string_equal(after_copy.last.why, "");
	assert_in_range(copied.size, cap.size, sizeof(copied.bytes));
	assert_memory_equal(copied.bytes, cap.stack, cap.size);
	uint64_t regs[INSPECTOR_REGS] = {[INSPECTOR_REG_SP] = 4096}; /* nothing lies there */
	copied.size = 0;
	assert_int_equal(inspector_copy(ins, 2, pid, cap.tid, regs), 0);
	answers_await(ins, &after_copy, 2);
	assert_string_not_equal(after_copy.last.why, "");
	assert_int_equal(copied.size, 0);
	capture_kill(pid);
	assert_int_equal(inspector_copy(ins, 3, pid, cap.tid, cap.regs), 0);
	answers_await(ins, &after_copy, 3);
	assert_string_not_equal(after_copy.last.why, "");
	assert_int_equal(copied.size, 0);
	inspector_free(ins);
}

static void the_vdso_is_unwound_too(void **state)
{
	(void)state;
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = capture_spawn_nest("av", NULL, NULL);
	uint64_t at, end;

	capture_find_map(pid, "[vdso]", &at, &end);
	capture_take_within(pid, at, end, &cap);
	answers_ask(ins, &got, &cap);
	capture_kill(pid);
	inspector_free(ins);
	assert_string_equal(got.last.why, "");
	assert_string_equal(got.last.frames[0].module, "[vdso]");
	assert_int_equal(got.last.frames[0].offset, cap.regs[16] - at);
	assert_true(has_function("nest_a") && has_function("main"));
}

/* Runs argv, waits for it to block in a call, unwinds it twice: cold, then from the caches. */
static void unwind_program(char *const argv[], long call, long other_call, size_t least)
{
	if (access(argv[0], X_OK) < 0) {
		print_message("%s is not installed\n", argv[0]);
		skip();
	}
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = capture_spawn(argv);
	capture_take(pid, call, other_call, &cap);
	uint64_t t0 = lsc_now_ns();
	answers_ask(ins, &got, &cap);
	uint64_t t1 = lsc_now_ns();
	size_t first = got.last.nframes;
	answers_ask(ins, &got, &cap);
	uint64_t t2 = lsc_now_ns();
	capture_kill(pid);
	answers_print(&got);
	print_message("first %.2f ms, again %.3f ms\n", (double)(t1 - t0) / 1e6,
		      (double)(t2 - t1) / 1e6);
	assert_true(first >= least);
	assert_int_equal(got.last.nframes, first);
	assert_string_equal(got.last.why, "");
	assert_null(inspector_free(ins));
}

static void an_idle_redis_shows_its_event_loop(void **state)
{
	(void)state;
	char dir[] = "/tmp/inspect-XXXXXX", path[64];
	char *argv[] = {"/usr/bin/redis-server", "--port", "0", "--save", "",
			"--unixsocket",		 path,	   NULL};

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/redis", dir);
	unwind_program(argv, SYS_epoll_wait, SYS_epoll_pwait, 5);
	unlink(path);
	rmdir(dir);
	assert_true(has_function("aeMain") || has_function("aeProcessEvents") ||
		    has_function("main"));
	for (size_t i = 0; i < got.last.nframes; i++)
		if (got.last.frames[i].function[0] && strstr(got.last.frames[i].module, "redis"))
			assert_true(got.last.frames[i].exported);
}

static void an_idle_node_shows_its_frames(void **state)
{
	(void)state;
	char *argv[] = {"/usr/bin/node", "-e", "setInterval(() => {}, 1000000)", NULL};

	unwind_program(argv, SYS_epoll_pwait, SYS_epoll_wait, 8);
	assert_true(has_function("uv_run"));
	assert_true(has_function("node::Start(int, char**)")); /* demangled */
}

static void a_sleeping_python_shows_its_interpreter(void **state)
{
	(void)state;
	char *argv[] = {"/usr/bin/python3", "-c", "import time; time.sleep(1000)", NULL};

	unwind_program(argv, SYS_clock_nanosleep, SYS_select, 10);
	assert_true(has_function("_PyEval_EvalFrameDefault"));
}

/* What a process and its descendants have spent on the CPU. */
static uint64_t family_cpu_ns(pid_t pid)
{
	char name[64];
	uint64_t ns = 0;
	int child;

	snprintf(name, sizeof(name), "/proc/%d/schedstat", pid);
	lsc_autofclose FILE *own = fopen(name, "r");
	if (!own || fscanf(own, "%" SCNu64, &ns) != 1)
		fail_msg("%s cannot be read", name);
	snprintf(name, sizeof(name), "/proc/%d/task/%d/children", pid, pid);
	lsc_autofclose FILE *children = fopen(name, "r");
	while (children && fscanf(children, "%d", &child) == 1)
		ns += family_cpu_ns(child);
	return ns;
}

#define WARM	 50
#define TIMES	 500
#define STACK_NS (LSC_NS_PER_MS / 2)

/* Of all our processes, the way there and back included; the target sleeps. */
static void a_stack_is_resolved_within_half_a_millisecond_once_its_files_are_known(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("a sanitizer makes it slower: that is no measure\n");
	skip();
#endif
	char *argv[] = {"/usr/bin/python3", "-c", "import time; time.sleep(1000)", NULL};
	struct inspector *ins = answers_start(&got, NULL);
	pid_t pid = capture_spawn(argv);

	capture_take(pid, SYS_clock_nanosleep, SYS_select, &cap);
	for (int i = 0; i < WARM; i++)
		answers_ask(ins, &got, &cap);
	uint64_t before = family_cpu_ns(getpid());
	for (int i = 0; i < TIMES; i++)
		answers_ask(ins, &got, &cap);
	uint64_t each = (family_cpu_ns(getpid()) - before) / TIMES;
	capture_kill(pid);
	assert_true(got.last.nframes > 10);
	assert_null(inspector_free(ins));
	print_message("a stack of %zu frames takes %.3f ms\n", got.last.nframes,
		      (double)each / 1e6);
	assert_true(each <= STACK_NS);
}

/* The lowest address at which a file is mapped. */
/* Where the begin of a file is mapped. */
static uint64_t first_map(pid_t pid, const char *path)
{
	char name[64], line[512];
	unsigned long start;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	lsc_autofclose FILE *f = fopen(name, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, path) && strstr(line, " 00000000 ") &&
		    sscanf(line, "%lx-", &start) == 1)
			return start;
	fail_msg("%d does not map %s", pid, path);
	return 0;
}

static void assert_found_where_it_lies(const char *path)
{
	static const struct {
		const char *file, *symbol;
		bool there;
	} cases[] = {{"inspect_nest", "main", true},
		     {"nest", "main", true},
		     {"inspect_nest", "mai", false},
		     {"inspect_nest", "sleep", false}, /* of the C library */
		     {"python", "main", false},
		     {"inspect_nest", "", false}};
	pid_t pid = capture_spawn_nest(path, NULL, NULL);
	struct inspector *ins = answers_start(&got, NULL);
	char line[256];
	unsigned long value = 0, size = 0;

	snprintf(line, sizeof(line), "nm -S '%s' | grep ' T main$'", getenv("NEST"));
	FILE *nm = popen(line, "r");
	assert_non_null(nm);
	assert_int_equal(fscanf(nm, "%lx %lx", &value, &size), 2);
	pclose(nm);
	for (size_t i = 0; i < LSC_ARRAY_LEN(cases); i++) {
		assert_int_equal(
			inspector_find(ins, i + 1, pid, pid, cases[i].file, cases[i].symbol), 0);
		answers_await(ins, &got, i + 1);
		assert_int_equal(got.last.cookie, i + 1);
		assert_string_equal(got.last.why, "");
		assert_int_equal(got.last.nframes, 0);
		assert_int_equal(got.last.address,
				 cases[i].there ? first_map(pid, "inspect_nest") + value : 0);
		assert_int_equal(got.last.size, cases[i].there ? size : 0);
	}
	capture_kill(pid);
	assert_int_equal(inspector_find(ins, 99, pid, pid, "inspect_nest", "main"), 0);
	answers_await(ins, &got, LSC_ARRAY_LEN(cases) + 1);
	assert_null(inspector_free(ins));
}

static void a_symbol_is_found_where_it_lies_and_nowhere_else(void **state)
{
	(void)state;
	assert_found_where_it_lies("ab");
}

/* As node does it with V8's builtins. */
static void a_piece_that_is_mapped_once_more_is_not_taken_for_its_file(void **state)
{
	(void)state;
	assert_found_where_it_lies("dab");
}

/* The copy holds it: by now something else may lie there. */
static void what_lies_in_the_red_zone_is_in_the_copy(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	uint64_t start, end, give_up = lsc_now_ns() + 10 * LSC_NS_PER_S;
	pid_t pid = capture_spawn_nest("abr", NULL, NULL);

	(void)state;
	capture_find_map(pid, "inspect_nest", &start, &end);
	do {
		capture_take_within(pid, start, end, &cap);
		answers_ask(ins, &got, &cap);
	} while (strcmp(got.last.frames[0].function, "spin_aligned") && lsc_now_ns() < give_up);
	capture_kill(pid);
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "");
	assert_string_equal(got.last.frames[0].function, "spin_aligned");
	assert_true(has_function("nest_b") && has_function("nest_a") && has_function("main"));
	assert_null(inspector_free(ins));
}

/* Frames of code without rules lie wherever frame pointers say, and these lead round and round. */
static void a_chain_of_frames_without_an_end_ends(void **state)
{
	enum { ROUNDS = 300, SLOTS = 256 };
	unsigned int seed = (unsigned int)lsc_now_ns();
	struct inspector *ins = answers_start(&got, NULL);
	uint64_t code = 0, *stack = (uint64_t *)cap.stack;
	size_t longest = 0;
	int broker, worker, worker_then;

	(void)state;
	print_message("seed %u\n", seed);
	pid_t pid = capture_spawn_nest("aJb", NULL, NULL);
	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	for (size_t i = 0; i < got.last.nframes; i++)
		if (!got.last.frames[i].module[0])
			code = got.last.frames[i].offset;
	assert_true(code);
	cap.size = SLOTS * 16; /* as if its stack were that deep */
	inspector_children(ins, &broker, &worker);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t sp = cap.regs[7] - INSPECTOR_RED_ZONE;
		for (uint64_t i = 0; i < SLOTS;
		     i++) { /* on, back, to itself, or out of the stack */
			uint64_t to = rand_r(&seed) % 8 ? i + 1 + (unsigned int)rand_r(&seed) % 2
							: (unsigned int)rand_r(&seed) % SLOTS;
			stack[2 * i] = sp + to * 16;
			stack[2 * i + 1] = rand_r(&seed) % 64 ? code + 1 : (uint64_t)rand_r(&seed);
		}
		cap.regs[16] = code;
		cap.regs[6] = sp + (unsigned int)rand_r(&seed) % SLOTS * 16;
		answers_ask(ins, &got, &cap);
		assert_in_range(got.last.nframes, 1, INSPECTOR_FRAMES_MAX);
		assert_string_not_equal(got.last.why, "deadline");
		if (got.last.nframes > longest)
			longest = got.last.nframes;
	}
	assert_true(longest > 8); /* they were followed */
	inspector_children(ins, &broker, &worker_then);
	assert_int_equal(worker_then, worker);
	capture_kill(pid);
	assert_null(inspector_free(ins));
}

static void a_bad_stack_keeps_no_other_from_code_that_was_made_since(void **state)
{
	static struct capture bad;
	struct inspector *ins = answers_start(&got, NULL);
	int ready;
	pid_t pid = capture_spawn_nest("awJ", NULL, &ready);

	(void)state;
	capture_take(pid, SYS_pause, SYS_clock_nanosleep, &cap);
	answers_ask(ins, &got, &cap);
	bad = cap;
	bad.regs[16] = 0x1000; /* where nothing is ever mapped */
	uint64_t first = lsc_now_ns();
	answers_ask(ins, &got, &bad);
	assert_false(answers_have(&got, "main"));
	assert_int_equal(kill(pid, SIGUSR1), 0);
	capture_await_ready(ready);
	capture_take(pid, SYS_pause, SYS_clock_nanosleep, &cap);
	do
		answers_ask(ins, &got, &cap);
	while (!answers_have(&got, "main") && lsc_now_ns() - first < 10 * LSC_NS_PER_S);
	assert_true(lsc_now_ns() - first < 800 * LSC_NS_PER_MS);
	close(ready);
	capture_kill(pid);
	inspector_free(ins);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_nested_functions_of_a_program_without_frame_pointers_come_in_order),
		cmocka_unit_test(a_signal_handler_shows_what_it_interrupted),
		cmocka_unit_test(an_inlined_function_has_its_own_frame),
		cmocka_unit_test(a_coroutine_ends_at_its_entry),
		cmocka_unit_test(a_thread_is_unwound_also_when_the_first_has_ended),
		cmocka_unit_test(a_sleeping_thread_is_unwound_from_its_own_stack),
		cmocka_unit_test(a_sleeping_thread_has_its_stack_copied),
		cmocka_unit_test(the_vdso_is_unwound_too),
		cmocka_unit_test(a_symbol_is_found_where_it_lies_and_nowhere_else),
		cmocka_unit_test(a_piece_that_is_mapped_once_more_is_not_taken_for_its_file),
		cmocka_unit_test(what_lies_in_the_red_zone_is_in_the_copy),
		cmocka_unit_test(a_chain_of_frames_without_an_end_ends),
		cmocka_unit_test(an_idle_redis_shows_its_event_loop),
		cmocka_unit_test(an_idle_node_shows_its_frames),
		cmocka_unit_test(a_sleeping_python_shows_its_interpreter),
		cmocka_unit_test(
			a_stack_is_resolved_within_half_a_millisecond_once_its_files_are_known),
		cmocka_unit_test(a_bad_stack_keeps_no_other_from_code_that_was_made_since),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
