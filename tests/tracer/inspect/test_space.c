/* SPDX-License-Identifier: MIT */
/* The files of one target, as its mappings have them. */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "inspect/space.h"

#define START 0x7f0000000000ull
#define PAGE  4096ull

static const char path[] = "/the/same";

/* Where the code of a file lies in it. */
static uint64_t find_code(Elf *elf)
{
	GElf_Phdr ph;
	size_t n;

	assert_int_equal(elf_getphdrnum(elf, &n), 0);
	for (int i = 0; i < (int)n; i++)
		if (gelf_getphdr(elf, i, &ph) && ph.p_type == PT_LOAD && ph.p_flags & PF_X)
			return ph.p_offset & ~(PAGE - 1);
	fail_msg("this program has no code");
	return 0;
}

/* A page of a file with this inode, from its code on, mapped where that lies in it. */
static void map(struct space *s, uint64_t inode, uint64_t code, uint64_t page)
{
	const struct message_map m = {.kind = MESSAGE_MAP,
				      .flags = MESSAGE_MAP_FILE,
				      .start = START + page * PAGE,
				      .end = START + (page + 1) * PAGE,
				      .offset = code + page * PAGE,
				      .dev = 1,
				      .inode = inode};

	assert_int_equal(space_add(s, &m, path, strlen(path)), 0);
}

/* Gives it an index: the whole of this program, without symbols. */
static void give_index(struct space *s, uint64_t inode)
{
	struct stat st;
	lsc_autoclose int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(self >= 0 && fstat(self, &st) == 0);
	uint64_t size = (uint64_t)st.st_size;
	const struct message_index m = {.kind = MESSAGE_INDEX,
					.dev = 1,
					.inode = inode,
					.text_size = 1,
					.head = {.elf_size = size, .rows = size, .names = size}};
	int fd = memfd_create("index", MFD_CLOEXEC);
	assert_true(fd >= 0);
	for (uint64_t left = size; left > 0;) {
		char bytes[65536];
		ssize_t n = read(self, bytes, sizeof(bytes));
		assert_true(n > 0 && write(fd, bytes, (size_t)n) == n);
		left -= (uint64_t)n;
	}
	space_take_index(s, &m, &m, fd);
}

/* A file takes another's name, and is mapped behind it: for libdwfl both begin and end at the same
 * places. */
static void two_files_that_seem_to_be_one_are_two(void **state)
{
	const struct message_open target = {.kind = MESSAGE_TARGET, .pid = getpid()};
	struct space *s = space_new(-1, -1, &target);
	lsc_autoclose int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	GElf_Addr bias;

	(void)state;
	assert_non_null(s);
	elf_version(EV_CURRENT);
	Elf *elf = elf_begin(self, ELF_C_READ, NULL);
	assert_non_null(elf);
	uint64_t code = find_code(elf);
	map(s, 1, code, 0);
	map(s, 2, code, 1);
	assert_int_equal(space_seal(s, elf), 0);
	give_index(s, 1);
	give_index(s, 2);
	assert_int_equal(s->nfiles, 2);
	assert_non_null(s->files[1].module);
	assert_ptr_not_equal(s->files[0].module, s->files[1].module);
	assert_non_null(dwfl_module_getelf(s->files[0].module, &bias));
	assert_non_null(dwfl_module_getelf(s->files[1].module, &bias));
	space_free(s);
	elf_end(elf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_files_that_seem_to_be_one_are_two),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
