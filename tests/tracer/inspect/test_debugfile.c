/* SPDX-License-Identifier: MIT */
/* A stripped program and its separate debug file, in each of the usual places and in none. */
#include <ftw.h>
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

static void read_build_id(void)
{
	char line[256];

	snprintf(line, sizeof(line), "readelf -n '%s' | sed -n 's/.*Build ID: //p'", made.program);
	FILE *f = popen(line, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%40s", made.build_id), 1);
	pclose(f);
	assert_int_equal(strlen(made.build_id), BUILD_ID_HEX);
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
	read_build_id();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int remove_all(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
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
		unwind(ins, script, path);
		expect_nothing_named();
		inspector_free(ins);
	}
}

static void a_debug_file_of_another_build_is_refused_and_that_is_said_once(void **state)
{
	unsigned char id[BUILD_ID_HEX / 2], *bytes = calloc(1, 4 << 20), *at;
	struct inspector *ins;
	char path[256];

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < sizeof(id); i++)
		assert_int_equal(sscanf(made.build_id + 2 * i, "%2hhx", &id[i]), 1);
	FILE *f = fopen(made.debug, "rb");
	assert_non_null(f);
	size_t n = fread(bytes, 1, 4 << 20, f);
	fclose(f);
	assert_true(n > 0 && n < 4 << 20);
	at = memmem(bytes, n, id, sizeof(id));
	assert_non_null(at);
	at[(size_t)rand_r(&seed) % sizeof(id)] ^= 1u << rand_r(&seed) % 8;
	snprintf(path, sizeof(path), "%s/%s", dir, made.link);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	free(bytes);

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

static void after_a_strike_debug_files_are_left_alone(void **state)
{
	struct inspector *ins;
	int broker, worker;

	(void)state;
	ins = answers_start(&got, NULL);
	run("cp %s %s/", made.debug, dir);
	setenv("NEST", made.program, 1);
	pid_t pid = capture_spawn_nest("aib", NULL, NULL);
	setenv("NEST", nest, 1);
	capture_take(pid, SYS_pause, -2, &cap);
	answers_ask(ins, &got, &cap);
	expect_all_named("aib");
	inspector_children(ins, &broker, &worker);
	assert_int_equal(kill(worker, SIGSTOP), 0);
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "deadline");
	answers_ask(ins, &got, &cap);
	assert_string_equal(got.last.why, "");
	expect_nothing_named();
	capture_kill(pid);
	run("rm %s/%s", dir, made.link);
	inspector_free(ins);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stripped_program_without_a_debug_file_has_no_names),
		cmocka_unit_test(a_debug_file_is_found_by_its_link),
		cmocka_unit_test(a_debug_file_is_found_below_the_targets_own_root),
		cmocka_unit_test(a_debug_file_of_another_build_is_refused_and_that_is_said_once),
		cmocka_unit_test(what_is_no_debug_file_harms_nobody),
		cmocka_unit_test(names_in_a_packed_symbol_table_are_read),
		cmocka_unit_test(after_a_strike_debug_files_are_left_alone),
	};

	return cmocka_run_group_tests(tests, make_program, remove_all);
}
