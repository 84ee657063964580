/* SPDX-License-Identifier: MIT */
/* Programs whose files lie, are giants, or name FIFOs as the places of their debug information: the
 * target may lose its names, or cost a worker; another target loses nothing. */
#include <elf.h>
#include <ftw.h>
#include <setjmp.h>
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

#define FILE_MAX (4 << 20)

static struct capture cap, healthy;
static struct answers got;
static char dir[] = "/tmp/badfiles-XXXXXX";
static char nest[256], path[64], fifo[64];
static unsigned char real[FILE_MAX], file[FILE_MAX + 64 * 1024];
static size_t real_size;
static unsigned int seed;
static pid_t good;

static pid_t spawn_captured(const char *program, const char *letters, const char *map_file,
			    struct capture *ret)
{
	setenv("NEST", program, 1);
	pid_t pid = capture_spawn_nest(letters, map_file, NULL);
	setenv("NEST", nest, 1);
	capture_take(pid, SYS_pause, SYS_pause, ret);
	return pid;
}

static void assert_others_are_well(struct inspector *ins)
{
	answers_ask(ins, &got, &healthy);
	assert_string_equal(got.last.why, "");
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_c"));
}

static void hostile_files_harm_no_other_target(void **state)
{
	enum { ROUNDS = 40 };
	struct inspector *ins = answers_start(&got, NULL);
	uint64_t at, end;
	int parsed = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t len = real_size;
		memcpy(file, real, real_size);
		if (round % 4 == 0) { /* noise, behind the headers or the magic number */
			for (size_t i = round % 8 ? 1024 : 4; i < real_size; i++)
				file[i] = (unsigned char)rand_r(&seed);
		} else if (round % 4 == 1) { /* cut */
			len = 64 + (size_t)rand_r(&seed) % (real_size - 64);
		} else { /* some bytes turned: anywhere, or in the headers */
			size_t range = round % 4 == 2 ? real_size : 1024;
			for (int i = 0; i < 64; i++)
				file[16 + (size_t)rand_r(&seed) % (range - 16)] =
					(unsigned char)rand_r(&seed);
		}
		capture_store(path, file, len);
		pid_t bad = spawn_captured(nest, "ma", path, &cap);
		/* it seems to run there */
		capture_find_map(bad, path, &at, &end);
		cap.regs[16] = at + (size_t)rand_r(&seed) % (end - at);
		answers_ask(ins, &got, &cap);
		capture_kill(bad);
		parsed += got.last.nframes && got.last.frames[0].build_id[0];
		assert_others_are_well(ins);
	}
	assert_true(parsed > 0); /* some were good enough to be looked into */
	unlink(path);
	inspector_free(ins);
}

static void a_file_replaced_by_a_fifo_hangs_nobody(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);

	(void)state;
	capture_store(path, real, real_size);
	pid_t pid = spawn_captured(path, "ab", NULL, &cap);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);

	answers_ask(ins, &got, &cap);
	assert_true(got.last.nframes > 1);
	assert_string_equal(got.last.frames[1].module, path);
	if (geteuid() == 0)
		assert_true(answers_have(&got, "nest_b")); /* through map_files */
	else
		print_message("not root: the deleted file itself is out of reach\n");
	capture_kill(pid);
	unlink(path);
	inspector_free(ins);
}

/* A table of symbols of so many bytes, in a hole at the file's end. */
static void grow_symtab(uint64_t size)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)file;
	int grown = 0;

	memcpy(file, real, real_size);
	assert_true(e->e_shoff + e->e_shnum * sizeof(Elf64_Shdr) <= real_size);
	Elf64_Shdr *sh = (Elf64_Shdr *)(file + e->e_shoff);
	for (int i = 0; i < e->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		sh[i].sh_offset = (real_size + 4095) / 4096 * 4096;
		sh[i].sh_size = size / sizeof(Elf64_Sym) * sizeof(Elf64_Sym);
		grown++;
	}
	assert_int_equal(grown, 1);
	capture_store(path, file, real_size);
	assert_int_equal(truncate(path, (off_t)(real_size + 4096 + size)), 0);
}

static void a_giant_table_of_symbols_costs_a_worker_at_most(void **state)
{
	static const uint64_t sizes[] = {100ull << 20, 700ull << 20, 1500ull << 20, 3900ull << 20,
					 5000ull << 20};
	struct inspector *ins = answers_start(&got, NULL);

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(sizes); i++) {
		grow_symtab(sizes[i]);
		pid_t pid = spawn_captured(path, "ab", NULL, &cap);
		uint64_t t = lsc_now_ns();
		answers_ask(ins, &got, &cap);
		print_message("%llu MiB of symbols: %zu frames, '%s', %.0f ms\n",
			      (unsigned long long)sizes[i] >> 20, got.last.nframes, got.last.why,
			      (double)(lsc_now_ns() - t) / (double)LSC_NS_PER_MS);
		assert_true(got.last.nframes > 2 || got.last.why[0]);
		capture_kill(pid);
		assert_others_are_well(ins);
		unlink(path);
	}
	inspector_free(ins);
}

/* Replaces each text of the file that ends so by another one, which is no longer. */
static int rename_texts(size_t size, const char *ending, const char *name)
{
	int n = 0;

	for (unsigned char *at = file;
	     (at = memmem(at, size - (size_t)(at - file), ending, strlen(ending) + 1));) {
		unsigned char *start = at;
		while (start > file && start[-1])
			start--;
		at += strlen(ending);
		assert_true(strlen(name) <= (size_t)(at - start));
		memset(start, 0, (size_t)(at - start));
		memcpy(start, name, strlen(name));
		n++;
	}
	return n;
}

/* The rest of the debug information (-gsplit-dwarf) is said to be in a FIFO. */
static void split_dwarf_in_a_fifo_hangs_nobody(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	int broker, worker, worker_then;

	(void)state;
	size_t size = capture_load(getenv("NEST_SPLIT"), file, FILE_MAX);
	assert_true(rename_texts(size, ".dwo", fifo) > 0);
	capture_store(path, file, size);
	pid_t pid = spawn_captured(path, "ab", NULL, &cap);
	inspector_children(ins, &broker, &worker);
	answers_ask(ins, &got, &cap);
	inspector_children(ins, &broker, &worker_then);
	assert_string_equal(got.last.why, "");
	assert_int_equal(worker_then, worker);
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_b"));
	capture_kill(pid);
	assert_others_are_well(ins);
	unlink(path);
	inspector_free(ins);
}

/* So are the common parts that dwz has taken out. */
static void a_common_part_in_a_fifo_hangs_nobody(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	int broker, worker, worker_then;
	char line[512], link[96];

	(void)state;
	snprintf(link, sizeof(link), "%s/link", dir);
	size_t n = strlen(fifo) + 1;
	memcpy(file, fifo, n);
	memset(file + n, 0xa5, 20); /* its build id */
	capture_store(link, file, n + 20);
	snprintf(line, sizeof(line), "objcopy --add-section .gnu_debugaltlink=%s '%s' %s", link,
		 nest, path);
	assert_int_equal(system(line), 0);
	pid_t pid = spawn_captured(path, "aib", NULL, &cap);
	inspector_children(ins, &broker, &worker);
	answers_ask(ins, &got, &cap);
	inspector_children(ins, &broker, &worker_then);
	assert_string_equal(got.last.why, "");
	assert_int_equal(worker_then, worker);
	assert_true(answers_have(&got, "nest_a") && answers_have(&got, "nest_inlined"));
	capture_kill(pid);
	assert_others_are_well(ins);
	unlink(path);
	unlink(link);
	inspector_free(ins);
}

static void a_file_without_sections_is_unwound(void **state)
{
	struct inspector *ins = answers_start(&got, NULL);
	size_t frames = 0;

	(void)state;
	for (int stripped = 0; stripped < 2; stripped++) {
		memcpy(file, real, real_size);
		Elf64_Ehdr *e = (Elf64_Ehdr *)file;
		if (stripped)
			e->e_shoff = e->e_shnum = e->e_shstrndx = 0;
		capture_store(path, file, real_size);
		pid_t pid = spawn_captured(path, "abcab", NULL, &cap);
		answers_ask(ins, &got, &cap);
		assert_string_equal(got.last.why, "");
		for (size_t i = 0; i < got.last.nframes;
		     i++) /* what is inlined is known by DWARF */
			frames += got.last.frames[i].inlined ? 0 : stripped ? -1 : 1;
		assert_int_equal(answers_have(&got, "descend"), !stripped);
		capture_kill(pid);
		unlink(path);
	}
	assert_int_equal(frames, 0); /* the same number */
	inspector_free(ins);
}

static int set_up(void **state)
{
	(void)state;
	seed = (unsigned int)lsc_now_ns();
	print_message("seed %u\n", seed);
	snprintf(nest, sizeof(nest), "%s", getenv("NEST"));
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/program", dir);
	snprintf(fifo, sizeof(fifo), "%s/f", dir);
	real_size = capture_load(nest, real, FILE_MAX);
	good = spawn_captured(nest, "abc", NULL, &healthy);
	return real_size > 4096 && real_size < FILE_MAX ? mkfifo(fifo, 0666) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	capture_kill(good);
	unlink(fifo);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_files_harm_no_other_target),
		cmocka_unit_test(a_file_without_sections_is_unwound),
		cmocka_unit_test(a_file_replaced_by_a_fifo_hangs_nobody),
		cmocka_unit_test(a_giant_table_of_symbols_costs_a_worker_at_most),
		cmocka_unit_test(split_dwarf_in_a_fifo_hangs_nobody),
		cmocka_unit_test(a_common_part_in_a_fifo_hangs_nobody),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
