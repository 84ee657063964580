/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define ROUNDS_MIN 5
#define ROUNDS_MAX 201
#define BUDGET_NS  (400 * LSC_NS_PER_MS) /* of one figure */

static const char *only;

void measure_choose(int argc, char **argv)
{
	only = argc > 1 ? argv[1] : NULL;
}

bool measure_wants(const char *name)
{
	return !only || strcmp(only, name) == 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, unsigned n)
{
	qsort(values, n, sizeof(values[0]), compare);
	return values[n / 2];
}

static double round_ns(void (*round)(void *arg), void *arg, unsigned calls)
{
	uint64_t begin_ns = lsc_now_ns();

	round(arg);
	return (double)(lsc_now_ns() - begin_ns) / calls;
}

/* Without plain: what a round of `with` costs. */
static void run_rounds(const char *name, void (*plain)(void *arg), void (*with)(void *arg),
		       void *arg, unsigned calls)
{
	double ns[ROUNDS_MAX];
	unsigned n = 0;

	if (!measure_wants(name))
		return;
	with(arg); /* a warm-up */
	uint64_t start_ns = lsc_now_ns();
	while (n < ROUNDS_MIN || (n < ROUNDS_MAX && lsc_now_ns() - start_ns < BUDGET_NS)) {
		double base = plain ? round_ns(plain, arg, calls) : 0;

		ns[n++] = round_ns(with, arg, calls) - base;
	}
	printf("%s %.2f ns\n", name, median(ns, n));
}

void measure(const char *name, void (*round)(void *arg), void *arg, unsigned calls)
{
	run_rounds(name, NULL, round, arg, calls);
}

void measure_added(const char *name, void (*plain)(void *arg), void (*with)(void *arg), void *arg,
		   unsigned calls)
{
	run_rounds(name, plain, with, arg, calls);
}
