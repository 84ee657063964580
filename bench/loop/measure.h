/* SPDX-License-Identifier: MIT */
/* Figures of the benches: one line each, "name value unit". */
#ifndef LSC_BENCH_MEASURE_H
#define LSC_BENCH_MEASURE_H

#include <stdbool.h>

/* The program's argument: the one figure to measure; without it, all. */
void measure_choose(int argc, char **argv);

/* Whether the figure is to be measured. */
bool measure_wants(const char *name);

/* Prints the median, over short rounds, of what one call costs; round(arg) makes `calls` of them.
 * A round that was preempted does not count much. */
void measure(const char *name, void (*round)(void *arg), void *arg, unsigned calls);

/* The same of what `with` costs beyond `plain`; both take turns. */
void measure_added(const char *name, void (*plain)(void *arg), void (*with)(void *arg), void *arg,
		   unsigned calls);

double median(double *values, unsigned n);

#endif
