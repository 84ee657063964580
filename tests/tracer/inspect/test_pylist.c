/* SPDX-License-Identifier: MIT */
/* All tasks of asyncio: in memory as each version lays it out, in memory that changes meanwhile,
 * and in memory that lies. Where things lie in a task and in a suspended frame is checked against
 * the interpreters themselves (tests/e2e/test_ps.py). */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "chance.h"
#include "base/cleanup.h"
#include "inspect/pylist.h"
#include "inspect/tasklist.h"
#include "pyimage.h"

/* of one reading, at most: of states that lead round 4,096 are read, each two times, its list of
 * tasks three times and more */
#define LIST_READS (8 * 4096)
#define TOLD_MAX   16
#define TASKS	   4

static struct {
	struct pyview view;
	uint64_t future_type, iter_type, function_type, tuple_type, cell_type, set_type, ref_type;
	uint64_t task[TASKS], coro[TASKS][2], future[TASKS], set, thread_loop;
	struct pylist_task told[TOLD_MAX];
	size_t ntold;
	struct pylist_tally tally;
} t;

static uint64_t make_future(void)
{
	return make_object(t.future_type, 160);
}

/* A coroutine that is suspended in an await. */
static uint64_t make_coro(uint64_t code, uint64_t awaited)
{
	const struct pylayout *l = &t.view.layout;
	uint64_t coro = make_object(image.type[CORO], 256), frame = coro + l->gen_frame;

	if (image.v->minor < 11) {
		frame = make_object(image.type[FRAME], 400);
		put(coro + l->gen_frame, frame);
		put_int(frame + l->frame_instr, (int32_t)instr_of(code));
	} else {
		bytes_at(coro + l->gen_state, 1)[0] = image.v->minor < 15 ? 0xff : 2;
		bytes_at(frame + l->frame_owner, 1)[0] = 1;
		put(frame + l->frame_instr, instr_of(code));
		if (image.v->minor < 14)
			put_int(frame + l->frame_depth, 1);
		else /* since 3.15 there is one more on top */
			put(frame + l->frame_depth,
			    frame + l->frame_locals + (image.v->minor == 14 ? 8 : 16));
	}
	put(frame + l->frame_code, code);
	put(frame + l->frame_locals, awaited);
	if (image.v->minor == 10) {
		bytes_at(frame + l->frame_state, 1)[0] = 0xff;
		put(frame + 64, frame + l->frame_locals);
		put_int(frame + l->frame_depth, 1);
	} else if (image.v->minor < 10) {
		put(frame + l->frame_depth, frame + l->frame_locals + 8);
	}
	return coro;
}

/* What the coroutine awaits. */
static void set_awaited(uint64_t coro, uint64_t awaited)
{
	const struct pylayout *l = &t.view.layout;
	uint64_t frame = coro + l->gen_frame;

	if (image.v->minor < 11)
		memcpy(&frame, bytes_at(frame, 8), sizeof(frame));
	put(frame + l->frame_locals, awaited);
}

/* The instruction after the one that each function is at: one that follows an await. */
static void make_codes_await(void)
{
	for (size_t i = 0; i < FRAMES; i++) {
		if (image.v->minor < 11) {
			uint8_t code[16] = {[8] = 72};
			put(image.code[i] + 48, make_bytes(code, sizeof(code)));
		} else {
			uint8_t *next = bytes_at(image.code[i] + image.v->bytes + 8, 2);
			next[0] = 151;
			next[1] = 3;
		}
	}
}

static uint64_t make_tuple(uint64_t item)
{
	uint64_t tuple = make_object(t.tuple_type, 40);

	put(tuple + 16, 1);
	put(tuple + (image.v->minor < 14 ? 24 : 32), item);
	return tuple;
}

/* A function that was made inside another one and holds a variable of that. */
static uint64_t make_closure(uint64_t value)
{
	uint64_t function = make_object(t.function_type, 120), cell = make_object(t.cell_type, 24);

	put(cell + 16, value);
	put(function + t.view.layout.function_closure, make_tuple(cell));
	return function;
}

static uint64_t make_set(const uint64_t *items, size_t n, bool weak)
{
	uint64_t set = make_object(t.set_type, 200), table = place(16 * 16);

	for (size_t i = 0; i < n; i++) {
		uint64_t item = items[i];
		if (weak) {
			item = make_object(t.ref_type, 72);
			put(item + 16, items[i]);
		}
		put(table + 16 * (2 * i + 1), item);
	}
	put(set + 32, 15);
	put(set + 40, table);
	return set;
}

static uint64_t make_weak_set(uint64_t set)
{
	uint64_t type = make_type("WeakSet", 0), room = place(96), object = room + 48;
	uint64_t dict = make_dict(&(struct pair){make_ascii("data"), set}, 1, true);

	put(object, 1);
	put(object + 8, type);
	if (image.v->minor >= 11) {
		put(type + 168, 1 << 4);
		put(object - 24, dict);
	} else {
		put(type + 288, 16);
		put(object + 16, dict);
	}
	return object;
}

/* Task 0 awaits task 1, whose end wakes future 2 as well, which task 2 waits for; task 3 has ended.
 */
static void make_tasks(const struct version *v)
{
	memset(&t, 0, sizeof(t));
	t.view = build(v);
	assert_int_equal(t.view.why, MESSAGE_WHY_NONE);
	t.future_type = make_type("_asyncio.Future", 0);
	t.iter_type = make_type("_asyncio.FutureIter", 0);
	t.function_type = make_type("function", 0);
	t.tuple_type = make_type("tuple", 0);
	t.cell_type = make_type("cell", 0);
	t.set_type = make_type("set", 0);
	t.ref_type = make_type(v->minor < 11 ? "weakref" : "weakref.ReferenceType", 0);
	make_codes_await();
	const struct pylayout *l = &t.view.layout;
	uint64_t loop = make_object(image.type[MODULE], 32);
	for (size_t i = 0; i < TASKS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "task-%zu", i);
		t.task[i] = make_object(image.task_type, 200);
		t.future[i] = make_future();
		uint64_t waiter = i == 0 ? t.task[1] : t.future[i],
			 iter = make_object(t.iter_type, 24);
		if (i == 0)
			waiter = t.task[0]; /* until there is task 1 */
		put(iter + 16, waiter);
		t.coro[i][1] = make_coro(image.code[1], iter);
		t.coro[i][0] = make_coro(image.code[0], t.coro[i][1]);
		put(t.task[i] + 16, loop);
		put(t.task[i] + l->task_coro - 8, waiter);
		put(t.task[i] + l->task_coro, t.coro[i][0]);
		put(t.task[i] + l->task_coro + 8, make_ascii(name));
	}
	put(t.task[0] + l->task_coro - 8, t.task[1]);
	put(t.task[1] + 24, make_closure(t.future[2]));
	put_int(t.task[3] + l->task_state, 2);
	uint64_t none = make_object(image.type[MODULE], 32), all[TASKS + 1];
	memcpy(all, t.task, sizeof(t.task));
	all[TASKS] = none; /* of a reference whose object is gone */
	t.set = make_set(all, TASKS + 1, true);
	struct pair names[] = {{make_ascii(v->minor < 12 ? "_all_tasks" : "_scheduled_tasks"),
				make_weak_set(t.set)},
			       {make_ascii("_eager_tasks"), make_set(NULL, 0, false)}};
	if (v->minor < 14) {
		make_module(names, LSC_ARRAY_LEN(names));
	} else {
		uint64_t nodes[TASKS];
		for (size_t i = 0; i < TASKS; i++)
			nodes[i] = t.task[i] + l->task_node;
		make_list(image.state + l->state_tasks, nodes, TASKS / 2);
		make_list(image.interp + l->interp_tasks, nodes + TASKS / 2, TASKS / 2);
	}
	if (l->state_loop) {
		put(image.state + l->state_loop, loop);
	} else {
		uint64_t holder = make_object(image.type[MODULE], 32);
		put(holder + 16, loop);
		put(image.state + l->state_dict,
		    make_dict(&(struct pair){make_ascii("__asyncio_running_event_loop__"),
					     v->minor < 12 ? holder : loop},
			      1, true));
	}
	t.thread_loop = loop;
}

static bool keep(struct pyview *v, const struct pylist_task *task, void *arg)
{
	(void)v, (void)arg;
	if (t.ntold < TOLD_MAX)
		t.told[t.ntold++] = *task;
	return true;
}

static enum message_why read_list(void)
{
	t.ntold = 0;
	image.reads = 0;
	return pylist_read(&t.view, keep, NULL, &t.tally);
}

static const struct pylist_task *told(size_t i)
{
	for (size_t k = 0; k < t.ntold; k++)
		if (t.told[k].address == t.task[i])
			return &t.told[k];
	return NULL;
}

static bool wakes(const struct pylist_task *task, uint64_t object)
{
	for (size_t i = 0; i < task->wakes.n; i++)
		if (task->wakes.found[i] == object)
			return true;
	return false;
}

static void each_versions_tasks_are_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < VERSIONS; i++) {
		make_tasks(&versions[i]);
		assert_int_equal(read_list(), MESSAGE_WHY_NONE);
		assert_int_equal(t.ntold, 3);
		assert_int_equal(t.tally.told, 3);
		assert_int_equal(t.tally.changed, 0);
		assert_null(told(3));
		for (size_t k = 0; k < 3; k++) {
			const struct pylist_task *task = told(k);
			assert_int_equal(task->chain.state, PYAWAIT_SUSPENDED);
			assert_int_equal(task->chain.n, 2);
			assert_int_equal(task->chain.frames[0].name, image.name[0]);
			assert_int_equal(task->chain.frames[1].name, image.name[1]);
			assert_int_equal(pyframe_line(&t.view, &task->chain.frames[1]), 22);
			assert_false(task->chain.cut);
			assert_true(wakes(task, t.task[k]));
			assert_int_equal(pylist_thread(&t.view, task->loop), TID);
		}
		assert_int_equal(told(0)->waiter, t.task[1]);
		assert_int_equal(told(1)->waiter, t.future[1]);
		assert_true(wakes(told(1), told(2)->waiter));
		assert_false(wakes(told(0), told(2)->waiter));
	}
}

static void coroutines_that_await_each_other_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < VERSIONS; i++) {
		make_tasks(&versions[i]);
		set_awaited(t.coro[0][1], t.coro[0][1]);
		set_awaited(t.coro[1][1], t.coro[1][0]);
		assert_int_equal(read_list(), MESSAGE_WHY_NONE);
		assert_int_equal(t.ntold, 3);
		for (size_t k = 0; k < 2; k++) {
			assert_int_equal(told(k)->chain.n, PYAWAIT_MAX);
			assert_true(told(k)->chain.cut);
		}
		assert_false(told(2)->chain.cut);
	}
}

static void callbacks_that_lead_back_are_followed_once(void **state)
{
	(void)state;
	make_tasks(&versions[3]);
	put(t.future[2] + 24, make_closure(t.future[3]));
	put(t.future[3] + 24, make_closure(t.future[2]));
	/* another task is not followed: it goes on by itself */
	put(t.task[2] + 24, make_closure(t.task[0]));
	assert_int_equal(read_list(), MESSAGE_WHY_NONE);
	assert_int_equal(told(1)->wakes.n, 3);
	assert_true(wakes(told(1), t.future[3]));
	assert_int_equal(told(2)->wakes.n, 1);
}

static void a_task_whose_future_is_done_waits_no_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < VERSIONS; i++) {
		make_tasks(&versions[i]);
		put_int(t.future[2] + t.view.layout.task_state, 2);
		assert_int_equal(read_list(), MESSAGE_WHY_NONE);
		assert_int_equal(told(2)->waiter, 0);
		assert_int_equal(told(1)->waiter, t.future[1]);
	}
}

static void a_running_task_and_one_that_has_not_begun_have_their_own_frame_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < VERSIONS; i++) {
		make_tasks(&versions[i]);
		const struct pylayout *l = &t.view.layout;
		int8_t created = versions[i].minor >= 15   ? 0
				 : versions[i].minor >= 13 ? -3
							   : -2,
		       running = versions[i].minor >= 15 ? 4 : 0;
		for (size_t k = 0; k < 2; k++) {
			uint64_t frame = t.coro[k][0] + l->gen_frame;
			put(t.task[k] + l->task_coro - 8, 0);
			if (l->gen_state) {
				bytes_at(t.coro[k][0] + l->gen_state, 1)[0] =
					(uint8_t)(k ? created : running);
				continue;
			}
			memcpy(&frame, bytes_at(frame, 8), sizeof(frame));
			if (l->minor == 10)
				bytes_at(frame + l->frame_state, 1)[0] = k ? (uint8_t)created : 0;
			else if (k)
				put_int(frame + l->frame_instr, -1);
			else
				bytes_at(frame + l->frame_state, 1)[0] = 1;
		}
		assert_int_equal(read_list(), MESSAGE_WHY_NONE);
		assert_int_equal(told(0)->chain.state, PYAWAIT_RUNNING);
		assert_int_equal(told(0)->chain.n, 1);
		assert_int_equal(told(1)->chain.state, PYAWAIT_CREATED);
		assert_int_equal(told(1)->chain.n, 1);
		assert_int_equal(pyframe_line(&t.view, &told(1)->chain.frames[0]), 10);
	}
}

/* Every look finds another one. */
static bool read_new_waiter(void *arg, uint64_t address, void *buf, size_t size)
{
	uint64_t place = t.task[1] + t.view.layout.task_coro - 8;
	static size_t n;

	if (address <= place && place < address + size)
		put(place, t.future[n++ % TASKS]);
	return read_image(arg, address, buf, size);
}

static void one_that_never_is_the_same_twice_is_left_out(void **state)
{
	(void)state;
	make_tasks(&versions[4]);
	t.view.py.read = read_new_waiter;
	assert_int_equal(read_list(), MESSAGE_WHY_NONE);
	assert_int_equal(t.tally.changed, 1);
	assert_int_equal(t.tally.told, 2);
	assert_null(told(1));
}

/* What the worker answers, and of its one page the addresses of the tasks. */
static struct message_result answer_list(uint64_t ret_addresses[TASKS], size_t *ret_n)
{
	static uint8_t buf[MESSAGE_MAX];
	struct space space = {.mem = open("/dev/zero", O_RDONLY | O_CLOEXEC), .python = &t.view};
	struct message_job job = {.cookie = 7};
	struct message_page page;
	struct message_page_task task;
	struct message_result result;
	int pair[2];

	assert_true(space.mem >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(tasklist_run(&space, &job, pair[0], NULL, NULL, buf) >= sizeof(result));
	memcpy(&result, buf, sizeof(result));
	assert_true(message_recv(pair[1], buf, sizeof(buf), NULL, 0, MSG_DONTWAIT) > 0);
	memcpy(&page, buf, sizeof(page));
	assert_in_range(page.ntasks, 1, TASKS);
	for (size_t i = 0; i < page.ntasks; i++) {
		memcpy(&task, buf + sizeof(page) + i * sizeof(task), sizeof(task));
		ret_addresses[i] = task.address;
	}
	*ret_n = page.ntasks;
	close(pair[0]);
	close(pair[1]);
	close(space.mem);
	return result;
}

/* It was freed since it was read: a task always has a name. */
static void a_task_whose_name_is_gone_has_changed_and_is_not_told(void **state)
{
	uint64_t addresses[TASKS];
	size_t n;

	(void)state;
	for (size_t i = 0; i < VERSIONS; i++) {
		make_tasks(&versions[i]);
		struct message_result r = answer_list(addresses, &n);
		assert_int_equal(r.why, MESSAGE_WHY_NONE);
		assert_int_equal(n, 3);
		assert_int_equal(r.tally.told, 3);
		assert_int_equal(r.tally.changed, 0);
		put(t.task[1] + t.view.layout.task_coro + 8, 0);
		r = answer_list(addresses, &n);
		assert_int_equal(r.why, MESSAGE_WHY_NONE);
		assert_int_equal(n, 2);
		for (size_t k = 0; k < n; k++)
			assert_int_not_equal(addresses[k], t.task[1]);
		assert_int_equal(r.tally.told, 2);
		assert_int_equal(r.tally.changed, 1);
	}
}

static void sets_that_lie_are_refused(void **state)
{
	static const uint64_t masks[] = {UINT64_MAX, 1ull << 40, 4u << 20, 0xffffff};

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(masks); i++) {
		make_tasks(&versions[i]);
		put(t.set + 32, masks[i]);
		assert_int_equal(read_list(), MESSAGE_WHY_LAYOUT);
		assert_int_equal(t.ntold, 0);
		assert_in_range(image.reads, 0, LIST_READS);
	}
	make_tasks(&versions[0]);
	put(t.set + 8, image.type[DICT]); /* no set */
	assert_int_equal(read_list(), MESSAGE_WHY_LAYOUT);
}

static void a_process_without_asyncio_has_no_tasks(void **state)
{
	(void)state;
	make_tasks(&versions[2]);
	make_module(&(struct pair){make_ascii("other"), t.set}, 1);
	assert_int_equal(read_list(), MESSAGE_WHY_NONE);
	assert_int_equal(t.ntold, 0);
}

/* Words of the heap replaced by others of it, by wild pointers and by small numbers: it ends soon,
 * and reads nothing that it was not given (ASan). */
static void memory_that_lies_at_random_ends_soon(void **state)
{

	(void)state;
	chance_seed();
	for (int run = 0; run < 3000; run++) {
		make_tasks(&versions[run % VERSIONS]);
		size_t words = image.used / 8;
		for (int k = rand() % 40; k >= 0; k--) {
			uint64_t at = HEAP + 0x100 + 8 * ((size_t)rand() % words), value = 0;
			switch (rand() % 4) {
			case 0:
				value = HEAP + 0x100 + 8 * ((size_t)rand() % words);
				break;
			case 1:
				value = (uint64_t)rand() << 32 | (uint64_t)rand();
				break;
			case 2:
				value = (uint64_t)rand() % 64;
				break;
			case 3:
				value = t.task[rand() % TASKS];
				break;
			}
			put(at, value);
		}
		enum message_why why = read_list();
		assert_true(why == MESSAGE_WHY_NONE || why == MESSAGE_WHY_LAYOUT);
		assert_true(t.tally.told <= TASKS + 1);
		assert_in_range(image.reads, 0, LIST_READS);
		for (size_t k = 0; k < t.ntold; k++) {
			assert_true(t.told[k].chain.n <= PYAWAIT_MAX);
			assert_true(t.told[k].wakes.n <= PYWAKER_MAX);
			pylist_thread(&t.view, t.told[k].loop);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_versions_tasks_are_told),
		cmocka_unit_test(coroutines_that_await_each_other_are_cut),
		cmocka_unit_test(callbacks_that_lead_back_are_followed_once),
		cmocka_unit_test(
			a_running_task_and_one_that_has_not_begun_have_their_own_frame_alone),
		cmocka_unit_test(one_that_never_is_the_same_twice_is_left_out),
		cmocka_unit_test(a_task_whose_name_is_gone_has_changed_and_is_not_told),
		cmocka_unit_test(a_task_whose_future_is_done_waits_no_more),
		cmocka_unit_test(sets_that_lie_are_refused),
		cmocka_unit_test(a_process_without_asyncio_has_no_tasks),
		cmocka_unit_test(memory_that_lies_at_random_ends_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
