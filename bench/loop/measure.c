/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

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

void measure(const char *name, void (*round)(void *arg), void *arg, unsigned calls)
{
	double ns[ROUNDS_MAX];
	unsigned n = 0;

	if (!measure_wants(name))
		return;
	round(arg); /* a warm-up */
	uint64_t start_ns = lsc_now_ns(), begin_ns = start_ns;
	while (n < 5 || (n < ROUNDS_MAX && begin_ns - start_ns < BUDGET_NS)) {
		round(arg);
		uint64_t end_ns = lsc_now_ns();
		ns[n++] = (double)(end_ns - begin_ns) / calls;
		begin_ns = end_ns;
	}
	printf("%s %.2f ns\n", name, median(ns, n));
}
