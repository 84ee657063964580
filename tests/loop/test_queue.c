/* SPDX-License-Identifier: MIT */
/* Queues between tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/loopscope.h"

static void yields(int n)
{
	while (n-- > 0)
		assert_int_equal(lsc_yield(), 0);
}

static int compare(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b; /* the first letter alone */
}

static void put_all(struct lsc_queue *q, char **items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(lsc_queue_put_nowait(q, items[i]), 0);
}

static void assert_order(enum lsc_queue_order order, const char *want)
{
	static char *items[] = {"d1", "b1", "a1", "d2", "c1", "b2", "e1", "a2", "d3"};
	struct lsc_queue *q = lsc_queue_new(order, 0, order == LSC_PRIORITY ? compare : NULL);
	char got[64] = "";
	void *item;

	put_all(q, items, 9);
	for (int i = 0; i < 4; i++) { /* a ring that turns round */
		assert_int_equal(lsc_queue_get(q, &item), 0);
		strcat(got, item);
	}
	for (int round = 0; round < 30; round++) {
		put_all(q, items, 2);
		assert_int_equal(lsc_queue_get(q, &item), 0);
		assert_int_equal(lsc_queue_get(q, &item), 0);
	}
	assert_int_equal(lsc_queue_count(q), 5);
	assert_string_equal(got, want);
	lsc_queue_free(q);
}

static int main_of_order(void *arg)
{
	(void)arg;
	assert_order(LSC_FIFO, "d1b1a1d2");
	assert_order(LSC_LIFO, "d3a2e1b2");
	assert_order(LSC_PRIORITY, "a1a2b1b2");
	assert_null(lsc_queue_new(LSC_PRIORITY, 0, NULL));
	assert_null(lsc_queue_new(LSC_FIFO, 0, compare));
	assert_null(lsc_queue_new((enum lsc_queue_order)7, 0, NULL));
	return 0;
}

static void items_leave_in_the_order_of_the_queue(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_order, NULL), 0);
	assert_null(lsc_queue_new(LSC_FIFO, 0, NULL));
}

static int get_number(void *arg)
{
	void *item;
	int r = lsc_queue_get(arg, &item);

	return r < 0 ? r : (int)(intptr_t)item;
}

struct producer {
	struct lsc_queue *queue;
	intptr_t from;
};

static int produce(void *arg)
{
	struct producer *p = arg;

	for (intptr_t i = 0; i < 10; i++) {
		int r = lsc_queue_put(p->queue, (void *)(p->from + i));

		if (r < 0)
			return r;
	}
	return 0;
}

static int main_of_bound(void *arg)
{
	struct lsc_queue *q = lsc_queue_new(LSC_FIFO, 4, NULL);
	struct producer p[2] = {{q, 100}, {q, 200}};
	struct lsc_future *f[2] = {lsc_spawn(produce, &p[0], NULL),
				   lsc_spawn(produce, &p[1], NULL)};
	intptr_t next[2] = {100, 200};
	void *item;

	(void)arg;
	yields(3);
	assert_int_equal(lsc_queue_count(q), 4);
	assert_int_equal(lsc_queue_is_full(q), 1);
	assert_int_equal(lsc_queue_put_nowait(q, NULL), -EAGAIN);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(lsc_queue_get(q, &item), 0);
		intptr_t *n = &next[(intptr_t)item >= 200];
		assert_int_equal((intptr_t)item, (*n)++); /* each producer's in its order */
		assert_true(lsc_queue_count(q) <= 4);
	}
	assert_int_equal(lsc_queue_get_nowait(q, &item), -EAGAIN);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lsc_await(f[i]), 0);
		lsc_unref(f[i]);
	}
	lsc_queue_free(q);
	return 0;
}

static void a_full_queue_holds_its_producers_back(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_bound, NULL), 0);
}

static int put_one(void *arg)
{
	return lsc_queue_put(arg, (void *)7);
}

static int main_of_cancel(void *arg)
{
	struct lsc_queue *q = lsc_queue_new(LSC_FIFO, 1, NULL);
	struct lsc_future *a = lsc_spawn(get_number, q, NULL), *b = lsc_spawn(get_number, q, NULL);
	void *item;

	(void)arg;
	yields(1);
	/* The first was woken for the item when it is cancelled: the second gets it. */
	assert_int_equal(lsc_queue_put_nowait(q, (void *)5), 0);
	lsc_cancel(a);
	assert_int_equal(lsc_await(a), -ECANCELED);
	assert_int_equal(lsc_await(b), 5);
	lsc_unref(a);
	lsc_unref(b);
	/* The same with a place in a full queue. */
	assert_int_equal(lsc_queue_put_nowait(q, (void *)6), 0);
	a = lsc_spawn(put_one, q, NULL);
	b = lsc_spawn(put_one, q, NULL);
	yields(1);
	assert_int_equal(lsc_queue_get_nowait(q, &item), 0);
	lsc_cancel(a);
	assert_int_equal(lsc_await(a), -ECANCELED);
	assert_int_equal(lsc_await(b), 0);
	lsc_unref(a);
	lsc_unref(b);
	assert_int_equal(lsc_queue_count(q), 1);
	/* Freed under who waits. */
	a = lsc_spawn(put_one, q, NULL);
	yields(1);
	lsc_queue_free(q);
	assert_int_equal(lsc_await(a), -EIDRM);
	lsc_unref(a);
	return 0;
}

static void no_item_is_lost_with_a_cancelled_task(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_cancel, NULL), 0);
	assert_null(lsc_queue_free(NULL));
	assert_int_equal(lsc_queue_put(NULL, NULL), -EPERM);
	assert_int_equal(lsc_queue_get(NULL, NULL), -EPERM);
	assert_int_equal(lsc_queue_join(NULL), -EPERM);
}

static int join(void *arg)
{
	return lsc_queue_join(arg);
}

static int work(void *arg)
{
	void *item;
	int r;

	while ((r = lsc_queue_get(arg, &item)) == 0) {
		yields(1);
		assert_int_equal(lsc_queue_task_done(arg), 0);
	}
	return r;
}

static int main_of_join(void *arg)
{
	struct lsc_queue *q = lsc_queue_new(LSC_FIFO, 0, NULL);
	struct lsc_future *worker, *joiner;
	void *item;

	(void)arg;
	assert_int_equal(lsc_queue_join(q), 0); /* nothing to do */
	assert_int_equal(lsc_queue_task_done(q), -EINVAL);
	for (intptr_t i = 0; i < 5; i++)
		assert_int_equal(lsc_queue_put(q, (void *)i), 0);
	worker = lsc_spawn(work, q, NULL);
	joiner = lsc_spawn(join, q, NULL);
	yields(3);
	assert_int_equal(lsc_is_done(joiner), 0);
	assert_int_equal(lsc_await(joiner), 0);
	assert_int_equal(lsc_queue_count(q), 0);
	lsc_queue_put(q, NULL);
	lsc_queue_shutdown(q, NULL);
	assert_int_equal(lsc_queue_put(q, NULL), -ESHUTDOWN);
	assert_int_equal(lsc_await(worker), -ESHUTDOWN); /* after what was in */
	assert_int_equal(lsc_queue_join(q), 0);
	assert_int_equal(lsc_queue_get_nowait(q, &item), -ESHUTDOWN);
	lsc_unref(worker);
	lsc_unref(joiner);
	lsc_queue_free(q);
	return 0;
}

static void a_join_waits_for_the_work_on_every_item(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_join, NULL), 0);
}

static char dropped[16];

static void note_drop(void *item)
{
	size_t n = strlen(dropped);

	dropped[n] = (char)(intptr_t)item;
	dropped[n + 1] = '\0';
}

static int compare_letters(const void *a, const void *b)
{
	return (int)((intptr_t)a - (intptr_t)b);
}

static int main_of_drop(void *arg)
{
	struct lsc_queue *q = lsc_queue_new(LSC_PRIORITY, 3, compare_letters);
	void *item;

	(void)arg;
	for (const char *c = "dba"; *c; c++)
		assert_int_equal(lsc_queue_put(q, (void *)(intptr_t)*c), 0);
	struct lsc_future *putter = lsc_spawn(put_one, q, NULL);
	yields(1);
	assert_int_equal(lsc_queue_get(q, &item), 0); /* under work */
	assert_int_equal(lsc_queue_put_nowait(q, (void *)(intptr_t)'c'), 0);
	struct lsc_future *joiner = lsc_spawn(join, q, NULL);
	yields(1);
	lsc_queue_shutdown(q, note_drop);
	assert_string_equal(dropped, "bcd");
	assert_int_equal(lsc_queue_count(q), 0);
	assert_int_equal(lsc_await(putter), -ESHUTDOWN);
	assert_int_equal(lsc_queue_get(q, &item), -ESHUTDOWN);
	yields(2);
	assert_int_equal(lsc_is_done(joiner), 0); /* for what was got before */
	assert_int_equal(lsc_queue_task_done(q), 0);
	assert_int_equal(lsc_await(joiner), 0);
	assert_int_equal(lsc_queue_task_done(q), -EINVAL);
	lsc_unref(putter);
	lsc_unref(joiner);
	lsc_queue_free(q);
	return 0;
}

static void a_shutdown_may_drop_what_is_in(void **state)
{
	(void)state;
	assert_int_equal(lsc_run(main_of_drop, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_leave_in_the_order_of_the_queue),
		cmocka_unit_test(a_full_queue_holds_its_producers_back),
		cmocka_unit_test(no_item_is_lost_with_a_cancelled_task),
		cmocka_unit_test(a_join_waits_for_the_work_on_every_item),
		cmocka_unit_test(a_shutdown_may_drop_what_is_in),
	};
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
