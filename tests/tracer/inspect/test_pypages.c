/* SPDX-License-Identifier: MIT */
/* Blocks of a target's memory: kept, looked at again, and given up when there are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/pypages.h"

#define BASE  0x10000000ull
#define BLOCK PYPAGES_BLOCK
#define PAGE  PYPAGES_PAGE

static uint64_t size_of_memory, reads;
static uint64_t changed; /* the byte at this address differs; 0 none */
static struct pypages pages;
static struct cpython py;

/* Memory whose words are their own addresses. */
static bool read_words(void *arg, uint64_t address, void *buf, size_t size)
{
	uint8_t *to = buf;

	(void)arg;
	reads++;
	if (address < BASE || address - BASE > size_of_memory ||
	    size > size_of_memory - (address - BASE))
		return false;
	for (size_t i = 0; i < size; i++) {
		uint64_t at = address + i, word = at & ~7ull;
		memcpy(&to[i], (uint8_t *)&word + at % 8, 1);
		to[i] ^= at == changed;
	}
	return true;
}

static int setup(void **state)
{
	(void)state;
	size_of_memory = 4096 * BLOCK;
	reads = changed = 0;
	py = (struct cpython){.read = read_words};
	pypages_begin(&pages, &py);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pypages_end(&pages, &py);
	return py.read == read_words ? 0 : -1;
}

static void assert_word(uint64_t address)
{
	uint64_t word;

	assert_true(py.read(py.arg, address, &word, sizeof(word)));
	assert_int_equal(word, address);
}

static void what_was_read_is_kept_and_verified(void **state)
{
	uint8_t bytes[3 * BLOCK];

	(void)state;
	for (uint64_t at = BASE; at < BASE + 2 * BLOCK; at += 8)
		assert_word(at);
	assert_int_equal(reads, 2);
	assert_true(py.read(py.arg, BASE + 100, bytes, sizeof(bytes))); /* over four blocks */
	assert_int_equal(reads, 4);
	for (size_t i = 4; i + 8 < sizeof(bytes); i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, sizeof(word));
		assert_int_equal(word, BASE + 100 + i);
	}
	assert_true(pypages_verify(&pages));
	assert_int_equal(reads, 8);
}

static void a_byte_that_changed_shows(void **state)
{
	static const uint64_t where[] = {0, 1, PAGE - 1, PAGE, BLOCK - 1, 2 * BLOCK - 1};

	(void)state;
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		changed = 0;
		pypages_forget(&pages);
		assert_word(BASE);
		assert_word(BASE + BLOCK);
		assert_true(pypages_verify(&pages));
		changed = BASE + where[i];
		assert_false(pypages_verify(&pages));
	}
	changed = BASE + 2 * BLOCK; /* which nobody has read */
	assert_true(pypages_verify(&pages));
}

static void pages_at_the_end_of_a_mapping_are_kept_and_others_are_not(void **state)
{
	uint64_t word;

	(void)state;
	size_of_memory = PAGE + PAGE / 2;
	assert_word(BASE + PAGE - 8);
	assert_true(pypages_verify(&pages));
	assert_word(BASE + PAGE); /* not a whole page */
	assert_false(pypages_verify(&pages));
	pypages_forget(&pages);
	assert_false(py.read(py.arg, BASE + PAGE + PAGE / 2, &word, sizeof(word)));
	assert_false(py.read(py.arg, UINT64_MAX - 3, &word, sizeof(word)));
	assert_false(pypages_verify(&pages));
	pypages_forget(&pages);
	assert_word(BASE);
	size_of_memory = 3 * PAGE; /* more is mapped than was */
	assert_false(pypages_verify(&pages));
}

static void more_than_there_is_room_for_is_read_and_not_verified(void **state)
{
	(void)state;
	for (size_t i = 0; i < PYPAGES_COUNT; i++)
		assert_word(BASE + i * BLOCK);
	assert_true(pypages_verify(&pages));
	assert_word(BASE + PYPAGES_COUNT * BLOCK);
	assert_false(pypages_verify(&pages));
	for (size_t i = 0; i < 3 * PYPAGES_COUNT; i++)
		assert_word(BASE + i * BLOCK + 8);
	assert_false(pypages_verify(&pages));
	pypages_forget(&pages);
	assert_word(BASE);
	assert_true(pypages_verify(&pages));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_read_is_kept_and_verified, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_byte_that_changed_shows, setup, teardown),
		cmocka_unit_test_setup_teardown(
			pages_at_the_end_of_a_mapping_are_kept_and_others_are_not, setup, teardown),
		cmocka_unit_test_setup_teardown(
			more_than_there_is_room_for_is_read_and_not_verified, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
