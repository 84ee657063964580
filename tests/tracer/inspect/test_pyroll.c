/* SPDX-License-Identifier: MIT */
/* The linked lists of tasks: of several threads, changed while they are read, and such that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "chance.h"
#include "base/cleanup.h"
#include "inspect/pyasyncio.h"
#include "inspect/pyroll.h"
#include "pyimage.h"

#define NODES	 40
#define LINKED	 6 /* the first version that has lists: 3.14 */
#define NODE	 152
#define FAR	 0x500000000000ull
#define FAR_STEP 64
/* of one reading: a step takes three, a repair some more */
#define READS_MAX (16 * PYROLL_MAX)

static struct pyview view;
static struct pyroll roll;
static struct pypages pages;
static uint64_t node[NODES], head; /* of the thread's list */

static void make_lists(const struct version *v, size_t n)
{
	view = build(v);
	assert_int_equal(view.why, MESSAGE_WHY_NONE);
	assert_int_equal(view.layout.task_node, NODE);
	for (size_t i = 0; i < NODES; i++)
		node[i] = make_object(image.task_type, 200) + NODE;
	head = image.state + view.layout.state_tasks;
	make_list(head, node, n);
}

static enum message_why read_roll(void)
{
	image.reads = 0;
	pypages_begin(&pages, &view.py);
	enum message_why why = pyroll_read(&view, &pages, &roll);
	pypages_end(&pages, &view.py);
	return why;
}

static bool has(size_t i)
{
	for (size_t k = 0; k < roll.n; k++)
		if (roll.address[k] == node[i] - NODE)
			return true;
	return false;
}

static void assert_has(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		assert_true(has(i));
}

static void lists_of_all_threads_and_of_ended_ones_are_read(void **state)
{
	(void)state;
	for (size_t i = LINKED; i < VERSIONS; i++) {
		make_lists(&versions[i], 10);
		uint64_t other = place(1200), third = place(1200);
		put(image.state + 8, other);
		put(other + 16, image.interp);
		put(other + 8, third);
		put(third + 16, image.interp);
		make_list(other + view.layout.state_tasks, node + 10, 20);
		make_list(third + view.layout.state_tasks, NULL, 0);
		make_list(image.interp + view.layout.interp_tasks, node + 30, NODES - 30);
		assert_int_equal(read_roll(), MESSAGE_WHY_NONE);
		assert_int_equal(roll.n, NODES);
		assert_int_equal(roll.torn, 0);
		assert_int_equal(roll.repairs, 0);
		assert_has(0, NODES);
		pyroll_done(&roll);
	}
}

/* ---- memory that changes ---- */

static struct {
	uint64_t when; /* this address is read */
	void (*change)(void);
} event;

static bool read_and_change(void *arg, uint64_t address, void *buf, size_t size)
{
	bool r = read_image(arg, address, buf, size);

	/* behind it: what was read is older than the change */
	if (event.change && address <= event.when && event.when < address + size) {
		void (*change)(void) = event.change;
		event.change = NULL;
		change();
	}
	return r;
}

static void unlink_node(uint64_t at)
{
	uint64_t next, before;

	memcpy(&next, bytes_at(at, 8), 8);
	memcpy(&before, bytes_at(at + 8, 8), 8);
	put(before, next);
	put(next + 8, before);
	put(at, 0);
	put(at + 8, 0);
}

static void append_node(uint64_t at)
{
	uint64_t last;

	memcpy(&last, bytes_at(head + 8, 8), 8);
	put(last, at);
	put(at + 8, last);
	put(at, head);
	put(head + 8, at);
}

/* The one that was just read, one before it and the next one end. */
static void remove_some(void)
{
	unlink_node(node[19]);
	unlink_node(node[20]);
	unlink_node(node[21]);
}

/* The one that was just read ends, and its memory is the newest task's. */
static void move_to_the_end(void)
{
	unlink_node(node[20]);
	append_node(node[20]);
}

static void append_one(void)
{
	append_node(node[NODES - 1]);
}

/* Pages in a heap as small as this are one: the reads themselves are what changes. */
static enum message_why read_unpaged(void)
{
	image.reads = 0;
	pypages_forget(&pages);
	return pyroll_read(&view, &pages, &roll);
}

static void those_that_stay_are_found_whatever_ends_meanwhile(void **state)
{
	static void (*const changes[])(void) = {remove_some, move_to_the_end, append_one};

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(changes); i++) {
		for (size_t when = 18; when < 23; when++) {
			make_lists(&versions[LINKED], NODES - 1);
			view.py.read = read_and_change;
			event.when = node[when];
			event.change = changes[i];
			assert_int_equal(read_unpaged(), MESSAGE_WHY_NONE);
			assert_null(event.change);
			assert_int_equal(roll.torn, 0);
			assert_has(0, 19);
			assert_has(22, NODES - 1);
			if (i)
				assert_has(19, 22);
			pyroll_done(&roll);
		}
	}
}

static void remove_the_last(void)
{
	unlink_node(node[NODES - 2]);
	event.when = node[NODES - 3];
	event.change = append_one;
}

static void an_end_that_moves_is_found(void **state)
{
	(void)state;
	make_lists(&versions[LINKED], NODES - 1);
	view.py.read = read_and_change;
	event.when = node[NODES - 2];
	event.change = remove_the_last;
	assert_int_equal(read_unpaged(), MESSAGE_WHY_NONE);
	assert_int_equal(roll.torn, 0);
	assert_has(0, NODES - 2);
	assert_true(has(NODES - 1));
	pyroll_done(&roll);
}

/* ---- memory that lies ---- */

static void a_list_that_lies_ends_and_is_counted(void **state)
{
	(void)state;
	for (int way = 0; way < 7; way++) {
		make_lists(&versions[LINKED + way % 2], 20);
		switch (way) {
		case 0: /* a circle without the head */
			put(node[9], node[3]);
			break;
		case 1:
			put(node[9], node[9]);
			put(node[9] + 8, node[9]);
			break;
		case 2:
			put(node[9], UINT64_MAX);
			break;
		case 3:
			put(node[9], node[10] + 1);
			break;
		case 4: /* where nothing lies */
			put(node[9], HEAP_END - 8);
			break;
		case 5: /* not the list's */
			put(node[9], node[30]);
			break;
		case 6:
			put(node[9], 0);
			break;
		}
		assert_int_equal(read_roll(), MESSAGE_WHY_NONE);
		assert_int_equal(roll.torn, 1);
		assert_in_range(roll.n, 0, 20);
		assert_in_range(image.reads, 0, READS);
		pyroll_done(&roll);
	}
}

static void a_state_that_is_being_made_has_no_list_yet(void **state)
{
	(void)state;
	make_lists(&versions[LINKED], 0);
	put(head, 0);
	put(head + 8, 0);
	assert_int_equal(read_roll(), MESSAGE_WHY_NONE);
	assert_int_equal(roll.n, 0);
	assert_int_equal(roll.repairs, 0);
	pyroll_done(&roll);
}

/* A list that goes on for ever, and names the one before in each. */
static bool read_endless(void *arg, uint64_t address, void *buf, size_t size)
{
	uint64_t pair[2] = {address + FAR_STEP, address == FAR + NODE ? head : address - FAR_STEP};

	if (address < FAR || size != sizeof(pair) || address >= FAR + (1ull << 40))
		return read_image(arg, address, buf, size);
	image.reads++;
	memcpy(buf, pair, sizeof(pair));
	return true;
}

static void a_list_without_end_is_cut(void **state)
{
	(void)state;
	make_lists(&versions[LINKED], 0);
	put(head, FAR + NODE);
	view.py.read = read_endless;
	assert_int_equal(read_unpaged(), MESSAGE_WHY_NONE);
	assert_int_equal(roll.n, PYROLL_MAX);
	assert_true(roll.omitted > 0);
	assert_int_equal(roll.torn, 2); /* and the interpreter's: there are no steps left */
	assert_in_range(image.reads, 0, READS_MAX);
	pyroll_done(&roll);
}

static void offsets_that_cannot_be_are_refused(void **state)
{
	static const uint64_t wrong[][2] = {
		{6, 0},	     {6, 1},  {6, 160},	       {6, UINT64_MAX},
		{8, 225864}, {8, 12}, {12, 928},       {12, 1 << 20},
		{5, 120},    {2, 88}, {0, 1ull << 40}, {7, 1ull << 40},
	};

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(wrong); i++) {
		make_lists(&versions[LINKED], 5);
		make_module(&(struct pair){make_ascii("Task"), image.task_type}, 1);
		put(image.asyncio + 8 * wrong[i][0], wrong[i][1]);
		view.layout.task_node = view.layout.task_coro = 0;
		assert_false(pyasyncio_take(&view));
		assert_int_equal(view.layout.task_coro, 0);
		assert_int_equal(read_roll(), MESSAGE_WHY_VERSION);
		assert_int_equal(roll.n, 0);
		pyroll_done(&roll);
	}
}

static void a_process_without_asyncio_has_none(void **state)
{
	(void)state;
	make_lists(&versions[LINKED], 5);
	make_module(&(struct pair){make_ascii("other"), image.task_type}, 1);
	view.layout.task_node = 0;
	assert_int_equal(read_roll(), MESSAGE_WHY_NONE);
	assert_int_equal(roll.n, 0);
	pyroll_done(&roll);
}

static void nodes_and_states_at_random_end_soon(void **state)
{

	(void)state;
	chance_seed();
	for (int run = 0; run < 2000; run++) {
		make_lists(&versions[LINKED + run % 2], NODES);
		for (int k = rand() % 12; k >= 0; k--) {
			uint64_t at = rand() % 4 ? node[rand() % NODES] : head,
				 value = rand() % 3   ? node[rand() % NODES]
					 : rand() % 2 ? head
						      : (uint64_t)rand() << 24 & ~7ull;
			put(at + (rand() % 2 ? 8 : 0), value);
		}
		put(image.state + 8, rand() % 2 ? image.state : node[0]);
		read_roll();
		assert_in_range(roll.n, 0, PYROLL_MAX);
		assert_in_range(image.reads, 0, READS_MAX);
		pyroll_done(&roll);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_all_threads_and_of_ended_ones_are_read),
		cmocka_unit_test(those_that_stay_are_found_whatever_ends_meanwhile),
		cmocka_unit_test(an_end_that_moves_is_found),
		cmocka_unit_test(a_list_that_lies_ends_and_is_counted),
		cmocka_unit_test(a_state_that_is_being_made_has_no_list_yet),
		cmocka_unit_test(a_list_without_end_is_cut),
		cmocka_unit_test(offsets_that_cannot_be_are_refused),
		cmocka_unit_test(a_process_without_asyncio_has_none),
		cmocka_unit_test(nodes_and_states_at_random_end_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
