/* SPDX-License-Identifier: MIT */
/*
 * An event loop as a restaurant. The waiter is the loop: there is one of him, and all tables are
 * his. The kitchen is input and output: it cooks by itself while the waiter does something else.
 * What is cooked waits on a tray, and the waiter serves from it first, before he takes another
 * order.
 *
 *     restaurant [--tables N] [--courses N] [--cooking MS] [--waiter-cooks] [--each]
 *
 * With --waiter-cooks he goes into the kitchen and cooks each dish by himself. Nothing else happens
 * meanwhile: dishes get cold on the tray, tables starve. `loopscope record -- restaurant
 * --waiter-cooks` says so; with --each the restaurant tells by itself how long each table starved:
 * its dish stood before it and the waiter did not let it eat.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loopscope/loopscope.h"

#define NS_PER_MS 1000000ull
#define COOKS	  4

struct options {
	unsigned tables;
	unsigned courses;
	unsigned cooking_ms;
	bool waiter_cooks;
	bool each;
};

struct restaurant {
	struct options options;
	struct lsc_queue *orders;  /* what tables have called for; the waiter's */
	struct lsc_queue *tickets; /* what hangs in the kitchen; the cooks' */
	struct lsc_queue *tray;	   /* what is ready; the waiter's */
	struct lsc_event *bell;	   /* there is something for the waiter */
	unsigned served;
	uint64_t longest_on_tray_ns;
	uint64_t longest_wait_ns; /* of a table, from the order to the dish */
	uint64_t cooked_ns;	  /* by the waiter */
	uint64_t *starved_ns;	  /* of each table */
	unsigned seated;
};

/* On the stack of the table's task, which waits until it is served. */
struct dish {
	struct lsc_event *served;
	uint64_t ready_ns;
	uint64_t served_ns;
};

/* ---- the tables ---- */

static int eat_one_course(struct restaurant *r, struct dish *dish, unsigned number)
{
	uint64_t ordered_ns = lsc_time();

	lsc_event_clear(dish->served);
	int e = lsc_queue_put(r->orders, dish);
	if (e < 0)
		return e;
	lsc_event_set(r->bell);
	e = lsc_event_wait(dish->served);
	if (e < 0)
		return e;
	uint64_t waited_ns = lsc_time() - ordered_ns;
	r->starved_ns[number] += lsc_time() - dish->served_ns;
	if (waited_ns > r->longest_wait_ns)
		r->longest_wait_ns = waited_ns;
	return lsc_sleep(r->options.cooking_ms * NS_PER_MS / 2); /* eating takes time, too */
}

static int table(void *arg)
{
	struct restaurant *r = arg;
	struct dish dish = {.served = lsc_event_new()};
	unsigned number = r->seated++;
	int e = dish.served ? 0 : -ENOMEM;

	for (unsigned course = 0; course < r->options.courses && e == 0; course++)
		e = eat_one_course(r, &dish, number);
	lsc_event_free(dish.served);
	return e;
}

/* ---- the kitchen ---- */

static void put_on_tray(struct restaurant *r, struct dish *dish)
{
	dish->ready_ns = lsc_time();
	lsc_queue_put_nowait(r->tray, dish); /* it has room for every table's */
	lsc_event_set(r->bell);
}

/* The oven is not the cook: while a dish is in it, this task is suspended. */
static int cook(void *arg)
{
	struct restaurant *r = arg;

	for (;;) {
		void *dish;
		int e = lsc_queue_get(r->tickets, &dish);

		if (e == 0)
			e = lsc_sleep(r->options.cooking_ms * NS_PER_MS);
		if (e < 0)
			return e;
		put_on_tray(r, dish);
	}
}

/* The waiter stands in the kitchen: the loop is held until the dish is done. */
static void cook_by_himself(struct restaurant *r, struct dish *dish)
{
	struct timespec left = {.tv_nsec = (long)(r->options.cooking_ms % 1000 * NS_PER_MS),
				.tv_sec = r->options.cooking_ms / 1000};
	uint64_t begin_ns = lsc_time();

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	r->cooked_ns += lsc_time() - begin_ns;
	put_on_tray(r, dish);
}

/* ---- the waiter ---- */

static void serve_ready_dishes(struct restaurant *r)
{
	void *item;

	while (lsc_queue_get_nowait(r->tray, &item) == 0) {
		struct dish *dish = item;
		uint64_t lay_ns = lsc_time() - dish->ready_ns;

		if (lay_ns > r->longest_on_tray_ns)
			r->longest_on_tray_ns = lay_ns;
		r->served++;
		dish->served_ns = lsc_time();
		lsc_event_set(dish->served);
	}
}

static int wait_tables(void *arg)
{
	struct restaurant *r = arg;

	for (;;) {
		void *dish;
		int e = lsc_event_wait(r->bell);

		if (e < 0)
			return e;
		lsc_event_clear(r->bell);
		serve_ready_dishes(r);
		while (lsc_queue_get_nowait(r->orders, &dish) == 0) {
			if (r->options.waiter_cooks)
				cook_by_himself(r, dish);
			else
				lsc_queue_put_nowait(r->tickets, dish);
			serve_ready_dishes(r);
		}
	}
}

/* ---- an evening ---- */

static int seat_guests(struct restaurant *r)
{
	struct lsc_group *group = lsc_group_new();
	char name[24];
	int e = group ? 0 : -ENOMEM;

	for (unsigned i = 1; i <= r->options.tables && e == 0; i++) {
		snprintf(name, sizeof(name), "table %u", i);
		struct lsc_future *task = lsc_group_spawn(group, table, r, name);
		e = task ? 0 : -ENOMEM;
		lsc_unref(task);
	}
	return group ? lsc_group_end(group, e) : e;
}

static int open_restaurant(void *arg)
{
	struct restaurant *r = arg;
	struct lsc_future *staff[1 + COOKS] = {NULL};
	char name[24];
	int e = -ENOMEM;

	r->orders = lsc_queue_new(LSC_FIFO, 0, NULL);
	r->tickets = lsc_queue_new(LSC_FIFO, 0, NULL);
	r->tray = lsc_queue_new(LSC_FIFO, 0, NULL);
	r->bell = lsc_event_new();
	if (r->orders && r->tickets && r->tray && r->bell) {
		staff[0] = lsc_spawn(wait_tables, r, "waiter");
		for (int i = 1; i <= COOKS; i++) {
			snprintf(name, sizeof(name), "cook %d", i);
			staff[i] = lsc_spawn(cook, r, name);
		}
		e = lsc_sleep(r->options.cooking_ms * NS_PER_MS); /* the stoves get warm */
		if (e == 0)
			e = seat_guests(r);
	}
	for (int i = 0; i <= COOKS; i++) {
		if (staff[i]) {
			lsc_cancel(staff[i]);
			lsc_await(staff[i]);
		}
		lsc_unref(staff[i]);
	}
	lsc_event_free(r->bell);
	lsc_queue_free(r->tray);
	lsc_queue_free(r->tickets);
	lsc_queue_free(r->orders);
	return e;
}

/* ---- command line ---- */

static int number(const char *text, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value == 0 || value > max)
		return -1;
	*ret = (unsigned)value;
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option table_of_options[] = {
		{"tables", required_argument, NULL, 't'},
		{"courses", required_argument, NULL, 'c'},
		{"cooking", required_argument, NULL, 'm'},
		{"waiter-cooks", no_argument, NULL, 'w'},
		{"each", no_argument, NULL, 'e'},
		{NULL, 0, NULL, 0},
	};
	int r = 0, opt;

	while (r == 0 && (opt = getopt_long(argc, argv, "", table_of_options, NULL)) != -1) {
		if (opt == 't')
			r = number(optarg, 1000, &o->tables);
		else if (opt == 'c')
			r = number(optarg, 1000, &o->courses);
		else if (opt == 'm')
			r = number(optarg, 60000, &o->cooking_ms);
		else if (opt == 'w')
			o->waiter_cooks = true;
		else if (opt == 'e')
			o->each = true;
		else
			r = -1;
	}
	return r == 0 && optind < argc ? -1 : r;
}

static void tell(const struct restaurant *r, uint64_t evening_ns)
{
	printf("%u dishes in %.3f s; the longest on the tray %.3f ms, the longest wait of a table "
	       "%.3f ms\n",
	       r->served, (double)evening_ns / 1e9, (double)r->longest_on_tray_ns / 1e6,
	       (double)r->longest_wait_ns / 1e6);
	if (!r->options.each)
		return;
	printf("the waiter cooked for %.3f ms\n", (double)r->cooked_ns / 1e6);
	for (unsigned i = 0; i < r->seated; i++)
		printf("table %u starved for %.3f ms\n", i + 1, (double)r->starved_ns[i] / 1e6);
}

int main(int argc, char **argv)
{
	struct restaurant r = {.options = {.tables = 8, .courses = 3, .cooking_ms = 50}};

	if (parse(argc, argv, &r.options) < 0) {
		fputs("usage: restaurant [--tables N] [--courses N] [--cooking MS] "
		      "[--waiter-cooks] [--each]\n",
		      stderr);
		return 2;
	}
	r.starved_ns = calloc(r.options.tables, sizeof(*r.starved_ns));
	uint64_t begin_ns = lsc_time();
	int e = r.starved_ns ? lsc_run(open_restaurant, &r) : -ENOMEM;
	if (e < 0)
		fprintf(stderr, "restaurant: %s\n", strerror(-e));
	else
		tell(&r, lsc_time() - begin_ns);
	free(r.starved_ns);
	return e < 0;
}
