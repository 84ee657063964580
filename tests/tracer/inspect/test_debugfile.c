/* SPDX-License-Identifier: MIT */
/* A stripped program and its separate debug file, in each of the usual places and in none. */
#include <errno.h>
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
#include "inspect/sidefile.h"

#define BUILD_ID_HEX 40 /* of sha1 */

static struct capture cap;
static struct answers got;
static char dir[] = "/tmp/debugfile-XXXXXX";
static char nest[256];
static unsigned int seed;

/* The stripped program and what was taken from it, both with names that no other test has. */
static struct {
	char name[32], program[128], debug[128], link[64];
	char build_id[BUILD_ID_HEX + 1];
} made;

static __attribute__((format(printf, 1, 2))) void run(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_in_range(n, 1, sizeof(line) - 1);
	if (system(line) != 0)
		fail_msg("%s", line);
}

static void read_build_id(const char *path, char ret[BUILD_ID_HEX + 1])
{
	char line[256];

	snprintf(line, sizeof(line), "readelf -n '%s' | sed -n 's/.*Build ID: //p'", path);
	FILE *f = popen(line, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%40s", ret), 1);
	pclose(f);
	assert_int_equal(strlen(ret), BUILD_ID_HEX);
}

static int make_program(void **state)
{
	(void)state;
	seed = (unsigned int)lsc_now_ns();
	print_message("seed %u\n", seed);
	snprintf(nest, sizeof(nest), "%s", getenv("NEST"));
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		return -1;
	snprintf(made.name, sizeof(made.name), "program%u", rand_r(&seed));
	snprintf(made.link, sizeof(made.link), "%u.debug", rand_r(&seed));
	snprintf(made.program, sizeof(made.program), "%s/%s", dir, made.name);
	snprintf(made.debug, sizeof(made.debug), "%s/kept/%s", dir, made.link);
	run("mkdir %s/kept && cp '%s' %s", dir, nest, made.program);
	run("objcopy --only-keep-debug %s %s", made.program, made.debug);
	run("objcopy --strip-all --add-gnu-debuglink=%s %s", made.debug, made.program);
	read_build_id(made.program, made.build_id);
	return 0;
}

static int remove_all(void **state)
{
	(void)state;
	return folder_remove(dir);
}

/* Unwinds `program path` in its pause. */
static void unwind(struct inspector *ins, const char *program, const char *path)
{
	setenv("NEST", program, 1);
	pid_t pid = capture_spawn_nest(path, NULL, NULL);
	setenv("NEST", nest, 1);
	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	capture_kill(pid);
}

static void expect_nothing_named(void)
{
	for (size_t i = 0; i < got.last.nframes; i++) {
		const struct answer_frame_copy *f = &got.last.frames[i];
		if (!strstr(f->module, made.name))
			continue;
		assert_string_equal(f->function, "");
		assert_int_equal(f->line, 0);
		assert_string_equal(f->build_id, made.build_id);
	}
	assert_true(got.last.nframes > 2);
}

/* The nested functions of path in order, each with its line, and what was inlined between them. */
static void expect_all_named(const char *path)
{
	size_t at = 0, inlined = 0;

	for (size_t i = strlen(path); i-- > 0;) {
		char name[16];
		snprintf(name, sizeof(name), path[i] == 'i' ? "nest_inlined" : "nest_%c", path[i]);
		while (at < got.last.nframes && strncmp(got.last.frames[at].function, "nest_", 5))
			at++;
		assert_true(at < got.last.nframes);
		const struct answer_frame_copy *f = &got.last.frames[at++];
		assert_string_equal(f->function, name);
		assert_int_equal(f->inlined, path[i] == 'i');
		assert_false(f->exported);
		assert_non_null(strstr(f->file, "nest.c"));
		assert_true(f->line > 0);
		assert_string_equal(f->build_id, made.build_id);
		inlined += f->inlined;
	}
	assert_true(inlined > 0);
	assert_true(answers_have(&got, "descend")); /* it is static */
	assert_string_equal(got.last.debug_why, "");
}

static void make_path(char *path, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		path[i] = "abci"[(unsigned int)rand_r(&seed) % 4];
	path[(size_t)rand_r(&seed) % depth] = 'i';
	path[depth] = '\0';
}

static void a_stripped_program_without_a_debug_file_has_no_names(void **state)
{
	struct inspector *ins;

	(void)state;
	ins = answers_start(&got, NULL);
	unwind(ins, made.program, "aib");
	expect_nothing_named();
	assert_string_equal(got.last.debug_why, "");
	inspector_free(ins);
}

static void a_debug_file_is_found_by_its_link(void **state)
{
	static const char *const places[] = {".", ".debug"};

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(places); i++) {
		struct inspector *ins;
		char path[9];
		ins = answers_start(&got, NULL);
		run("mkdir -p %s/%s && cp %s %s/%s/", dir, places[i], made.debug, dir, places[i]);
		make_path(path, 3 + (unsigned int)rand_r(&seed) % 5);
		unwind(ins, made.program, path);
		expect_all_named(path);
		run("rm %s/%s/%s", dir, places[i], made.link);
		inspector_free(ins);
	}
}

/* A root of its own, with the program and the libraries that it needs. Gives a script that runs it
 * there. */
static void make_root(char *script, size_t size)
{
	run("mkdir -p %s/root%s/.debug && cp %s %s/root%s/", dir, dir, made.program, dir, dir);
	char root[64];
	snprintf(root, sizeof(root), "%s/root", dir);
	capture_copy_libraries(root);
	snprintf(script, size, "%s/script", dir);
	FILE *f = fopen(script, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\nexec chroot %s/root %s \"$@\"\n", dir, made.program);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(script, 0755), 0);
}

static void a_debug_file_is_found_below_the_targets_own_root(void **state)
{
	char script[128], by_id[128], by_link[256];
	struct inspector *ins;

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot change the root\n");
		skip();
	}
	make_root(script, sizeof(script));
	snprintf(by_id, sizeof(by_id), "/usr/lib/debug/.build-id/%.2s/%s.debug", made.build_id,
		 made.build_id + 2);
	snprintf(by_link, sizeof(by_link), "/usr/lib/debug%s/%s", dir, made.link);
	for (int i = 0; i < 3; i++) {
		const char *place = i < 2 ? by_id : by_link;
		char path[9];
		ins = answers_start(&got, NULL);
		run("mkdir -p %s/root%.*s", dir, (int)(strrchr(place, '/') - place), place);
		if (i == 1) /* an absolute link leads to what the target would see */
			run("cp %s %s/root/elsewhere && ln -s /elsewhere %s/root%s", made.debug,
			    dir, dir, place);
		else
			run("cp %s %s/root%s", made.debug, dir, place);
		make_path(path, 3 + (unsigned int)rand_r(&seed) % 5);
		unwind(ins, script, path);
		expect_all_named(path);
		run("rm %s/root%s", dir, place);
		inspector_free(ins);
		ins = answers_start(&got, NULL);
		unwind(ins, script, path);
		expect_nothing_named();
		inspector_free(ins);
	}
}

/* Turns a bit of a file's build id. */
static void change_build_id(const char *path, const char *build_id)
{
	unsigned char id[BUILD_ID_HEX / 2], *bytes = calloc(1, 4 << 20), *at;

	assert_non_null(bytes);
	for (size_t i = 0; i < sizeof(id); i++)
		assert_int_equal(sscanf(build_id + 2 * i, "%2hhx", &id[i]), 1);
	size_t n = capture_load(path, bytes, 4 << 20);
	assert_true(n > 0 && n < 4 << 20);
	at = memmem(bytes, n, id, sizeof(id));
	assert_non_null(at);
	at[(size_t)rand_r(&seed) % sizeof(id)] ^= 1u << rand_r(&seed) % 8;
	capture_store(path, bytes, n);
	free(bytes);
}

static void a_debug_file_of_another_build_is_refused_and_that_is_said_once(void **state)
{
	struct inspector *ins;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/%s", dir, made.link);
	run("cp %s %s", made.debug, path);
	change_build_id(path, made.build_id);
	ins = answers_start(&got, NULL);
	unwind(ins, made.program, "aib");
	expect_nothing_named();
	assert_string_equal(got.last.debug_why, "its debug file is of another build");
	answers_ask(ins, &got, &cap); /* the process is gone, what is known of it is not */
	expect_nothing_named();
	assert_string_equal(got.last.debug_why, "");
	unlink(path);
	inspector_free(ins);
}

static void what_is_no_debug_file_harms_nobody(void **state)
{
	static const char *const commands[] = {
		"mkfifo %s/%s",		 "mkdir %s/%s",
		"ln -s /dev/zero %s/%s", "head -c 100000 /dev/urandom > %s/%s",
		"truncate -s 1G %s/%s",
	};
	struct inspector *ins;

	(void)state;
	ins = answers_start(&got, NULL);
	for (size_t i = 0; i < LSC_ARRAY_LEN(commands); i++) {
		char line[256];
		snprintf(line, sizeof(line), commands[i], dir, made.link);
		run("%s", line);
		unwind(ins, made.program, "aib");
		assert_string_equal(got.last.why, "");
		expect_nothing_named();
		run("rm -r %s/%s", dir, made.link);
	}
	inspector_free(ins);
}

/* An indexer was lost over the file: it may have been the debug file's fault. */
static void after_a_strike_the_debug_file_is_left_alone(void **state)
{
	const struct inspector_options options = {.index_deadline_ns = 300 * LSC_NS_PER_MS,
						  .unwind_deadline_ns = 2 * LSC_NS_PER_S};
	int pids[2], then[2];
	struct inspector *ins;

	(void)state;
	ins = answers_start(&got, &options);
	run("cp %s %s/", made.debug, dir);
	setenv("NEST", made.program, 1);
	pid_t pid = capture_spawn_nest("aib", NULL, NULL);
	setenv("NEST", nest, 1);
	capture_take(pid, SYS_pause, -2, &cap);
	capture_find_map(pid, made.program, &cap.regs[16], &(uint64_t){0});
	assert_int_equal(inspector_indexers(ins, pids, 2), 2);
	assert_int_equal(kill(pids[1], SIGSTOP), 0);
	uint64_t t = lsc_now_ns();
	answers_ask(ins, &got, &cap);
	t = lsc_now_ns() - t;
	assert_true(t >= options.index_deadline_ns);
	assert_int_equal(inspector_indexers(ins, then, 2), 2);
	assert_int_not_equal(then[0], pids[0]);
	assert_int_not_equal(then[1], pids[1]);
	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "");
	expect_nothing_named();
	capture_kill(pid);
	run("rm %s/%s", dir, made.link);
	inspector_free(ins);
}

/* Puts the debug file beside the program, with what it has in common with another one in a file of
 * its own, as dwz makes them for a package. */
static bool share_by_dwz(void)
{
	if (system("command -v dwz >/dev/null") != 0) {
		print_message("dwz is not installed\n");
		return false;
	}
	run("cd %s && mkdir -p .dwz && cp %s %s && cp %s kept/other.debug", dir, made.debug,
	    made.link, made.debug);
	run("cd %s && dwz -m .dwz/common -M .dwz/common %s kept/other.debug", dir, made.link);
	run("cd %s && readelf -S %s | grep -q gnu_debugaltlink", dir, made.link);
	run("cd %s && ! grep -q nest_inlined %s && grep -q nest_inlined .dwz/common", dir,
	    made.link);
	return true;
}

static void remove_shared(void)
{
	run("cd %s && rm -r .dwz kept/other.debug %s", dir, made.link);
}

static void names_in_the_file_that_dwz_made_are_read(void **state)
{
	struct inspector *ins;
	char path[9];

	(void)state;
	if (!share_by_dwz())
		skip();
	ins = answers_start(&got, NULL);
	make_path(path, 3 + (unsigned int)rand_r(&seed) % 5);
	unwind(ins, made.program, path);
	expect_all_named(path);
	remove_shared();
	inspector_free(ins);
}

/* What lies where that file should be is none, or is not there: names of inlined functions lack. */
static void what_is_not_the_file_that_dwz_made_harms_nobody(void **state)
{
	static const char *const commands[] = {
		"true %s",
		"mkfifo %s",
		"ln -s /dev/zero %s",
		"head -c 100000 /dev/urandom > %s",
		"dd if=away of=%s bs=1 count=2000 2>/dev/null",
		"truncate -s 1G %s",
	};

	(void)state;
	if (!share_by_dwz())
		skip();
	run("cd %s && mv .dwz/common away", dir);
	for (size_t i = 0; i < LSC_ARRAY_LEN(commands); i++) {
		struct inspector *ins = answers_start(&got, NULL);
		char line[128];
		snprintf(line, sizeof(line), commands[i], ".dwz/common");
		run("cd %s && %s", dir, line);
		unwind(ins, made.program, "aib");
		assert_string_equal(got.last.why, "");
		assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_b"));
		assert_false(answers_have(&got, "nest_inlined"));
		assert_string_not_equal(got.last.debug_why, "");
		run("cd %s && rm -f .dwz/common", dir);
		inspector_free(ins);
	}
	run("rm %s/away", dir);
	remove_shared();
}

static void a_file_that_dwz_made_for_another_build_is_refused(void **state)
{
	char path[256], build_id[BUILD_ID_HEX + 1];
	struct inspector *ins;

	(void)state;
	if (!share_by_dwz())
		skip();
	snprintf(path, sizeof(path), "%s/.dwz/common", dir);
	read_build_id(path, build_id);
	change_build_id(path, build_id);
	ins = answers_start(&got, NULL);
	unwind(ins, made.program, "aib");
	assert_string_equal(got.last.why, "");
	assert_true(answers_have(&got, "nest_a") && !answers_have(&got, "nest_inlined"));
	assert_string_equal(got.last.debug_why, "its debug file is of another build");
	remove_shared();
	inspector_free(ins);
}

/* What a server of debug files has for a build id. */
static void serve(const char *from, const char *build_id)
{
	run("cd %s && mkdir -p cache/server/buildid/%s && cp %s cache/server/buildid/%s/debuginfo",
	    dir, build_id, from, build_id);
}

/* An inspector that asks that server. NULL: libdebuginfod is not installed. */
static struct inspector *start_with_server(void)
{
	const struct inspector_options options = {.unwind_deadline_ns = 2 * LSC_NS_PER_S,
						  .debuginfod = true};
	char path[256];

	snprintf(path, sizeof(path), "file://%s/cache/server", dir);
	setenv("DEBUGINFOD_URLS", path, 1);
	snprintf(path, sizeof(path), "%s/cache", dir);
	setenv("DEBUGINFOD_CACHE_PATH", path, 1);
	if (geteuid() == 0)
		run("chown nobody %s/cache", dir);
	return inspector_debuginfod() < 0 ? NULL : answers_start(&got, &options);
}

static void end_with_server(struct inspector *ins)
{
	if (!ins)
		print_message("libdebuginfod is not installed\n");
	inspector_free(ins);
	unsetenv("DEBUGINFOD_URLS");
	unsetenv("DEBUGINFOD_CACHE_PATH");
	run("rm -r %s/cache", dir);
}

/* Unwinds the same stack of one process, first without names, until a text is what it should be. */
static void unwind_until(struct inspector *ins, const char *text, const char *expected)
{
	uint64_t end_ns = lsc_now_ns() + 20 * LSC_NS_PER_S;

	setenv("NEST", made.program, 1);
	pid_t pid = capture_spawn_nest("aib", NULL, NULL);
	setenv("NEST", nest, 1);
	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	expect_nothing_named();
	while (strcmp(text, expected) != 0 && !answers_have(&got, expected)) {
		struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
		assert_true(lsc_now_ns() < end_ns);
		poll(&p, 1, 100);
		answers_ask(ins, &got, &cap);
	}
	capture_kill(pid);
}

static void debug_files_that_come_later_are_read_with_what_dwz_made_of_them(void **state)
{
	char path[256], build_id[BUILD_ID_HEX + 1];

	(void)state;
	if (!share_by_dwz())
		skip();
	snprintf(path, sizeof(path), "%s/.dwz/common", dir);
	read_build_id(path, build_id);
	serve(".dwz/common", build_id);
	serve(made.link, made.build_id);
	run("rm -r %s/.dwz %s/kept/other.debug %s/%s", dir, dir, dir, made.link);
	struct inspector *ins = start_with_server();
	if (ins) {
		unwind_until(ins, "", "nest_inlined");
		expect_all_named("aib");
	}
	end_with_server(ins);
	if (!ins)
		skip();
}

static void what_a_server_has_of_another_build_is_refused_and_that_is_said(void **state)
{
	(void)state;
	run("cp %s %s/other", made.debug, dir);
	char path[256];
	snprintf(path, sizeof(path), "%s/other", dir);
	change_build_id(path, made.build_id);
	serve("other", made.build_id);
	run("rm %s", path);
	struct inspector *ins = start_with_server();
	if (ins) {
		unwind_until(ins, got.last.debug_why, "its debug file is of another build");
		expect_nothing_named();
		assert_string_equal(got.last.why, "");
	}
	end_with_server(ins);
	if (!ins)
		skip();
}

/* As Fedora ships its programs: a packed symbol table within the program itself. */
static void names_in_a_packed_symbol_table_are_read(void **state)
{
	struct inspector *ins;
	char program[160];

	(void)state;
	if (system("command -v xz >/dev/null") != 0) {
		print_message("xz is not installed\n");
		skip();
	}
	run("cd %s && nm '%s' --format=posix --defined-only | sed -n 's/ [Tt] .*//p' > keep", dir,
	    nest);
	run("cd %s && objcopy -S --keep-symbols=keep %s mini && xz mini", dir, made.debug);
	snprintf(program, sizeof(program), "%s-mini", made.program);
	run("cd %s && objcopy --add-section .gnu_debugdata=mini.xz %s %s", dir, made.program,
	    program);
	ins = answers_start(&got, NULL);
	unwind(ins, program, "aib");
	assert_string_equal(got.last.why, "");
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_b"));
	assert_true(answers_have(&got, "descend") && !answers_have(&got, "nest_inlined"));
	inspector_free(ins);
}

/* What a worker gets that asks for the debug file of this name. */
static int open_linked(const char *name)
{
	const struct message_sidefile m = {.place = MESSAGE_PLACE_LINK, .pid = getpid()};
	char text[512];
	int n = snprintf(text, sizeof(text), "%s/program", dir) + 1;

	n += snprintf(text + n, sizeof(text) - (size_t)n, "%s", name);
	return sidefile_open(&m, text, (size_t)n);
}

/* The broker may read what the user that runs the program may not. */
static void a_link_to_what_is_no_elf_file_is_not_followed(void **state)
{
	(void)state;
	run("cd %s && printf secret >secret && : >empty", dir);
	run("cd %s && ln -s secret s.debug && ln -s empty e.debug && ln -s %s p.debug", dir,
	    made.program);
	assert_int_equal(open_linked("s.debug"), -ENOEXEC);
	assert_int_equal(open_linked("e.debug"), -ENOEXEC);
	lsc_autoclose int fd = open_linked("p.debug");
	assert_true(fd >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_to_what_is_no_elf_file_is_not_followed),
		cmocka_unit_test(a_stripped_program_without_a_debug_file_has_no_names),
		cmocka_unit_test(a_debug_file_is_found_by_its_link),
		cmocka_unit_test(a_debug_file_is_found_below_the_targets_own_root),
		cmocka_unit_test(a_debug_file_of_another_build_is_refused_and_that_is_said_once),
		cmocka_unit_test(what_is_no_debug_file_harms_nobody),
		cmocka_unit_test(names_in_the_file_that_dwz_made_are_read),
		cmocka_unit_test(what_is_not_the_file_that_dwz_made_harms_nobody),
		cmocka_unit_test(a_file_that_dwz_made_for_another_build_is_refused),
		cmocka_unit_test(debug_files_that_come_later_are_read_with_what_dwz_made_of_them),
		cmocka_unit_test(what_a_server_has_of_another_build_is_refused_and_that_is_said),
		cmocka_unit_test(names_in_a_packed_symbol_table_are_read),
		cmocka_unit_test(after_a_strike_the_debug_file_is_left_alone),
	};

	return cmocka_run_group_tests(tests, make_program, remove_all);
}
