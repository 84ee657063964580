/* SPDX-License-Identifier: MIT */
/* Every kind of row, with everything set, with everything unknown, at the ends of the ranges. */
#include "fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lsc_histogram hist;

static const struct store_target targets[] = {
	{.id = 1},
	{2, INT_MAX, 7, "comm", "/exe", "python", "3.11", "/cg", 1, 2},
	{INT64_MAX, INT_MIN, INT_MIN, "", "", "\xff\xfe", "\x1b[2J", "'\"%s", INT64_MAX, INT64_MAX},
};
static const struct store_loop loops[] = {
	{.id = 1},
	{2, 1, 9, "comm", STORE_SOURCE_BOTH, "libuv", "epoll_wait", -1, 1, 2, 3, 4, 5, 6, &hist, 7,
	 8},
	{INT64_MAX, INT64_MAX, INT_MIN, "", 99, "", "", INT_MIN, INT64_MAX, INT64_MAX, INT64_MAX,
	 INT64_MAX, INT64_MAX, INT64_MAX, NULL, INT64_MAX, INT64_MAX},
};
static const struct store_task tasks[] = {
	{.id = 1},
	{2,
	 1,
	 3,
	 "name",
	 STORE_TASK_CALLBACK,
	 {"f", "a.c", 4},
	 1,
	 "suspended",
	 "timer",
	 5,
	 6,
	 7,
	 8,
	 9,
	 10,
	 &hist},
	{INT64_MAX,
	 INT64_MAX,
	 UINT32_MAX,
	 "",
	 77,
	 {"", "", INT_MIN},
	 INT64_MAX,
	 "",
	 "",
	 INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 NULL},
};
static const struct store_stall stalls[] = {
	{.id = 1},
	{2, 1, 3, 4, 5, 6, STORE_MODE_RING, true, true, 7, 8, {1, 0, 3}},
	{INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 INT64_MAX,
	 99,
	 false,
	 true,
	 INT64_MAX,
	 INT64_MAX,
	 {[LSC_CAUSE_OTHER] = INT64_MAX, [LSC_CAUSE_SLEEP] = 1}},
};
static const struct store_culprit culprits[] = {
	{1, 1, 0}, {1, 2, 3}, {INT64_MAX, INT64_MAX, INT64_MAX}};
static const struct store_block blocks[] = {
	{.id = 1},
	{2,    1,     3,      4,    5,	     6,	    7, "read", LSC_CAUSE_FILE_IO,
	 true, "{}",  "file", "/p", "peer",  "tcp", 8, "sh",   9,
	 10,   "own", 11,     12,   "waker", 13,    14},
	{INT64_MAX, INT64_MAX, INT64_MAX,
	 INT64_MAX, INT64_MAX, INT64_MAX,
	 INT64_MAX, "",	       LSC_CAUSE_OTHER,
	 false,	    "",	       "",
	 "",	    "",	       "",
	 INT_MAX,   "",	       INT64_MAX,
	 INT_MIN,   "",	       INT64_MAX,
	 INT_MIN,   "",	       INT64_MAX,
	 INT64_MAX},
};
static const struct store_sample samples[] = {
	{0},
	{1, 2, 3, 4, 5, true, 6},
	{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, false, INT64_MAX},
};
static const struct store_wait waits[] = {
	{.id = 1},
	{2, 1, STORE_WAIT_SOCKET, 3, 4, "peer", "name", 5, 6},
	{INT64_MAX, INT64_MAX, 99, INT64_MAX, INT_MIN, "", "", INT64_MAX, INT64_MAX},
};
static const struct store_mode_span modes[] = {
	{0}, {1, 2, 3, STORE_MODE_PRECISE}, {INT64_MAX, INT64_MAX, INT64_MAX, 99}};
static const struct store_frame frames[] = {
	{0},
	{STORE_LANG_JS, "f", "x.js", "/usr/bin/node", "abcd", 7, 0x1234, true},
	{99, "", "", "", "", INT_MIN, UINT64_MAX, false},
};
static const struct store_stack stacks[] = {
	{.id = 1}, {2, true, 3, frames}, {INT64_MAX, false, 1, frames + 2}};
static const struct store_chunk chunks[] = {
	{.id = 1},
	{2, 1, 2, 3, 4, "\0data", 5},
	{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0, "x", 1}};

static const struct store_mark marks[] = {
	{0}, {1, 2, 3, "checkout begin"}, {INT64_MAX, INT64_MAX, INT64_MAX, "\xff\x1b[2J"}};
static const struct store_counter counters[] = {{.id = 1, .name = ""},
						{2, 1, "queue", 3, 4, 5, 6, -7, 8},
						{INT64_MAX, INT64_MAX, "\xff", INT64_MAX, INT64_MAX,
						 INT64_MAX, INT64_MIN, INT64_MIN, INT64_MAX}};

static const struct store_site_stack site_stacks[] = {
	{.id = 1},
	{2, 1, {"serve", "app.c", 88}, 3277, 65536},
	{INT64_MAX, INT64_MAX, {"", "\xff", INT_MIN}, INT64_MAX, INT64_MAX}};

static void same_text(const char *a, const char *b)
{
	if (!a || !b)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

#define NUMBER(field) assert_int_equal(got->field, want->field)
#define TEXT(field)   same_text(got->field, want->field)
#define WANT(array)                                                                                \
	size_t *n = arg;                                                                           \
	assert_in_range(*n, 0, sizeof(array) / sizeof(array[0]) - 1);                              \
	const __typeof__(array[0]) *want = &array[(*n)++]

static void same_histogram(const struct lsc_histogram *got, const struct lsc_histogram *want)
{
	assert_int_equal(!got, !want);
	if (want)
		assert_memory_equal(got, want, sizeof(*want));
}

static int see_target(const struct store_target *got, void *arg)
{
	WANT(targets);
	NUMBER(id), NUMBER(pid), NUMBER(ns_pid), NUMBER(first_ns), NUMBER(last_ns);
	TEXT(comm), TEXT(exe), TEXT(runtime), TEXT(runtime_version), TEXT(cgroup);
	return 0;
}

static int see_loop(const struct store_loop *got, void *arg)
{
	WANT(loops);
	NUMBER(id), NUMBER(target), NUMBER(tid), NUMBER(source), NUMBER(wait_fd), NUMBER(first_ns),
		NUMBER(last_ns);
	NUMBER(ticks), NUMBER(busy_ns), NUMBER(idle_ns), NUMBER(runqueue_ns), NUMBER(stalled_ns),
		NUMBER(stall_count);
	TEXT(comm), TEXT(runtime), TEXT(wait_syscall);
	same_histogram(got->lag, want->lag);
	return 0;
}

static int see_task(const struct store_task *got, void *arg)
{
	WANT(tasks);
	NUMBER(id), NUMBER(loop), NUMBER(ring_id), NUMBER(kind), NUMBER(spawn_site.line),
		NUMBER(parent), NUMBER(awaits);
	NUMBER(created_ns), NUMBER(ended_ns), NUMBER(steps), NUMBER(run_ns), NUMBER(max_step_ns);
	TEXT(name), TEXT(spawn_site.function), TEXT(spawn_site.file), TEXT(state), TEXT(waiting_on);
	same_histogram(got->ready_wait, want->ready_wait);
	return 0;
}

static int see_stall(const struct store_stall *got, void *arg)
{
	WANT(stalls);
	NUMBER(id), NUMBER(loop), NUMBER(start_ns), NUMBER(duration_ns), NUMBER(duration_min_ns),
		NUMBER(duration_max_ns);
	NUMBER(mode), NUMBER(in_progress), NUMBER(inferred), NUMBER(task), NUMBER(stack);
	assert_memory_equal(got->split, want->split, sizeof(want->split));
	return 0;
}

static int see_culprit(const struct store_culprit *got, void *arg)
{
	WANT(culprits);
	NUMBER(stall), NUMBER(task), NUMBER(ns);
	return 0;
}

static int see_block(const struct store_block *got, void *arg)
{
	WANT(blocks);
	NUMBER(id), NUMBER(loop), NUMBER(stall), NUMBER(task), NUMBER(start_ns),
		NUMBER(duration_ns), NUMBER(count);
	NUMBER(cause), NUMBER(inferred), NUMBER(resource_pid), NUMBER(requested_ns),
		NUMBER(owner_tid);
	NUMBER(owner_stack), NUMBER(waker_pid), NUMBER(stack), NUMBER(kernel_stack);
	TEXT(syscall), TEXT(args_json), TEXT(resource_kind), TEXT(path), TEXT(peer), TEXT(proto),
		TEXT(resource_comm);
	TEXT(owner_comm), TEXT(waker_comm);
	return 0;
}

static int see_sample(const struct store_sample *got, void *arg)
{
	WANT(samples);
	NUMBER(loop), NUMBER(stall), NUMBER(task), NUMBER(ts_ns), NUMBER(ns), NUMBER(kernel),
		NUMBER(stack);
	return 0;
}

static int see_wait(const struct store_wait *got, void *arg)
{
	WANT(waits);
	NUMBER(id), NUMBER(loop), NUMBER(kind), NUMBER(task), NUMBER(fd), NUMBER(ready_ns),
		NUMBER(wait_ns);
	TEXT(peer), TEXT(name);
	return 0;
}

static int see_mode(const struct store_mode_span *got, void *arg)
{
	WANT(modes);
	NUMBER(loop), NUMBER(from_ns), NUMBER(to_ns), NUMBER(mode);
	return 0;
}

static void same_frame(const struct store_frame *got, const struct store_frame *want)
{
	NUMBER(lang), NUMBER(line), NUMBER(offset), NUMBER(inlined);
	TEXT(function), TEXT(file), TEXT(module), TEXT(build_id);
}

static int see_stack(const struct store_stack *got, void *arg)
{
	WANT(stacks);
	NUMBER(id), NUMBER(truncated), NUMBER(nframes);
	for (size_t i = 0; i < want->nframes; i++)
		same_frame(&got->frames[i], &want->frames[i]);
	return 0;
}

static int see_chunk(const struct store_chunk *got, void *arg)
{
	WANT(chunks);
	NUMBER(id), NUMBER(loop), NUMBER(first_ns), NUMBER(last_ns), NUMBER(count), NUMBER(size);
	if (want->size)
		assert_memory_equal(got->data, want->data, want->size);
	return 0;
}

static int see_mark(const struct store_mark *got, void *arg)
{
	WANT(marks);
	NUMBER(loop), NUMBER(task), NUMBER(ts_ns);
	TEXT(text);
	return 0;
}

static int see_counter(const struct store_counter *got, void *arg)
{
	WANT(counters);
	NUMBER(id), NUMBER(loop), NUMBER(count), NUMBER(first_ns), NUMBER(last_ns);
	NUMBER(last), NUMBER(min), NUMBER(max);
	TEXT(name);
	return 0;
}

static int see_site_stack(const struct store_site_stack *got, void *arg)
{
	WANT(site_stacks);
	NUMBER(id), NUMBER(loop), NUMBER(site.line), NUMBER(used), NUMBER(size);
	TEXT(site.function), TEXT(site.file);
	return 0;
}

#define PUT(kind, array)                                                                           \
	for (size_t i_ = 0; i_ < sizeof(array) / sizeof(array[0]); i_++)                           \
	assert_int_equal(store_put_##kind(s, &array[i_]), 0)
#define SEE(kind, array)                                                                           \
	do {                                                                                       \
		size_t seen_ = 0;                                                                  \
		assert_int_equal(store_each_##kind(s, see_##kind, &seen_), 0);                     \
		assert_int_equal(seen_, sizeof(array) / sizeof(array[0]));                         \
	} while (0)

static void every_row_comes_back_as_it_was_put(void **state)
{
	(void)state;
	struct store *s = fixture_create("rows.lsc");

	for (int i = 0; i < 1000; i++)
		lsc_hist_add(&hist, (uint64_t)i * i * i);
	PUT(target, targets);
	PUT(loop, loops);
	PUT(task, tasks);
	PUT(stall, stalls);
	PUT(culprit, culprits);
	PUT(block, blocks);
	PUT(sample, samples);
	PUT(wait, waits);
	PUT(mode, modes);
	PUT(stack, stacks);
	PUT(chunk, chunks);
	PUT(mark, marks);
	PUT(counter, counters);
	PUT(site_stack, site_stacks);
	assert_int_equal(store_put_counter(s, &(struct store_counter){.id = 4}), -EINVAL);
	assert_int_equal(store_finish(s, NULL), 0);

	s = fixture_open("rows.lsc");
	SEE(target, targets);
	SEE(loop, loops);
	SEE(task, tasks);
	SEE(stall, stalls);
	SEE(culprit, culprits);
	SEE(block, blocks);
	SEE(sample, samples);
	SEE(wait, waits);
	SEE(mode, modes);
	SEE(stack, stacks);
	SEE(chunk, chunks);
	SEE(mark, marks);
	SEE(counter, counters);
	SEE(site_stack, site_stacks);
	assert_null(store_close(s));
}

static int append_pair(const char *a, const char *b, void *arg)
{
	strcat(strcat(strcat(strcat(arg, a), "="), b), ";");
	return 0;
}

static int append_count(const char *what, const char *why, uint64_t n, void *arg)
{
	sprintf((char *)arg + strlen(arg), "%s/%s=%llu;", what, why, (unsigned long long)n);
	return 0;
}

static int append_loss(enum lsc_loss reason, uint64_t n, void *arg)
{
	sprintf((char *)arg + strlen(arg), "%s=%llu;", lsc_loss_name(reason),
		(unsigned long long)n);
	return 0;
}

static int append_step(uint64_t ts_ns, const char *what, void *arg)
{
	sprintf((char *)arg + strlen(arg), "%llu=%s;", (unsigned long long)ts_ns, what);
	return 0;
}

static void losses_are_totals_what_is_unresolved_adds_up_and_repeats_are_kept_once(void **state)
{
	(void)state;
	struct store *s = fixture_create("ledger.lsc");
	char text[4][500] = {{0}};

	assert_int_equal(store_put_loss(s, LSC_LOSS_QUOTA, 0), 0);
	assert_int_equal(store_put_loss(s, LSC_LOSS_MAP_FULL, 3), 0);
	assert_int_equal(store_put_loss(s, LSC_LOSS_MAP_FULL, 4), 0);
	assert_int_equal(store_put_loss(s, LSC_LOSS_SHUTDOWN, INT64_MAX), 0);
	assert_int_equal(store_put_loss(s, LSC_LOSS_SHUTDOWN, INT64_MAX), 0);
	assert_int_equal(store_put_loss(s, LSC_LOSS_COUNT, 1), -EINVAL);
	assert_int_equal(store_put_loss(s, (enum lsc_loss) - 1, 1), -EINVAL);
	assert_int_equal(store_put_unseen(s, "kprobes", "not built"), 0);
	assert_int_equal(store_put_unseen(s, "kprobes", "not built"), 0);
	assert_int_equal(store_put_unseen(s, "kprobes", NULL), -EINVAL);
	assert_int_equal(store_add_unresolved(s, "frame", "stripped", 2), 0);
	assert_int_equal(store_add_unresolved(s, "frame", "stripped", 5), 0);
	assert_int_equal(store_add_unresolved(s, "frame", "deadline", 1), 0);
	assert_int_equal(store_put_step(s, 9, "stacks off"), 0);
	assert_int_equal(store_put_step(s, 5, "samples off"), 0);
	assert_int_equal(store_finish(s, NULL), 0);

	s = fixture_open("ledger.lsc");
	assert_int_equal(store_each_loss(s, append_loss, text[0]), 0);
	assert_string_equal(text[0], "map-full=4;shutdown=4611686018427387903;");
	assert_int_equal(store_each_unseen(s, append_pair, text[1]), 0);
	assert_string_equal(text[1], "kprobes=not built;");
	assert_int_equal(store_each_unresolved(s, append_count, text[2]), 0);
	assert_string_equal(text[2], "frame/deadline=1;frame/stripped=7;");
	assert_int_equal(store_each_step(s, append_step, text[3]), 0);
	assert_string_equal(text[3], "9=stacks off;5=samples off;");
	store_close(s);
}

static void meta_values_are_kept_and_numbers_have_a_fallback(void **state)
{
	(void)state;
	struct store *s = fixture_create("meta.lsc");
	char all[200] = "";

	assert_int_equal(store_meta_put(s, "unknown.key", "x"), 0);
	assert_int_equal(store_meta_put(s, "unknown.key", "kept"), 0);
	assert_int_equal(store_meta_put_int(s, "least", INT64_MIN), 0);
	assert_int_equal(store_meta_put(s, "empty", ""), 0);
	assert_int_equal(store_meta_put(s, "huge", "9223372036854775808"), 0);
	assert_int_equal(store_meta_put(s, NULL, "x"), -EINVAL);
	assert_string_equal(store_meta_get(s, "unknown.key"), "kept");
	assert_int_equal(store_finish(s, NULL), 0);

	s = fixture_open("meta.lsc");
	assert_int_equal(store_each_meta(s, append_pair, all), 0);
	assert_string_equal(
		all,
		"empty=;huge=9223372036854775808;least=-9223372036854775808;unknown.key=kept;");
	assert_int_equal(store_meta_get_int(s, "least", 1), INT64_MIN);
	assert_int_equal(store_meta_get_int(s, "absent", 42), 42);
	assert_int_equal(store_meta_get_int(s, "empty", 42), 42);
	assert_int_equal(store_meta_get_int(s, "huge", 42), 42);
	assert_int_equal(store_meta_get_int(s, "unknown.key", 42), 42);
	assert_null(store_meta_get(s, "absent"));
	assert_int_equal(store_meta_put(s, "a", "b"), -EROFS);
	assert_int_equal(store_commit(s), -EROFS);
	store_close(s);
}

static int see_second_stack(const struct store_stack *got, void *arg)
{
	assert_int_equal(got->nframes, 1);
	assert_string_equal(got->frames[0].function, "f");
	++*(int *)arg;
	return 0;
}

static int see_second_stall(const struct store_stall *got, void *arg)
{
	assert_int_equal(got->duration_ns, 8);
	assert_int_equal(got->split[LSC_CAUSE_SLEEP], 0);
	assert_int_equal(got->split[LSC_CAUSE_GIL], 8);
	++*(int *)arg;
	return 0;
}

static void a_later_row_of_the_same_id_replaces_the_earlier_one_with_its_parts(void **state)
{
	(void)state;
	struct store *s = fixture_create("upsert.lsc");
	struct store_stack stack = {.id = 5, .nframes = 3, .frames = frames};
	struct store_stall stall = {.id = 5, .duration_ns = 7, .split = {[LSC_CAUSE_SLEEP] = 7}};
	int seen = 0;

	assert_int_equal(store_put_stack(s, &stack), 0);
	assert_int_equal(store_put_stall(s, &stall), 0);
	assert_int_equal(store_commit(s), 0);
	stack.frames = frames + 1;
	stack.nframes = 1;
	stall = (struct store_stall){.id = 5, .duration_ns = 8, .split = {[LSC_CAUSE_GIL] = 8}};
	assert_int_equal(store_put_stack(s, &stack), 0);
	assert_int_equal(store_put_stall(s, &stall), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	s = fixture_open("upsert.lsc");
	assert_int_equal(store_each_stack(s, see_second_stack, &seen), 0);
	assert_int_equal(store_each_stall(s, see_second_stall, &seen), 0);
	assert_int_equal(seen, 2);
	store_close(s);
}

static int see_cut(const struct store_task *got, void *arg)
{
	assert_int_equal(strlen(got->name), STORE_TEXT_MAX - 1);
	assert_true((unsigned char)got->name[STORE_TEXT_MAX - 2] == 0xac);
	++*(int *)arg;
	return 0;
}

static int see_no_args(const struct store_block *got, void *arg)
{
	assert_null(got->args_json);
	assert_int_equal(strlen(got->path), STORE_TEXT_MAX);
	++*(int *)arg;
	return 0;
}

static void long_texts_are_cut_between_characters_and_long_json_is_left_out(void **state)
{
	(void)state;
	struct store *s = fixture_create("long.lsc");
	char *text = malloc(3 * STORE_TEXT_MAX + 1), *plain = malloc(STORE_TEXT_MAX + 3);
	struct store_task task = {.id = 1, .name = text};
	struct store_block block = {.id = 1, .args_json = plain, .path = plain};
	int seen = 0;

	assert_true(text && plain);
	for (int i = 0; i < STORE_TEXT_MAX; i++)
		memcpy(text + 3L * i, "\xe2\x82\xac", 4); /* 3 does not divide 4096 */
	memset(plain, 'x', STORE_TEXT_MAX + 2);
	plain[STORE_TEXT_MAX + 2] = '\0';
	assert_int_equal(store_put_task(s, &task), 0);
	assert_int_equal(store_put_block(s, &block), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	free(text);
	free(plain);
	s = fixture_open("long.lsc");
	assert_int_equal(store_each_task(s, see_cut, &seen), 0);
	assert_int_equal(store_each_block(s, see_no_args, &seen), 0);
	assert_int_equal(seen, 2);
	store_close(s);
}

static void what_is_not_a_row_is_refused_and_harms_nothing(void **state)
{
	(void)state;
	struct store *s = fixture_create("refused.lsc");
	size_t seen = 0;

	assert_int_equal(store_put_target(s, &targets[0]), 0);
	assert_int_equal(store_put_target(s, &(struct store_target){.id = 0}), -EINVAL);
	assert_int_equal(store_put_task(s, &(struct store_task){.id = -1}), -EINVAL);
	assert_int_equal(store_put_task(s, &(struct store_task){.id = 1, .parent = -1}), -EINVAL);
	assert_int_equal(store_put_stack(s, &(struct store_stack){.id = 1, .nframes = 100000}),
			 -EINVAL);
	assert_int_equal(store_put_chunk(s, &(struct store_chunk){.id = 1, .size = 100000}),
			 -EINVAL);
	assert_int_equal(store_put_target(s, &targets[1]), 0);
	assert_int_equal(store_put_target(s, &targets[2]), 0);
	assert_int_equal(store_finish(s, NULL), 0);
	s = fixture_open("refused.lsc");
	SEE(target, targets);
	assert_int_equal(store_each_task(s, see_task, &seen), 0);
	assert_int_equal(seen, 0);
	store_close(s);
}

static int stop(const struct store_target *row, void *arg)
{
	(void)row;
	return ++*(int *)arg == 2 ? 17 : 0;
}

static void a_callback_ends_the_walk_with_its_answer(void **state)
{
	(void)state;
	struct store *s = fixture_open("rows.lsc");
	int seen = 0;

	assert_int_equal(store_each_target(s, stop, &seen), 17);
	assert_int_equal(seen, 2);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_comes_back_as_it_was_put),
		cmocka_unit_test(a_callback_ends_the_walk_with_its_answer),
		cmocka_unit_test(
			losses_are_totals_what_is_unresolved_adds_up_and_repeats_are_kept_once),
		cmocka_unit_test(meta_values_are_kept_and_numbers_have_a_fallback),
		cmocka_unit_test(
			a_later_row_of_the_same_id_replaces_the_earlier_one_with_its_parts),
		cmocka_unit_test(long_texts_are_cut_between_characters_and_long_json_is_left_out),
		cmocka_unit_test(what_is_not_a_row_is_refused_and_harms_nothing),
	};
	return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
