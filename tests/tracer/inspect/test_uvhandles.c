/* SPDX-License-Identifier: MIT */
/* A loop of libuv and its handles in memory that is as libuv has it, and in memory that lies. Where
 * things lie is checked against libuv and node themselves (tests/e2e/test_handles.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "chance.h"
#include "inspect/uvhandles.h"

#define BASE	0x600000000000ull
#define SIZE	0x20000
#define STACK	(BASE + 0x18000) /* to the end */
#define LOOP	(BASE + 0x100)
#define HANDLES 40
#define HANDLE	(BASE + 0x1000)
#define STEP	0x100
#define FD	7
#define MAX	(HANDLES - 10)
/* at most: three walks of 20,000 places, three reads each, and a few for each word of the stack */
#define READS 300000

static uint8_t memory[SIZE];
static unsigned int reads;
static struct uvhandle found[HANDLES];
static size_t n, omitted;

static bool read_image(void *arg, uint64_t address, void *buf, size_t size)
{
	(void)arg;
	reads++;
	if (address < BASE || address - BASE > SIZE || size > SIZE - (address - BASE))
		return false;
	memcpy(buf, memory + (address - BASE), size);
	return true;
}

static void put(uint64_t address, uint64_t value)
{
	memcpy(memory + (address - BASE), &value, sizeof(value));
}

static void put_int(uint64_t address, uint32_t value)
{
	memcpy(memory + (address - BASE), &value, sizeof(value));
}

static uint64_t handle(size_t i)
{
	return HANDLE + i * STEP;
}

static void link_queue(uint64_t before, uint64_t at)
{
	put(before, at);
	put(at + 8, before);
}

/* The first one is libuv's own, the others are timers. */
static int make(void **state)
{
	uint64_t before = LOOP + 16;

	(void)state;
	memset(memory, 0, sizeof(memory));
	put_int(LOOP + 64, FD);
	put(LOOP + 104, BASE + 0x800);
	put_int(LOOP + 112, 64);
	put_int(LOOP + 116, 3);
	link_queue(LOOP + 72, LOOP + 72);
	for (size_t i = 0; i < HANDLES; i++) {
		put(handle(i) + 8, LOOP);
		put_int(handle(i) + 16, i ? 13 : 1);
		put_int(handle(i) + 88, i ? 4 | 8 : 4 | 16);
		put(handle(i) + 96, 0x1000 + i);
		put(handle(i) + 128, 5000 + i);
		put(handle(i) + 136, i);
		link_queue(before, handle(i) + 32);
		before = handle(i) + 32;
	}
	link_queue(before, LOOP + 16);
	for (uint64_t at = STACK; at < BASE + SIZE; at += 8) /* what else lies on a stack */
		put(at, at % 24 ? at : BASE + 0x900);
	put(BASE + SIZE - 40, LOOP);
	reads = 0;
	return 0;
}

static bool read_list(void)
{
	return uvhandles_read(read_image, NULL, LOOP, found, MAX, &n, &omitted);
}

static void a_loop_is_found_by_its_epoll_set_up_to_the_stacks_end(void **state)
{
	(void)state;
	assert_int_equal(uvhandles_find(read_image, NULL, STACK, FD), LOOP);
	assert_int_equal(uvhandles_find(read_image, NULL, BASE + SIZE - 40, FD), LOOP);
	assert_int_equal(uvhandles_find(read_image, NULL, BASE + SIZE - 32, FD), 0);
	assert_int_equal(uvhandles_find(read_image, NULL, STACK, FD + 1), 0);
	assert_int_equal(uvhandles_find(read_image, NULL, STACK + 4, FD), 0);
	assert_int_equal(uvhandles_find(read_image, NULL, UINT64_MAX & ~7ull, FD), 0);
	assert_int_equal(uvhandles_find(read_image, NULL, 0, FD), 0);
}

static void what_is_no_loop_is_not_taken_for_one(void **state)
{
	static const struct {
		uint64_t at, value;
	} wrong[] = {
		{LOOP + 16, 0},		  {LOOP + 16, LOOP + 16}, {LOOP + 16, HANDLE},
		{LOOP + 24, HANDLE},	  {LOOP + 72, 0},	  {LOOP + 80, UINT64_MAX},
		{LOOP + 104, 0},	  {LOOP + 104, 0x1001},	  {LOOP + 112, 1ull << 31},
		{LOOP + 112, 1ull << 32}, {HANDLE + 8, LOOP + 8}, {LOOP + 8, 1ull << 31},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make(state);
		put(wrong[i].at, wrong[i].value);
		assert_int_equal(uvhandles_find(read_image, NULL, STACK, FD), 0);
	}
}

static void handles_are_told_in_order_without_libuvs_own(void **state)
{
	(void)state;
	assert_true(read_list());
	assert_int_equal(n, MAX);
	assert_int_equal(omitted, HANDLES - 1 - MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(found[i].kind, INSPECTOR_HANDLE_TIMER);
		assert_int_equal(found[i].timeout_ms, 5001 + i);
		assert_int_equal(found[i].repeat_ms, 1 + i);
		assert_int_equal(found[i].callback, 0x1001 + i);
		assert_int_equal(found[i].fd, -1);
		assert_true(found[i].active && found[i].referenced && !found[i].closing);
	}
}

static void lists_that_lie_are_refused(void **state)
{
	const struct {
		uint64_t at, value;
	} wrong[] = {
		{handle(5) + 32, handle(2) + 32}, /* a circle without the head */
		{handle(5) + 32, handle(5) + 32},
		{handle(5) + 32, 0},
		{handle(5) + 32, UINT64_MAX},
		{handle(5) + 32, handle(6) + 33},
		{handle(5) + 32, LOOP + 16}, /* its head, which names another last one */
		{handle(5) + 8, LOOP + 8},   /* another loop's */
		{handle(5) + 16, 5},	     /* of no kind */
		{handle(5) + 16, 99},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make(state);
		put(wrong[i].at, wrong[i].value);
		assert_false(read_list());
		assert_int_equal(n, 0);
		assert_in_range(reads, 1, READS);
	}
}

/* Each handle has a next one, which names it, for ever. */
static bool read_endless(void *arg, uint64_t address, void *buf, size_t size)
{
	uint64_t at = address, at_node = at + 32;
	uint8_t *to = buf;

	if (address < BASE + SIZE)
		return read_image(arg, address, buf, size);
	reads++;
	memset(to, 0, size);
	if (size < 96)
		return true;
	uint64_t loop = LOOP, next = at_node + STEP,
		 before = at == BASE + SIZE ? LOOP + 16 : at_node - STEP;
	memcpy(to + 8, &loop, 8);
	to[16] = 13;
	memcpy(to + 32, &next, 8);
	memcpy(to + 40, &before, 8);
	return true;
}

static void a_list_without_end_ends_soon(void **state)
{
	(void)state;
	put(LOOP + 16, BASE + SIZE + 32);
	assert_false(uvhandles_read(read_endless, NULL, LOOP, found, MAX, &n, &omitted));
	assert_int_equal(n, 0);
	assert_in_range(reads, 1, READS);
}

static void memory_at_random_ends_soon(void **state)
{
	chance_seed();
	for (int run = 0; run < 3000; run++) {
		make(state);
		for (int k = rand() % 12; k >= 0; k--) {
			uint64_t at = rand() % 3 ? handle((size_t)rand() % HANDLES) : LOOP,
				 value = rand() % 3 ? handle((size_t)rand() % HANDLES) + 32
						    : (uint64_t)rand() << (rand() % 40);
			put(at + 8 * ((uint64_t)rand() % 18), value);
		}
		uint64_t loop = uvhandles_find(read_image, NULL, STACK, FD);
		assert_true(loop == 0 || loop == LOOP);
		if (!read_list())
			assert_int_equal(n, 0);
		assert_in_range(n, 0, MAX);
		assert_in_range(reads, 1, READS);
		for (size_t i = 0; i < n; i++) {
			assert_in_range(found[i].kind, 1, INSPECTOR_HANDLE_KINDS - 1);
			assert_true(found[i].fd >= -1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_loop_is_found_by_its_epoll_set_up_to_the_stacks_end, make),
		cmocka_unit_test_setup(what_is_no_loop_is_not_taken_for_one, make),
		cmocka_unit_test_setup(handles_are_told_in_order_without_libuvs_own, make),
		cmocka_unit_test_setup(lists_that_lie_are_refused, make),
		cmocka_unit_test_setup(a_list_without_end_ends_soon, make),
		cmocka_unit_test_setup(memory_at_random_ends_soon, make),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
