/* SPDX-License-Identifier: MIT */
/* What the collector reads of hostile bytes: a worker's answers, a target's maps; and its table. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/answer.h"
#include "inspect/maps.h"
#include "inspect/message.h"
#include "inspect/target.h"

static struct answer answer;
static unsigned char buf[MESSAGE_MAX];
static struct inspector_frame frames[INSPECTOR_FRAMES_MAX];

static size_t write_answer(void)
{
	answer_init(&answer, 7);
	struct message_frame *f = answer_frame(&answer);
	f->function = answer_text(&answer, "main");
	f->module = answer_text(&answer, "/bin/x");
	f->offset = 42;
	f->flags = MESSAGE_FRAME_EXPORTED;
	answer_frame(&answer)->offset = 43;
	return answer_write(&answer, buf);
}

static void an_answer_comes_back_as_written(void **state)
{
	(void)state;
	struct message_result r;
	size_t n = write_answer();

	assert_int_equal(message_result_read(buf, n, &r, frames), 0);
	assert_int_equal(r.cookie, 7);
	assert_int_equal(r.nframes, 2);
	assert_string_equal(frames[0].function, "main");
	assert_string_equal(frames[0].module, "/bin/x");
	assert_null(frames[0].file);
	assert_int_equal(frames[0].offset, 42);
	assert_true(frames[0].exported);
	assert_null(frames[1].function);
	assert_null(frames[1].module);
	assert_false(frames[1].exported);
}

static void an_answer_holds_what_fits_and_no_more(void **state)
{
	(void)state;
	static char names[INSPECTOR_FRAMES_MAX + 1][2000];
	struct message_result r;

	answer_init(&answer, 1);
	for (int i = 0; i <= INSPECTOR_FRAMES_MAX; i++) {
		memset(names[i], 'a' + i % 26, sizeof(names[i]) - 1);
		struct message_frame *f = answer_frame(&answer);
		assert_true(!f == (i == INSPECTOR_FRAMES_MAX));
		if (f)
			f->function = answer_text(&answer, names[i]);
	}
	size_t n = answer_write(&answer, buf);
	assert_true(n <= sizeof(buf));
	assert_int_equal(message_result_read(buf, n, &r, frames), 0);
	assert_int_equal(strlen(frames[0].function), MESSAGE_TEXT_MAX - 1);
	assert_null(frames[INSPECTOR_FRAMES_MAX - 1].function);
}

static void wrong_answers_are_refused(void **state)
{
	(void)state;
	struct message_result r, good;
	size_t n = write_answer();

	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(message_result_read(buf, cut, &r, frames), -EBADMSG);
	memcpy(&good, buf, sizeof(good));
	const struct {
		size_t at;
		uint32_t value;
	} wrong[] = {
		{offsetof(struct message_result, kind), 1},
		{offsetof(struct message_result, why), MESSAGE_WHY_COUNT},
		{offsetof(struct message_result, nframes), 3},
		{offsetof(struct message_result, nframes), UINT32_MAX},
		{offsetof(struct message_result, text_size), 0},
		{offsetof(struct message_result, text_size), UINT32_MAX},
		{sizeof(good) + offsetof(struct message_frame, function), good.text_size},
		{sizeof(good) + offsetof(struct message_frame, file), UINT32_MAX},
		{sizeof(good) + offsetof(struct message_frame, module), good.text_size},
		{sizeof(good) + offsetof(struct message_frame, build_id), 1u << 31},
		{sizeof(good) + offsetof(struct message_frame, line), UINT32_MAX},
	};
	for (size_t i = 0; i < LSC_ARRAY_LEN(wrong); i++) {
		write_answer();
		memcpy(buf + wrong[i].at, &wrong[i].value, sizeof(wrong[i].value));
		assert_int_equal(message_result_read(buf, n, &r, frames), -EBADMSG);
	}
	write_answer();
	buf[n - 1] = 'x';
	assert_int_equal(message_result_read(buf, n, &r, frames), -EBADMSG);
}

static void a_lock_lies_in_what_was_found_or_the_answer_is_refused(void **state)
{
	(void)state;
	const struct inspector_gil wrong[] = {
		{.holder = 0x0ff8},
		{.holder = 0x1ff8}, /* its second word lies behind the end */
		{.holder = 0x1804},
		{.holder = UINT64_MAX - 7},
		{.holder = 0x1800, .id_offset = INSPECTOR_GIL_REACH},
		{.holder = 0x1800, .id_hop = UINT32_MAX},
	};
	struct message_result r;

	for (size_t i = 0; i < LSC_ARRAY_LEN(wrong) + 1; i++) {
		write_answer();
		answer.head.address = 0x1000;
		answer.head.size = 0x1000;
		answer.head.gil = (struct inspector_gil){.holder = 0x1ff0, .id_offset = 160};
		if (i < LSC_ARRAY_LEN(wrong))
			answer.head.gil = wrong[i];
		size_t n = answer_write(&answer, buf);
		int expected = i < LSC_ARRAY_LEN(wrong) ? -EBADMSG : 0;
		assert_int_equal(message_result_read(buf, n, &r, frames), expected);
	}
}

/* Under AddressSanitizer a read behind the packet ends the test: the copy is exactly as long. */
static void random_answers_are_read_within_their_bounds(void **state)
{
	(void)state;
	unsigned int seed = (unsigned int)lsc_now_ns();
	struct message_result r;
	size_t n = write_answer(), total = 0;

	print_message("seed %u\n", seed);
	for (int round = 0; round < 20000; round++) {
		lsc_autofree unsigned char *copy = malloc(n);
		assert_non_null(copy);
		memcpy(copy, buf, n);
		for (int i = 0; i < 3; i++)
			copy[4 + (size_t)rand_r(&seed) % (n - 4)] = (unsigned char)rand_r(&seed);
		if (message_result_read(copy, n, &r, frames) < 0)
			continue;
		for (uint32_t i = 0; i < r.nframes; i++)
			total += frames[i].function ? strlen(frames[i].function) : 0;
	}
	assert_true(total > 0);
}

/* Two tasks, three frames, one link. The size. */
static size_t write_page(uint8_t *page)
{
	static const char text[] = "\0a\0main\0x.py";
	struct message_page head = {.kind = MESSAGE_TASK_PAGE,
				    .ntasks = 2,
				    .nframes = 3,
				    .nlinks = 1,
				    .text_size = sizeof(text),
				    .cookie = 7};
	struct message_page_task tasks[2] = {
		{.address = 64, .name = 1, .state = 2, .nframes = 1, .nlinks = 1, .tid = 5},
		{.address = 128, .nframes = 2, .cut = 1}};
	struct message_page_frame lines[3] = {{3, 8, 12}, {3, 0, 0}, {0, 8, 1}};
	uint64_t link = 64;
	uint8_t *at = page;

	memcpy(at, &head, sizeof(head));
	memcpy(at += sizeof(head), tasks, sizeof(tasks));
	memcpy(at += sizeof(tasks), lines, sizeof(lines));
	memcpy(at += sizeof(lines), &link, sizeof(link));
	memcpy(at += sizeof(link), text, sizeof(text));
	return (size_t)(at - page) + sizeof(text);
}

static struct message_page_room room;

static void a_page_of_tasks_comes_back_as_written(void **state)
{
	uint8_t page[1024];
	size_t size = write_page(page), n = 0;

	(void)state;
	assert_int_equal(message_page_read(page, size, 7, &room, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(room.tasks[0].name, "a");
	assert_null(room.tasks[1].name);
	assert_int_equal(room.tasks[0].state, INSPECTOR_PYTASK_WAITING);
	assert_int_equal(room.tasks[0].tid, 5);
	assert_int_equal(room.tasks[0].wakes[0], 64);
	assert_int_equal(room.tasks[1].nwakes, 0);
	assert_true(room.tasks[1].cut);
	assert_string_equal(room.tasks[0].frames[0].function, "main");
	assert_string_equal(room.tasks[1].frames[1].file, "x.py");
	assert_int_equal(room.tasks[1].frames[1].line, 1);
}

static void wrong_pages_are_refused(void **state)
{
	const struct {
		size_t offset;
		uint32_t value;
	} wrong[] = {
		{offsetof(struct message_page, kind), MESSAGE_RESULT},
		{offsetof(struct message_page, ntasks), PAGE_TASKS + 1},
		{offsetof(struct message_page, nframes), 2},
		{offsetof(struct message_page, nlinks), UINT32_MAX},
		{offsetof(struct message_page, text_size), 0},
		{offsetof(struct message_page, cookie), 8},
		{sizeof(struct message_page) + offsetof(struct message_page_task, name), 13},
		{sizeof(struct message_page) + offsetof(struct message_page_task, waits),
		 UINT32_MAX},
		{sizeof(struct message_page) + offsetof(struct message_page_task, state), 3},
		{sizeof(struct message_page) + offsetof(struct message_page_task, tid), UINT32_MAX},
		{sizeof(struct message_page) + offsetof(struct message_page_task, nframes), 4},
		{sizeof(struct message_page) + offsetof(struct message_page_task, nframes), 0},
		{sizeof(struct message_page) + offsetof(struct message_page_task, nlinks), 2},
		{sizeof(struct message_page) + 2 * sizeof(struct message_page_task) +
			 offsetof(struct message_page_frame, function),
		 13},
		{sizeof(struct message_page) + 2 * sizeof(struct message_page_task) +
			 offsetof(struct message_page_frame, line),
		 UINT32_MAX},
	};
	uint8_t page[1024];
	size_t size, n;

	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(wrong); i++) {
		size = write_page(page);
		memcpy(page + wrong[i].offset, &wrong[i].value, sizeof(wrong[i].value));
		assert_int_equal(message_page_read(page, size, 7, &room, &n), -EBADMSG);
	}
	size = write_page(page);
	for (size_t k = 0; k < size; k++)
		assert_int_equal(message_page_read(page, k, 7, &room, &n), -EBADMSG);
	page[size - 1] = 'x'; /* a text without an end */
	assert_int_equal(message_page_read(page, size, 7, &room, &n), -EBADMSG);
}

/* A timer and a socket. The size. */
static size_t write_handles(uint8_t *list)
{
	static const char text[] = "\0on_timer";
	struct message_handle_list head = {.kind = MESSAGE_HANDLE_LIST,
					   .n = 2,
					   .omitted = 3,
					   .text_size = sizeof(text),
					   .cookie = 7};
	struct message_handle handles[2] = {{.timeout_ms = 500,
					     .fd = -1,
					     .kind = INSPECTOR_HANDLE_TIMER,
					     .flags = MESSAGE_HANDLE_ACTIVE,
					     .callback = 1},
					    {.fd = 4, .kind = INSPECTOR_HANDLE_TCP}};
	uint8_t *at = list;

	memcpy(at, &head, sizeof(head));
	memcpy(at += sizeof(head), handles, sizeof(handles));
	memcpy(at += sizeof(handles), text, sizeof(text));
	return (size_t)(at - list) + sizeof(text);
}

static void handles_come_back_as_written_and_wrong_ones_are_refused(void **state)
{
	const size_t one = sizeof(struct message_handle_list);
	const struct {
		size_t offset;
		uint32_t value;
	} wrong[] = {
		{offsetof(struct message_handle_list, kind), MESSAGE_TASK_PAGE},
		{offsetof(struct message_handle_list, n), 1},
		{offsetof(struct message_handle_list, n), INSPECTOR_HANDLES_MAX + 1},
		{offsetof(struct message_handle_list, text_size), 0},
		{offsetof(struct message_handle_list, text_size), UINT32_MAX},
		{offsetof(struct message_handle_list, cookie), 8},
		{one + offsetof(struct message_handle, kind), 0},
		{one + offsetof(struct message_handle, kind), INSPECTOR_HANDLE_KINDS},
		{one + offsetof(struct message_handle, callback), 10},
		{one + offsetof(struct message_handle, fd), (uint32_t)-2},
	};
	static struct inspector_handle handles[INSPECTOR_HANDLES_MAX];
	uint8_t list[1024];
	size_t size = write_handles(list), n = 0, omitted = 0;

	(void)state;
	assert_int_equal(message_handles_read(list, size, 7, handles, &n, &omitted), 0);
	assert_int_equal(n, 2);
	assert_int_equal(omitted, 3);
	assert_int_equal(handles[0].timeout_ms, 500);
	assert_string_equal(handles[0].callback, "on_timer");
	assert_true(handles[0].active && !handles[0].referenced);
	assert_int_equal(handles[1].fd, 4);
	assert_null(handles[1].callback);
	for (size_t i = 0; i < LSC_ARRAY_LEN(wrong); i++) {
		write_handles(list);
		memcpy(list + wrong[i].offset, &wrong[i].value, sizeof(wrong[i].value));
		assert_int_equal(message_handles_read(list, size, 7, handles, &n, &omitted),
				 -EBADMSG);
	}
	write_handles(list);
	for (size_t k = 0; k < size; k++)
		assert_int_equal(message_handles_read(list, k, 7, handles, &n, &omitted), -EBADMSG);
	list[size - 1] = 'x'; /* a text without an end */
	assert_int_equal(message_handles_read(list, size, 7, handles, &n, &omitted), -EBADMSG);
}

static void a_copy_comes_back_as_written_and_wrong_ones_are_refused(void **state)
{
	const struct message_copy good = {.kind = MESSAGE_STACK, .size = 16, .cookie = 7};
	struct {
		struct message_copy head;
		uint8_t bytes[16];
	} m = {.head = good, .bytes = "0123456789abcde"};
	const struct message_copy wrong[] = {
		{.kind = MESSAGE_COPY, .size = 16, .cookie = 7},
		{.kind = MESSAGE_STACK, .size = 16, .cookie = 8},
		{.kind = MESSAGE_STACK, .size = 15, .cookie = 7},
		{.kind = MESSAGE_STACK, .size = 17, .cookie = 7},
		{.kind = MESSAGE_STACK, .size = UINT32_MAX, .cookie = 7},
	};
	const void *bytes = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(message_copy_read(&m, sizeof(m), 7, &bytes, &size), 0);
	assert_int_equal(size, sizeof(m.bytes));
	assert_memory_equal(bytes, m.bytes, size);
	for (size_t k = 0; k < sizeof(m); k++)
		assert_int_equal(message_copy_read(&m, k, 7, &bytes, &size), -EBADMSG);
	for (size_t i = 0; i < LSC_ARRAY_LEN(wrong); i++) {
		m.head = wrong[i];
		assert_int_equal(message_copy_read(&m, sizeof(m), 7, &bytes, &size), -EBADMSG);
	}
	m.head = good;
	m.head.size = 0; /* it would have been left out */
	assert_int_equal(message_copy_read(&m, sizeof(m.head), 7, &bytes, &size), -EBADMSG);
}

static void maps_lines_are_read(void **state)
{
	(void)state;
	static struct maps_entry e;

	assert_int_equal(maps_parse("7f16a413b000-7f16a4161000 r-xp 00001000 fe:00 332835"
				    "                     /usr/lib/a b\\012c",
				    &e),
			 0);
	assert_int_equal(e.start, 0x7f16a413b000);
	assert_int_equal(e.end, 0x7f16a4161000);
	assert_int_equal(e.offset, 0x1000);
	assert_int_equal(e.major, 0xfe);
	assert_int_equal(e.minor, 0);
	assert_int_equal(e.inode, 332835);
	assert_true(e.exec);
	assert_string_equal(e.path, "/usr/lib/a b\nc");
	assert_int_equal(maps_parse("1000-2000 rw-s 00000000 00:01 5 /memfd:x (deleted)", &e), 0);
	assert_string_equal(e.path, "/memfd:x");
	assert_false(e.exec);
	assert_int_equal(maps_parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0", &e),
			 0);
	assert_string_equal(e.path, "");
}

static void other_lines_are_refused(void **state)
{
	(void)state;
	static struct maps_entry e;
	static char line[3 * MAPS_PATH_MAX];
	static const char *const bad[] = {
		"",
		"Size: 4 kB",
		"2000-1000 r-xp 0 0:0 0",
		"1000-2000 r-x 0 0:0 0",
		"1000-2000 r-xp 0 0:0",
	};

	for (size_t i = 0; i < LSC_ARRAY_LEN(bad); i++)
		assert_int_equal(maps_parse(bad[i], &e), -EINVAL);
	int n = snprintf(line, sizeof(line), "1000-2000 r-xp 0 0:0 1 ");
	memset(line + n, 'p', 2 * MAPS_PATH_MAX);
	assert_int_equal(maps_parse(line, &e), -EINVAL);
}

static int count_until(const struct maps_entry *e, void *arg)
{
	int *left = arg;

	return e->exec && --*left == 0 ? 42 : 0;
}

static void a_maps_file_is_read_in_pieces(void **state)
{
	(void)state;
	lsc_autoclose int fd = memfd_create("maps", MFD_CLOEXEC);
	int left = 1000000, lines = 3000;

	assert_true(fd >= 0);
	for (int i = 0; i < lines; i++)
		dprintf(fd, "%x000-%x000 r-xp 00000000 00:00 0 /some/file/%d\n", 16 + i, 17 + i, i);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(maps_each(fd, count_until, &left), 0);
	assert_int_equal(left, 1000000 - lines);
	lseek(fd, 0, SEEK_SET);
	left = 2000;
	assert_int_equal(maps_each(fd, count_until, &left), 42);
	lseek(fd, 0, SEEK_END);
	dprintf(fd, "half a li");
	lseek(fd, 0, SEEK_SET);
	left = lines + 1;
	assert_int_equal(maps_each(fd, count_until, &left), -EINVAL);
}

static void the_target_used_longest_ago_gives_way(void **state)
{
	(void)state;
	static struct target_set s;

	for (int pid = 1; pid <= MESSAGE_SLOTS; pid++)
		target_get(&s, pid, (uint64_t)pid);
	target_strike(target_find(&s, 1), 100);
	assert_false(target_quarantined(target_find(&s, 1), 100));
	target_strike(target_find(&s, 1), 100);
	assert_true(target_quarantined(target_find(&s, 1), 100));
	assert_false(target_quarantined(target_find(&s, 1), 100 + 31 * LSC_NS_PER_S));

	target_get(&s, 2, 101);
	assert_int_equal(target_get(&s, 1000, 102)->pid, 1000);
	assert_null(target_find(&s, 3)); /* 1 is older, but has a record to keep */
	assert_non_null(target_find(&s, 1));
	assert_non_null(target_find(&s, 2));
	assert_true(target_slot(&s, target_find(&s, 1000)) < MESSAGE_SLOTS);
}

static void each_strike_more_doubles_the_quarantine_up_to_about_an_hour(void **state)
{
	(void)state;
	struct target t = {.pid = 1};
	uint64_t now = 100, expected = 30 * LSC_NS_PER_S;

	target_strike(&t, now);
	for (int strike = 2; strike <= 20; strike++, now = t.strikes.until_ns) {
		target_strike(&t, now);
		assert_true(target_quarantined(&t, now + expected - 1));
		assert_false(target_quarantined(&t, now + expected));
		if (strike < 9)
			expected *= 2;
	}
	assert_int_equal(expected, 3840 * LSC_NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_comes_back_as_written),
		cmocka_unit_test(an_answer_holds_what_fits_and_no_more),
		cmocka_unit_test(wrong_answers_are_refused),
		cmocka_unit_test(a_lock_lies_in_what_was_found_or_the_answer_is_refused),
		cmocka_unit_test(random_answers_are_read_within_their_bounds),
		cmocka_unit_test(a_page_of_tasks_comes_back_as_written),
		cmocka_unit_test(wrong_pages_are_refused),
		cmocka_unit_test(handles_come_back_as_written_and_wrong_ones_are_refused),
		cmocka_unit_test(a_copy_comes_back_as_written_and_wrong_ones_are_refused),
		cmocka_unit_test(maps_lines_are_read),
		cmocka_unit_test(other_lines_are_refused),
		cmocka_unit_test(a_maps_file_is_read_in_pieces),
		cmocka_unit_test(the_target_used_longest_ago_gives_way),
		cmocka_unit_test(each_strike_more_doubles_the_quarantine_up_to_about_an_hour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
