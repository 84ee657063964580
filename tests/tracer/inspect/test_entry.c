/* SPDX-License-Identifier: MIT */
/* Where functions begin, by the table of this very program; and tables that lie. */
#include <elf.h>
#include <fcntl.h>
#include <libelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "inspect/entry.h"

extern const char __ehdr_start;

static struct entry_table table;

static __attribute__((noinline)) int first_function(int x)
{
	return x * 3 + (int)(uintptr_t)&table % 7;
}

static __attribute__((noinline)) int second_function(int x)
{
	return first_function(x) - first_function(x + 1);
}

static uint64_t in_file(const void *function)
{
	return (uint64_t)((const char *)function - &__ehdr_start);
}

static void a_function_begins_where_its_rules_do(void **state)
{
	(void)state;
	void *const functions[] = {(void *)first_function, (void *)second_function, (void *)in_file,
				   (void *)a_function_begins_where_its_rules_do};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		uint64_t begin = in_file(functions[i]);
		assert_int_equal(entry_find(&table, begin, 0), begin);
		assert_int_equal(entry_find(&table, begin + 3, 0), begin);
	}
	assert_true(second_function(1) < 0);
}

static void before_the_first_function_there_is_none(void **state)
{
	(void)state;
	assert_int_equal(entry_find(&table, 0, 0), 0);
	assert_int_equal(entry_find(&(struct entry_table){0}, 4096, 0), 0);
}

/* Found by fuzzing: a file that claims to be mapped further up than it is. */
static void with_a_bias_above_the_address_there_is_none(void **state)
{
	(void)state;
	uint64_t begin = in_file((void *)first_function), up = 0x7f0000000000;

	assert_int_equal(entry_find(&table, begin + up + 3, up), begin + up);
	assert_int_equal(entry_find(&table, begin, begin + 8), 0);
}

/* Words that are in no order and lie about where they are: any answer, no crash, none above. */
static void an_unordered_table_answers_nothing_above_the_address(void **state)
{
	unsigned char pairs[8 * 64];
	struct entry_table t = {.pairs = pairs, .count = 64, .address = 0x1000};

	(void)state;
	srand(1);
	for (int round = 0; round < 1000; round++) {
		for (size_t i = 0; i < sizeof(pairs); i++)
			pairs[i] = (unsigned char)rand();
		uint64_t address = (uint64_t)rand() << (rand() % 33);
		assert_true(entry_find(&t, address, 0) <= address);
	}
}

/* The section as an Elf in memory would have it, with one byte or word changed. */
static void a_section_of_another_shape_has_no_table(void **state)
{
	static const struct {
		size_t at, size;
		unsigned char byte;
	} cases[] = {{0, 28, 2},    {1, 28, 0x1c}, {2, 28, 0x04}, {3, 28, 0x1b},
		     {11, 28, 127}, {8, 28, 3},	   {0, 11, 1},	  {0, 0, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char bytes[28] = {1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0, 2};
		struct entry_table t;

		entry_table_parse(bytes, sizeof(bytes), 0x1000, &t);
		assert_int_equal(t.count, 2);
		bytes[cases[i].at] = cases[i].byte;
		entry_table_parse(bytes, cases[i].size, 0x1000, &t);
		assert_null(t.pairs);
		assert_int_equal(t.count, 0);
	}
}

static int open_table(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf *elf;
	Elf_Scn *scn = NULL;
	size_t names;
	GElf_Shdr sh;

	(void)state;
	if (fd < 0 || elf_version(EV_CURRENT) == EV_NONE)
		return -1;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		return -1;
	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &sh)) {
		const char *name = elf_strptr(elf, names, sh.sh_name);
		if (name && !strcmp(name, ".eh_frame_hdr"))
			entry_table_read(scn, &sh, &table);
	}
	*state = elf;
	return table.count ? close(fd) : -1;
}

static int close_table(void **state)
{
	elf_end(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_begins_where_its_rules_do),
		cmocka_unit_test(before_the_first_function_there_is_none),
		cmocka_unit_test(with_a_bias_above_the_address_there_is_none),
		cmocka_unit_test(an_unordered_table_answers_nothing_above_the_address),
		cmocka_unit_test(a_section_of_another_shape_has_no_table),
	};

	return cmocka_run_group_tests(tests, open_table, close_table);
}
