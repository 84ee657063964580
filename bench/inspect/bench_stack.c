/* SPDX-License-Identifier: MIT */
/*
 * What one stack costs in the worker, the way there and back included: that of a thread that
 * sleeps, named on the command line, with the frames of its language. Prints how many frames it
 * has, what the first time takes, and of many later ones the median and the worst of a hundred.
 * With `lines`: what a stack costs that ends at an address that nobody has asked about, in one file
 * of the program after the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "inspect/inspector.h"
#include "probes/look.h"

#define WARM	  50
#define ROUNDS	  2000
#define FILES	  8
#define ADDRESSES 12 /* in each file, the first of which is not counted */
#define REG_PC	  16

struct answer {
	bool done;
	size_t frames, python, js;
	char why[64];
};

static void take(const struct inspector_result *r, void *arg)
{
	struct answer *a = arg;

	if (r->keeps)
		return; /* no answer yet */
	*a = (struct answer){.done = true, .frames = r->nframes};
	for (size_t i = 0; i < r->nframes; i++) {
		a->python += r->frames[i].python;
		a->js += r->frames[i].js;
	}
	const char *why = r->why ? r->why : r->language_why ? r->language_why : "";
	snprintf(a->why, sizeof(a->why), "%s", why);
}

static int await(struct inspector *ins, const struct answer *a)
{
	int r = 0;

	while (r == 0 && !a->done) {
		struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
		inspector_dispatch(ins);
		if (!a->done && poll(&p, 1, 1000) < 0 && errno != EINTR)
			r = -errno;
	}
	return r;
}

static int unwind(struct inspector *ins, int pid, const struct inspector_sleeper *sleeper,
		  struct answer *a, uint64_t *ret_ns)
{
	uint64_t begin = lsc_now_ns();

	a->done = false;
	int r = inspector_unwind_asleep(ins, 1, pid, pid, sleeper);
	if (r == 0)
		r = await(ins, a);
	*ret_ns = lsc_now_ns() - begin;
	return r;
}

static int by_length(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Where the code of some of its files begins. How many there are. */
static size_t find_code(int pid, uint64_t ret[FILES])
{
	char name[64], line[1024];
	uint64_t start;
	size_t n = 0;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	FILE *f = fopen(name, "r");
	while (f && n < FILES && fgets(line, sizeof(line), f))
		if (strstr(line, " r-xp ") && strchr(line, '/') &&
		    sscanf(line, "%" SCNx64, &start) == 1)
			ret[n++] = start;
	if (f)
		fclose(f);
	return n;
}

static int measure_lines(struct inspector *ins, int pid, struct answer *a)
{
	static uint64_t ns[FILES * ADDRESSES];
	uint64_t code[FILES], regs[INSPECTOR_REGS] = {0};
	size_t files = find_code(pid, code), n = 0;
	int r = files ? 0 : -ESRCH;

	for (size_t i = 0; r == 0 && i < files * ADDRESSES; i++) {
		uint64_t begin = lsc_now_ns();
		regs[REG_PC] = code[i % files] + 0x400 + i / files * 0x40;
		a->done = false;
		r = inspector_unwind(ins, 1, pid, pid, regs, "", 0);
		if (r == 0)
			r = await(ins, a);
		if (i >= files)
			ns[n++] = lsc_now_ns() - begin;
	}
	if (r < 0)
		return r;
	qsort(ns, n, sizeof(ns[0]), by_length);
	printf("files %zu\nmedian %.2f ms\n9 of 10 %.2f ms\n", files, (double)ns[n / 2] / 1e6,
	       (double)ns[n * 9 / 10] / 1e6);
	return 0;
}

static int measure(struct inspector *ins, struct look *look, int pid, bool python, struct answer *a)
{
	static uint64_t ns[ROUNDS];
	struct look_view seen;
	uint64_t first, some;

	int r = look_at(look, pid, &seen);
	if (r == 0 && seen.on_cpu)
		r = -EBUSY;
	struct inspector_sleeper sleeper = {.regs = (const uint64_t *)seen.regs,
					    .python = python ? pid : 0};
	if (r == 0)
		r = unwind(ins, pid, &sleeper, a, &first);
	for (int i = 0; r == 0 && i < WARM; i++)
		r = unwind(ins, pid, &sleeper, a, &some);
	for (int i = 0; r == 0 && i < ROUNDS; i++)
		r = unwind(ins, pid, &sleeper, a, &ns[i]);
	if (r < 0)
		return r;
	qsort(ns, ROUNDS, sizeof(ns[0]), by_length);
	printf("frames %zu\nof Python %zu\nof JavaScript %zu\n", a->frames, a->python, a->js);
	printf("first %.1f ms\nmedian %.1f us\n99 of 100 %.1f us\n", (double)first / 1e6,
	       (double)ns[ROUNDS / 2] / 1e3, (double)ns[ROUNDS * 99 / 100] / 1e3);
	if (a->why[0])
		printf("missing: %s\n", a->why);
	return 0;
}

int main(int argc, char **argv)
{
	struct inspector *ins = NULL;
	struct look *look = NULL;
	struct lsc_err err = {0};
	struct answer a = {0};
	int pid = argc > 1 ? atoi(argv[1]) : 0;

	if (pid <= 0) {
		fprintf(stderr, "usage: bench_stack PID [python | lines]\n");
		return 2;
	}
	int r = inspector_new(NULL, take, &a, &ins, &err);
	if (r == 0)
		r = look_new(&look, &err);
	if (r < 0) {
		fprintf(stderr, "bench_stack: %s\n", err.text);
	} else {
		r = argc > 2 && strcmp(argv[2], "lines") == 0
			    ? measure_lines(ins, pid, &a)
			    : measure(ins, look, pid, argc > 2 && strcmp(argv[2], "python") == 0,
				      &a);
		if (r < 0)
			fprintf(stderr, "bench_stack: %s\n", strerror(-r));
	}
	look_free(look);
	inspector_free(ins);
	return r < 0;
}
