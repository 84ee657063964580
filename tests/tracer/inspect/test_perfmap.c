/* SPDX-License-Identifier: MIT */
/* Names of code made at run time: the map's text, and processes with maps of their own and others'.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture.h"
#include "inspect/perfmap.h"
#include "inspect/space.h"

#define NODE "/usr/bin/node"

static struct capture cap;
#define ROUNDS 24 /* the walk ends at 128 frames */

static struct answers got;
static unsigned int seed;

/* ---- the text ---- */

static const char *name_at(struct perfmap *p, uint64_t address)
{
	uint64_t start;
	const char *name = perfmap_find(p, address, &start);

	assert_true(!name || start <= address);
	return name ? name : "";
}

static void add(struct perfmap *p, const char *text)
{
	assert_int_equal(perfmap_add(p, text, strlen(text)), strrchr(text, '\n') + 1 - text);
}

static void lines_name_what_they_span(void **state)
{
	struct perfmap *p = perfmap_new(-1);

	(void)state;
	assert_non_null(p);
	assert_string_equal(name_at(p, 0x1000), "");
	add(p, "2000 10 two words (a.js:1:2)\n1000 20 one\n0x3000 0x8 three\n4000 8 cut");
	assert_string_equal(name_at(p, 0xfff), "");
	assert_string_equal(name_at(p, 0x1000), "one");
	assert_string_equal(name_at(p, 0x101f), "one");
	assert_string_equal(name_at(p, 0x1020), "");
	assert_string_equal(name_at(p, 0x2008), "two words (a.js:1:2)");
	assert_string_equal(name_at(p, 0x3007), "three");
	assert_string_equal(name_at(p, 0x4000), "");
	assert_null(perfmap_free(p));
}

static void other_lines_count_for_nothing(void **state)
{
	static const char *const lines[] = {"\n",
					    " \n",
					    "1000\n",
					    "1000 10\n",
					    "1000 10 \n",
					    "1000 0 x\n",
					    "-1000 10 x\n",
					    "1000 -10 x\n",
					    "zz 10 x\n",
					    "1000 10zz x\n",
					    " 1000 10 x\n",
					    "1000  10 x\n",
					    "ffffffffffffffff 10 x\n",
					    "1000 ffffffffffffffff x\n",
					    "11111111111111111111 10 x\n",
					    "\t1000 10 x\n",
					    "\x80\xff 10 x\n"};
	struct perfmap *p = perfmap_new(-1);
	static char line[20 * MESSAGE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(lines); i++)
		add(p, lines[i]);
	for (uint64_t at = 0xff0; at < 0x1020; at++)
		assert_string_equal(name_at(p, at), "");
	assert_string_equal(name_at(p, UINT64_MAX), "");
	memset(line, 'n', sizeof(line));
	memcpy(line, "1000 10 ", 8);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	add(p, line);
	assert_int_equal(strlen(name_at(p, 0x1000)), MESSAGE_TEXT_MAX - 1);
	assert_int_equal(perfmap_add(p, "1000 10 a\0b\n", 12), 12);
	assert_string_equal(name_at(p, 0x1000), "a");
	perfmap_free(p);
}

/* Against a plain table of who wrote last. */
static void of_several_lines_the_newest_counts(void **state)
{
	enum { SPAN = 4096, LINES = 3000 };
	static int newest[SPAN];
	struct perfmap *p = perfmap_new(-1);

	(void)state;
	for (int i = 1; i <= LINES; i++) {
		unsigned int start = (unsigned int)rand_r(&seed) % SPAN;
		unsigned int size = 1 + (unsigned int)rand_r(&seed) % (i % 50 ? 40 : 1000);
		char line[64];
		snprintf(line, sizeof(line), "%x %x f%d\n", start, size, i);
		add(p, line);
		for (unsigned int at = start; at < start + size && at < SPAN; at++)
			newest[at] = i;
		if (i % 500)
			continue;
		for (unsigned int at = 0; at < SPAN; at++) {
			char name[16] = "";
			if (newest[at])
				snprintf(name, sizeof(name), "f%d", newest[at]);
			assert_string_equal(name_at(p, at), name);
		}
	}
	perfmap_free(p);
}

static void there_is_an_end_to_the_lines_that_are_kept(void **state)
{
	static char text[1 << 20];
	struct perfmap *p = perfmap_new(-1);
	ssize_t r = 0;
	size_t n = 0;

	(void)state;
	while (n + 6 <= sizeof(text)) {
		memcpy(text + n, "1 9 x\n", 6);
		n += 6;
	}
	for (int i = 0; i < 64 && r >= 0; i++)
		r = perfmap_add(p, text, n);
	assert_int_equal(r, -EFBIG);
	uint64_t t = lsc_now_ns();
	assert_string_equal(name_at(p, 1), "x"); /* sorts */
	t = lsc_now_ns();
	for (int i = 0; i < 10; i++)
		assert_string_equal(name_at(p, 5), "x");
	assert_true((lsc_now_ns() - t) / 10 < 10 * LSC_NS_PER_MS);
	perfmap_free(p);
}

/* ---- the file ---- */

#define LINE_BYTES 32

struct mapped {
	int fd;
	struct space space;
};

static void open_mapped(struct mapped *m)
{
	*m = (struct mapped){.fd = memfd_create("map", MFD_CLOEXEC)};
	assert_true(m->fd >= 0);
	m->space.perfmap = perfmap_new(dup(m->fd));
	assert_non_null(m->space.perfmap);
}

static void close_mapped(struct mapped *m)
{
	perfmap_free(m->space.perfmap);
	space_give_back(&m->space, m->space.spent);
	close(m->fd);
}

/* Begins it anew: one line, then others of no use up to that size. */
static void rewrite(const struct mapped *m, unsigned int place, const char *name, size_t size)
{
	static char text[64 << 10];
	char line[LINE_BYTES + 1];

	for (size_t i = 0; i < sizeof(text); i += LINE_BYTES) {
		snprintf(line, sizeof(line), "%*s\n", LINE_BYTES - 1, "useless");
		memcpy(text + i, line, LINE_BYTES);
	}
	assert_int_equal(ftruncate(m->fd, 0), 0);
	int n = snprintf(line, sizeof(line), "%x 10 %s\n", place, name);
	assert_int_equal(pwrite(m->fd, line, (size_t)n, 0), n);
	for (size_t at = (size_t)n; at < size; at += sizeof(text))
		assert_int_equal(pwrite(m->fd, text, sizeof(text), (off_t)at), sizeof(text));
}

static void ignore_phase(enum message_phase phase, void *arg)
{
	(void)phase, (void)arg;
}

/* Why there is no name at that place; NONE: it is the name. */
static enum message_why ask_name(struct mapped *m, unsigned int place, const char *name)
{
	static struct answer a;

	answer_init(&a, 1);
	a.head.nframes = 1;
	a.frames[0] = (struct message_frame){.offset = place + 8};
	perfmap_name(&m->space, &a, ignore_phase, NULL);
	if (!a.frames[0].function)
		return a.head.jit ? a.head.jit : MESSAGE_WHY_COUNT;
	assert_string_equal(a.text + a.frames[0].function, name);
	return MESSAGE_WHY_NONE;
}

static void a_map_that_is_begun_anew_again_and_again_costs_as_much_as_the_last_one(void **state)
{
	struct mapped m;
	char name[16];

	(void)state;
	open_mapped(&m);
	for (unsigned int i = 0; i < 7; i++) {
		unsigned int place = 0x1000 * (i + 1); /* one that is known is not looked for */
		snprintf(name, sizeof(name), "round-%u", i);
		rewrite(&m, place, name, (size_t)(20 - i) << 20);
		assert_int_equal(ask_name(&m, place, name), MESSAGE_WHY_NONE);
	}
	close_mapped(&m);
}

static void maps_of_some_targets_leave_room_for_those_of_others(void **state)
{
	struct mapped greedy[3], other;

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(greedy); i++) {
		open_mapped(&greedy[i]);
		rewrite(&greedy[i], 0x1000, "greedy", 60 << 20);
		ask_name(&greedy[i], 0x1000, "greedy");
	}
	open_mapped(&other);
	rewrite(&other, 0x1000, "other", 1 << 20);
	assert_int_equal(ask_name(&other, 0x1000, "other"), MESSAGE_WHY_NONE);
	close_mapped(&other);
	for (size_t i = 0; i < LSC_ARRAY_LEN(greedy); i++)
		close_mapped(&greedy[i]);
}

/* ---- processes ---- */

static char *map_of(pid_t pid)
{
	static char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
	return path;
}

static void write_map(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static pid_t spawn_made_code(const char *path, const char *name, int *ret_ready)
{
	pid_t pid = capture_spawn_nest(path, name, ret_ready);

	capture_take(pid, SYS_pause, SYS_clock_nanosleep, &cap);
	return pid;
}

/* Where the code that was made lies in the last answer; its frame. */
static size_t made_frame(void)
{
	size_t i = 0;

	while (i < got.last.nframes && got.last.frames[i].module[0])
		i++;
	assert_true(i > 0 && i + 1 < got.last.nframes);
	return i;
}

static void a_function_made_at_run_time_has_its_name_from_the_map(void **state)
{
	struct inspector *ins;
	char name[32], names[2][48];
	int ready;

	(void)state;
	snprintf(name, sizeof(name), "made here %u", rand_r(&seed));
	for (int i = 0; i < 2; i++)
		snprintf(names[i], sizeof(names[i]), "%s-%d", name, i);
	ins = answers_start(&got, NULL);
	pid_t pid = spawn_made_code("ajcwjb", name, &ready);
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "");
	assert_true(answers_have(&got, names[0]) && !answers_have(&got, names[1]));
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_c"));
	assert_int_equal(kill(pid, SIGUSR1), 0);
	capture_await_ready(ready);
	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	assert_true(answers_have(&got, names[0]) && answers_have(&got, names[1]));
	assert_true(answers_have(&got, "nest_b") && answers_have(&got, "main"));
	assert_string_equal(got.last.jit_why, "");
	close(ready);
	unlink(map_of(pid));
	capture_kill(pid);
	inspector_free(ins);
}

static void code_that_is_mapped_all_the_time_is_looked_for_so_often_and_no_more(void **state)
{
	struct inspector *ins;
	char path[2 * ROUNDS + 2] = "a", name[16];
	unsigned int round;
	int ready;

	(void)state;
	for (round = 0; round < ROUNDS; round++)
		memcpy(path + 1 + 2 * round, "wj", 2);
	ins = answers_start(&got, NULL);
	pid_t pid = capture_spawn_nest(path, "new", &ready);
	capture_take(pid, SYS_pause, SYS_clock_nanosleep, &cap);
	answers_ask(ins, &got, &cap);
	uint64_t first = lsc_now_ns();
	for (round = 0; round < ROUNDS; round++) {
		assert_int_equal(kill(pid, SIGUSR1), 0);
		capture_await_ready(ready);
		capture_take(pid, SYS_pause, SYS_clock_nanosleep, &cap);
		answers_ask(ins, &got, &cap);
		if (got.last.why[0])
			break;
		snprintf(name, sizeof(name), "new-%u", round);
		assert_true(answers_have(&got, name) && answers_have(&got, "main"));
	}
	if (round < ROUNDS) {
		assert_string_equal(got.last.why, "its mappings change too often");
		assert_true(round > 3);
		while (got.last.why[0] && lsc_now_ns() - first < 10 * LSC_NS_PER_S)
			answers_ask(ins, &got, &cap);
		assert_true(lsc_now_ns() - first >= LSC_NS_PER_S);
		assert_true(answers_have(&got, "main"));
	} else {
		print_message("too slow: fewer than 8 a second\n");
	}
	close(ready);
	unlink(map_of(pid));
	capture_kill(pid);
	inspector_free(ins);
}

/* Another line, which is none, makes it grow. */
static void ask_of_grown_map(struct inspector *ins, FILE *map, const char *line)
{
	assert_true(fputs(line, map) >= 0);
	assert_int_equal(fflush(map), 0);
	answers_ask(ins, &got, &cap);
}

static void the_map_is_read_on_whenever_it_has_grown_but_not_all_the_time(void **state)
{
	struct inspector *ins;
	unsigned int asked = 0;
	char text[64];

	(void)state;
	ins = answers_start(&got, NULL);
	pid_t pid = spawn_made_code("aJb", NULL, NULL);
	uint64_t first = lsc_now_ns();
	answers_ask(ins, &got, &cap);
	size_t at = made_frame();
	assert_string_equal(got.last.frames[at].function, "");
	lsc_autofclose FILE *map = fopen(map_of(pid), "w");
	assert_non_null(map);
	for (; !got.last.jit_why[0]; asked++) {
		ask_of_grown_map(ins, map, "garbage\n");
		assert_true(lsc_now_ns() - first < 5 * LSC_NS_PER_S);
	}
	assert_string_equal(got.last.jit_why, "the perf map grows too often");
	assert_true(asked > 3);
	snprintf(text, sizeof(text), "%lx 40 late\n",
		 (unsigned long)got.last.frames[at].offset - 16);
	ask_of_grown_map(ins, map, text);
	while (!answers_have(&got, "late")) {
		assert_string_equal(got.last.jit_why, "the perf map grows too often");
		assert_true(lsc_now_ns() - first < 10 * LSC_NS_PER_S);
		answers_ask(ins, &got, &cap);
	}
	assert_string_equal(got.last.jit_why, "");
	assert_true(lsc_now_ns() - first >= LSC_NS_PER_S);
	unlink(map_of(pid));
	capture_kill(pid);
	inspector_free(ins);
}

/* What lies where the map should, made by a shell. */
static void refuse(const char *command, const char *why)
{
	struct inspector *ins;
	char line[512], *path;

	ins = answers_start(&got, NULL);
	pid_t pid = spawn_made_code("aJb", NULL, NULL);
	answers_ask(ins, &got, &cap);
	char text[64];
	snprintf(text, sizeof(text), "%lx 40 forged\n",
		 (unsigned long)got.last.frames[made_frame()].offset - 16);
	inspector_free(ins);
	ins = answers_start(&got, NULL);
	path = map_of(pid);
	snprintf(line, sizeof(line), "echo '%s' > %s.real; chmod 644 %s.real; m=%s; %s", text, path,
		 path, path, command);
	assert_int_equal(system(line), 0);
	answers_ask(ins, &got, &cap);
	snprintf(line, sizeof(line), "rm -rf %s %s.real", path, path);
	assert_int_equal(system(line), 0);
	capture_kill(pid);
	inspector_free(ins);
	assert_string_equal(got.last.why, "");
	assert_string_equal(got.last.jit_why, why);
	assert_int_equal(answers_have(&got, "forged"), !why[0]);
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_b"));
}

static void a_map_that_is_not_the_targets_own_plain_file_is_refused(void **state)
{
	(void)state;
	refuse("mv $m.real $m", "");
	refuse("ln -s $m.real $m", "the perf map is not a plain file");
	refuse("mkfifo $m", "the perf map is not a plain file");
	refuse("mkdir $m", "the perf map is not a plain file");
	refuse("ln $m.real $m", "the perf map is not the target's own");
	refuse("mv $m.real $m; truncate -s 1G $m", "too large");
	if (geteuid() == 0)
		refuse("mv $m.real $m; chown 4242 $m", "the perf map is not the target's own");
	else
		print_message("not root: cannot give a file away\n");
}

static pid_t child_of(pid_t pid)
{
	char line[64];
	pid_t child = 0;

	snprintf(line, sizeof(line), "/proc/%d/task/%d/children", pid, pid);
	lsc_autofclose FILE *f = fopen(line, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &child), 1);
	return child;
}

static void a_map_is_found_in_the_targets_root_by_the_number_it_has_there(void **state)
{
	char dir[] = "/tmp/perfmap-XXXXXX", line[512], script[64];
	lsc_autofree char *nest = strdup(getenv("NEST"));
	struct inspector *ins;

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot change the root\n");
		skip();
	}
	assert_true(nest && mkdtemp(dir));
	snprintf(line, sizeof(line), "cd %s && mkdir tmp && cp '%s' nest", dir, nest);
	assert_int_equal(system(line), 0);
	capture_copy_libraries(dir);
	snprintf(script, sizeof(script), "%s/script", dir);
	snprintf(line, sizeof(line),
		 "#!/bin/sh\nexec unshare --pid --fork --kill-child chroot %s /nest \"$@\"\n", dir);
	write_map(script, line);
	assert_int_equal(chmod(script, 0755), 0);
	setenv("NEST", script, 1);
	pid_t outer = capture_spawn_nest("ajb", "inside", NULL);
	setenv("NEST", nest, 1);
	pid_t pid = child_of(outer);
	capture_take(pid, SYS_pause, -2, &cap);
	ins = answers_start(&got, NULL);
	answers_ask(ins, &got, &cap);
	capture_kill(outer);
	inspector_free(ins);
	snprintf(line, sizeof(line), "test -e %s/tmp/perf-1.map && rm -r %s", dir, dir);
	assert_int_equal(system(line), 0);
	assert_true(answers_have(&got, "inside-0"));
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_b"));
}

/* A node whose file has another name is not looked into as one: the map alone names its functions.
 */
static void node_names_its_functions_in_a_map(void **state)
{
	char dir[] = "/tmp/perfmap-XXXXXX", script[64], fifo[64], engine[64], text[512];
	char outer[128], inner[128], names[2][32];
	size_t at = 0;

	(void)state;
	if (access(NODE, X_OK) < 0 || geteuid() != 0) {
		print_message("%s\n", geteuid() ? "not root: cannot be another user"
						: NODE " is not installed");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	snprintf(names[0], sizeof(names[0]), "inner%u", rand_r(&seed));
	snprintf(names[1], sizeof(names[1]), "outer%u", rand_r(&seed));
	snprintf(script, sizeof(script), "%s/app.js", dir);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	snprintf(engine, sizeof(engine), "%s/engine", dir);
	/* name, script, line and column where it begins */
	snprintf(inner, sizeof(inner), "%s %s:1:", names[0], script);
	snprintf(outer, sizeof(outer), "%s %s:2:", names[1], script);
	snprintf(text, sizeof(text), "cp --reflink=auto %s %s", NODE, engine);
	assert_int_equal(system(text), 0);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	snprintf(text, sizeof(text),
		 "function %s() { return require('fs').readFileSync('%s'); }\n"
		 "function %s() { return %s().length; }\n%s();\n",
		 names[0], fifo, names[1], names[0], names[1]);
	write_map(script, text);
	char *argv[] = {"/usr/bin/setpriv",
			"--reuid=4242",
			"--regid=4242",
			"--clear-groups",
			engine,
			"--perf-basic-prof",
			"--interpreted-frames-native-stack",
			script,
			NULL};
	struct inspector *ins;
	ins = answers_start(&got, NULL);
	pid_t pid = capture_spawn(argv);
	/* its other opens do not block */
	for (uint64_t end = lsc_now_ns() + 20 * LSC_NS_PER_S; at < 2 && lsc_now_ns() < end;) {
		capture_take(pid, SYS_openat, SYS_open, &cap);
		answers_ask(ins, &got, &cap);
		at = 0;
		for (size_t i = 0; i < got.last.nframes; i++)
			at += strstr(got.last.frames[i].function, at ? outer : inner) != NULL;
	}
	if (at < 2)
		answers_print(&got);
	capture_kill(pid);
	inspector_free(ins);
	unlink(map_of(pid));
	unlink(fifo);
	unlink(script);
	unlink(engine);
	rmdir(dir);
	assert_true(at >= 2);
	assert_string_equal(got.last.jit_why, "");
}

static int begin_all(void **state)
{
	(void)state;
	seed = (unsigned int)lsc_now_ns();
	print_message("seed %u\n", seed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_name_what_they_span),
		cmocka_unit_test(other_lines_count_for_nothing),
		cmocka_unit_test(of_several_lines_the_newest_counts),
		cmocka_unit_test(there_is_an_end_to_the_lines_that_are_kept),
		cmocka_unit_test(
			a_map_that_is_begun_anew_again_and_again_costs_as_much_as_the_last_one),
		cmocka_unit_test(maps_of_some_targets_leave_room_for_those_of_others),
		cmocka_unit_test(a_function_made_at_run_time_has_its_name_from_the_map),
		cmocka_unit_test(
			code_that_is_mapped_all_the_time_is_looked_for_so_often_and_no_more),
		cmocka_unit_test(the_map_is_read_on_whenever_it_has_grown_but_not_all_the_time),
		cmocka_unit_test(a_map_that_is_not_the_targets_own_plain_file_is_refused),
		cmocka_unit_test(a_map_is_found_in_the_targets_root_by_the_number_it_has_there),
		cmocka_unit_test(node_names_its_functions_in_a_map),
	};

	return cmocka_run_group_tests(tests, begin_all, NULL);
}
