/* SPDX-License-Identifier: MIT */
/* The indexes that the collector keeps, and what it gives up. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "inspect/shelf.h"

/* The C library's; shelf entries are calloc()ed, so that it is the table that has no room. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
static bool out_of_memory;

void *__wrap_malloc(size_t size)
{
	return out_of_memory ? NULL : __real_malloc(size);
}

static struct shelf shelf;
static uint64_t now = 1;

/* An index of so many bytes, all of them a hole. */
static int make_index(uint64_t size, int seals)
{
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
		    fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static int put(uint64_t inode, uint64_t size)
{
	const struct message_index m = {.stamp = {.inode = inode, .size = 1}};
	struct shelf_file *f = shelf_get(&shelf, 1, inode, ++now);
	int fd = make_index(size, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);

	assert_non_null(f);
	int r = shelf_put(&shelf, f, &m, fd);
	close(fd);
	return r;
}

static bool has(uint64_t inode)
{
	return shelf_get(&shelf, 1, inode, now)->fd >= 0;
}

static int empty(void **state)
{
	(void)state;
	shelf_done(&shelf);
	assert_int_equal(shelf.bytes, 0);
	assert_int_equal(shelf.nfds, 0);
	return 0;
}

static void what_is_no_sealed_index_is_refused(void **state)
{
	const struct message_index m = {.head = {.elf_size = 4097}}, whole = {0};
	struct shelf_file *f = shelf_get(&shelf, 1, 1, ++now);
	int open_fd = make_index(4096, F_SEAL_SHRINK), pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(shelf_put(&shelf, f, &whole, open_fd), -EBADF);
	assert_int_equal(shelf_put(&shelf, f, &whole, pipes[0]), -EBADF);
	int fd = make_index(4096, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(shelf_put(&shelf, f, &m, fd), -EBADMSG);
	assert_int_equal(shelf_put(&shelf, f, &whole, fd), 0);
	assert_true(has(1));
	close(open_fd);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

static void the_one_used_longest_ago_makes_room_unless_it_is_in_use(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(put(i, SHELF_BYTES_MAX / 4), 0);
	shelf_get(&shelf, 1, 1, ++now)->slots = 1u << 5;
	shelf_get(&shelf, 1, 2, ++now);
	assert_int_equal(put(5, SHELF_BYTES_MAX / 4), 0);
	assert_true(has(1) && has(2) && !has(3) && has(4) && has(5));
	for (uint64_t i = 1; i <= 5; i++)
		shelf_get(&shelf, 1, i, now)->slots |= 1u << 31;
	assert_int_equal(put(6, SHELF_BYTES_MAX / 4), -EFBIG);
	shelf_leave(&shelf, 31); /* slot 5 has the first one still */
	assert_int_equal(put(7, SHELF_BYTES_MAX / 2), 0);
	assert_true(has(1) && !has(2) && has(7));
	shelf_leave(&shelf, SHELF_ALL_SLOTS);
	assert_int_equal(put(8, SHELF_BYTES_MAX / 2), 0);
	assert_false(has(1));
}

static void one_target_leaves_half_of_it_to_others(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(put(i, SHELF_BYTES_MAX / 4), 0);
	assert_true(shelf_use(&shelf, shelf_get(&shelf, 1, 1, now), 3));
	assert_true(shelf_use(&shelf, shelf_get(&shelf, 1, 1, now), 3)); /* the same */
	assert_true(shelf_use(&shelf, shelf_get(&shelf, 1, 2, now), 3));
	assert_false(shelf_use(&shelf, shelf_get(&shelf, 1, 3, now), 3));
	assert_int_equal(shelf_get(&shelf, 1, 3, now)->slots, 0);
	assert_true(shelf_use(&shelf, shelf_get(&shelf, 1, 3, now), 4));
	assert_int_equal(put(5, SHELF_BYTES_MAX / 4), 0); /* of the fourth */
	shelf_leave(&shelf, 3);
	assert_true(shelf_use(&shelf, shelf_get(&shelf, 1, 5, now), 3));
}

/* A worker keeps what it has: its memory counts on. */
static void
a_newer_index_of_a_file_takes_its_place_and_the_old_one_counts_while_it_is_used(void **state)
{
	(void)state;
	assert_int_equal(put(1, 1000), 0);
	shelf_get(&shelf, 1, 1, ++now)->slots = 1;
	assert_int_equal(put(1, 500), 0);
	assert_int_equal(shelf.bytes, 1500);
	assert_int_equal(shelf.nfds, 1);
	assert_int_equal(put(1, 700), 0); /* nobody had that one */
	assert_int_equal(shelf.bytes, 1700);
}

static void descriptors_are_bounded(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= SHELF_FDS_MAX + 10; i++) {
		assert_int_equal(put(i, 10), 0);
		shelf_get(&shelf, 1, i, ++now)->slots = 1;
	}
	assert_int_equal(shelf.nfds, SHELF_FDS_MAX);
	assert_true(!has(1) && !has(10) && has(11) && has(SHELF_FDS_MAX + 10));
	assert_int_equal(shelf.bytes, 10 * (SHELF_FDS_MAX + 10));
}

static bool rests(const struct shelf_file *f, int pid, uint64_t at)
{
	const struct strikes *cost = shelf_strikes(&shelf, f, pid);

	return cost && strikes_hold(cost, at);
}

static void a_file_has_a_second_chance_and_then_rests_longer_each_time(void **state)
{
	struct shelf_file *f = shelf_get(&shelf, 1, 1, now);
	uint64_t rest = 30 * LSC_NS_PER_S;

	(void)state;
	assert_null(shelf_strikes(&shelf, f, 7));
	shelf_strike(&shelf, f, 7, now);
	assert_false(rests(f, 7, now));
	for (int i = 0; i < 3; i++, rest *= 2) {
		shelf_strike(&shelf, f, 7, now);
		assert_true(rests(f, 7, now + rest - 1));
		assert_false(rests(f, 7, now + rest));
		assert_null(shelf_strikes(&shelf, f, 8)); /* another target's is sound */
		now += rest;
	}
}

static struct shelf_file *get_without_memory(uint64_t dev, uint64_t inode)
{
	out_of_memory = true;
	struct shelf_file *f = shelf_get(&shelf, dev, inode, ++now);
	out_of_memory = false;
	return f;
}

static void out_of_memory_a_file_is_not_kept_and_the_others_are(void **state)
{
	uint64_t inode = 0;

	(void)state;
	assert_null(get_without_memory(1, 1));
	/* one of the many falls on a table that has to grow */
	do {
		assert_non_null(shelf_get(&shelf, 1, ++inode, ++now));
		assert_true(inode <= 1000);
	} while (get_without_memory(2, inode));
	unsigned int n = HASH_COUNT(shelf.files);
	assert_int_equal(n, 2 * inode - 1);
	for (uint64_t i = 1; i <= inode; i++)
		assert_non_null(shelf_get(&shelf, 1, i, ++now));
	assert_int_equal(HASH_COUNT(shelf.files), n);
	assert_non_null(shelf_get(&shelf, 2, inode, ++now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_no_sealed_index_is_refused, empty),
		cmocka_unit_test_teardown(one_target_leaves_half_of_it_to_others, empty),
		cmocka_unit_test_teardown(the_one_used_longest_ago_makes_room_unless_it_is_in_use,
					  empty),
		cmocka_unit_test_teardown(
			a_newer_index_of_a_file_takes_its_place_and_the_old_one_counts_while_it_is_used,
			empty),
		cmocka_unit_test_teardown(descriptors_are_bounded, empty),
		cmocka_unit_test_teardown(out_of_memory_a_file_is_not_kept_and_the_others_are,
					  empty),
		cmocka_unit_test_teardown(
			a_file_has_a_second_chance_and_then_rests_longer_each_time, empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
