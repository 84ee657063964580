/* SPDX-License-Identifier: MIT */
/*
 * A small service with a planted fault: among many request workers the task "report-writer" now and
 * then blocks the whole loop in nanosleep(), right when every worker has become ready. The service
 * measures for itself who waited how long, and writes that as the truth to hold a tracer's report
 * against: one JSON object a line,
 * {"culprit","start_ns","end_ns","victims":[{"task","ready_ns","run_ns","wait_ns"},...]}, times in
 * ns of CLOCK_MONOTONIC.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/duration.h"
#include "loopscope/loopscope.h"

#define CULPRIT	     "report-writer"
#define HEALTHY_NS   (10 * LSC_NS_PER_MS) /* between two wakes of a few workers */
#define HEALTHY_WORK 20			  /* one worker in so many is woken then */

struct options {
	uint64_t period_ns;
	uint64_t block_ns;
	uint64_t seconds_ns; /* 0: no bound */
	unsigned count;	     /* blocks; 0: no bound */
	unsigned tasks;
	unsigned seed;
	const char *truth;
};

struct worker {
	struct service *service;
	char name[24];
	struct lsc_future *task;
	struct lsc_future
		*gate; /* resolved to give the worker something to do; NULL: none awaited */
	uint64_t ready_ns;
	uint64_t run_ns;
};

struct service {
	struct options options;
	FILE *truth; /* NULL: not asked for */
	bool stop;
	struct worker *workers;
	struct worker writer;
	unsigned busy;		 /* workers that were given work and have not run yet */
	struct lsc_future *idle; /* resolved when busy falls to 0; NULL: nobody waits for it */
	uint64_t block_start_ns;
	uint64_t block_end_ns;
};

/* ---- the tasks ---- */

/* Suspends until the driver opens the gate. */
static int wait_for_work(struct worker *w)
{
	w->gate = lsc_future_new();
	if (!w->gate)
		return -ENOMEM;
	int r = lsc_await(w->gate);
	w->run_ns = lsc_now_ns();
	w->gate = lsc_unref(w->gate);
	struct service *s = w->service;
	if (r == 0 && --s->busy == 0 && s->idle)
		lsc_resolve(s->idle, 0);
	return r;
}

static void give_work(struct worker *w)
{
	if (!w->gate || lsc_is_done(w->gate))
		return;
	w->service->busy++;
	w->ready_ns = lsc_now_ns();
	lsc_resolve(w->gate, 0);
}

static int serve_requests(void *arg)
{
	struct worker *w = arg;
	int r;

	while ((r = wait_for_work(w)) >= 0)
		;
	return r;
}

/* The fault: a blocking sleep on the loop. */
static void write_report(struct service *s)
{
	struct timespec left = {.tv_sec = (time_t)(s->options.block_ns / LSC_NS_PER_S),
				.tv_nsec = (long)(s->options.block_ns % LSC_NS_PER_S)};

	s->block_start_ns = lsc_now_ns();
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	s->block_end_ns = lsc_now_ns();
}

static int write_reports(void *arg)
{
	struct service *s = arg;
	int r;

	while ((r = wait_for_work(&s->writer)) >= 0)
		write_report(s);
	return r;
}

/* ---- the driver: main's own task ---- */

static void print_truth(const struct service *s)
{
	if (!s->truth)
		return;
	fprintf(s->truth,
		"{\"culprit\":\"" CULPRIT "\",\"start_ns\":%ju,\"end_ns\":%ju,\"victims\":[",
		(uintmax_t)s->block_start_ns, (uintmax_t)s->block_end_ns);
	for (unsigned i = 0; i < s->options.tasks; i++) {
		const struct worker *w = &s->workers[i];

		fprintf(s->truth,
			"%s{\"task\":\"%s\",\"ready_ns\":%ju,\"run_ns\":%ju,\"wait_ns\":%ju}",
			i ? "," : "", w->name, (uintmax_t)w->ready_ns, (uintmax_t)w->run_ns,
			(uintmax_t)(w->run_ns - w->ready_ns));
	}
	fprintf(s->truth, "]}\n");
	fflush(s->truth);
}

/* Until all work is done. The driver is not ready meanwhile, so it is no victim of a block. */
static int wait_until_idle(struct service *s)
{
	if (s->busy == 0)
		return 0;
	s->idle = lsc_future_new();
	if (!s->idle)
		return -ENOMEM;
	int r = lsc_await(s->idle);
	s->idle = lsc_unref(s->idle);
	return r;
}

/* One event wakes all: the report writer first, the workers queued behind it in the same tick. */
static int plant_block(struct service *s)
{
	give_work(&s->writer);
	for (unsigned i = 0; i < s->options.tasks; i++)
		give_work(&s->workers[i]);
	int r = wait_until_idle(s);
	if (r == 0)
		print_truth(s);
	return r;
}

static int stay_healthy_until(struct service *s, uint64_t until_ns)
{
	while (lsc_now_ns() < until_ns) {
		uint64_t next_ns = lsc_now_ns() + HEALTHY_NS;
		int r = lsc_sleep_until(next_ns < until_ns ? next_ns : until_ns);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < s->options.tasks; i++)
			if (rand_r(&s->options.seed) % HEALTHY_WORK == 0)
				give_work(&s->workers[i]);
	}
	return wait_until_idle(s);
}

static int drive(struct service *s)
{
	const struct options *o = &s->options;
	uint64_t end_ns = o->seconds_ns ? lsc_now_ns() + o->seconds_ns : UINT64_MAX;
	uint64_t next_ns = lsc_now_ns();

	for (unsigned planted = 0; o->count == 0 || planted < o->count; planted++) {
		next_ns += o->period_ns;
		int r = stay_healthy_until(s, next_ns < end_ns ? next_ns : end_ns);
		if (r < 0 || next_ns >= end_ns)
			return r;
		r = plant_block(s);
		if (r < 0)
			return r;
	}
	/* A healthy end, so that the last block is not cut off. */
	next_ns = lsc_now_ns() + o->period_ns;
	return stay_healthy_until(s, next_ns < end_ns ? next_ns : end_ns);
}

static int run_service(void *arg)
{
	struct service *s = arg;
	int r = 0;

	s->writer.service = s;
	s->writer.task = lsc_spawn(write_reports, s, CULPRIT);
	if (!s->writer.task)
		return -ENOMEM;
	for (unsigned i = 0; i < s->options.tasks && r == 0; i++) {
		struct worker *w = &s->workers[i];

		w->service = s;
		snprintf(w->name, sizeof(w->name), "request-%u", i + 1);
		w->task = lsc_spawn(serve_requests, w, w->name);
		r = w->task ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = drive(s);
	for (unsigned i = 0; i < s->options.tasks; i++)
		lsc_unref(s->workers[i].task);
	lsc_unref(s->writer.task);
	return r;
}

/* ---- command line ---- */

static const char usage[] =
	"usage: demo_service [--period TIME] [--block TIME] [--count N] [--tasks N] [--seconds S]\n"
	"                    [--seed N] [--truth FILE]\n"
	"A service whose task \"" CULPRIT
	"\" blocks the loop once a period (1s, for 200ms). Ends one\n"
	"period after N blocks, or after S seconds (10 unless either is given).\n";

static int parse_time(const char *text, uint64_t bare_ns, uint64_t *ret_ns)
{
	return lsc_duration_parse(text, bare_ns, ret_ns) == 0 ? 0 : -1;
}

static int parse_number(const char *text, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value > max)
		return -1;
	*ret = (unsigned)value;
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"period", required_argument, NULL, 'p'},
		{"block", required_argument, NULL, 'b'},
		{"count", required_argument, NULL, 'c'},
		{"tasks", required_argument, NULL, 't'},
		{"seconds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'r'},
		{"truth", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int r = 0, opt;

	while (r == 0 && (opt = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (opt == 'p')
			r = parse_time(optarg, LSC_NS_PER_MS, &o->period_ns);
		else if (opt == 'b')
			r = parse_time(optarg, LSC_NS_PER_MS, &o->block_ns);
		else if (opt == 's')
			r = parse_time(optarg, LSC_NS_PER_S, &o->seconds_ns);
		else if (opt == 'c')
			r = parse_number(optarg, 1000000, &o->count);
		else if (opt == 't')
			r = parse_number(optarg, 10000, &o->tasks);
		else if (opt == 'r')
			r = parse_number(optarg, UINT32_MAX, &o->seed);
		else if (opt == 'o')
			o->truth = optarg;
		else
			r = opt == 'h' ? 1 : -1;
	}
	if (o->count == 0 && o->seconds_ns == 0)
		o->seconds_ns = 10 * LSC_NS_PER_S;
	return r == 0 && optind < argc ? -1 : r;
}

int main(int argc, char **argv)
{
	struct service s = {.options = {.period_ns = LSC_NS_PER_S,
					.block_ns = 200 * LSC_NS_PER_MS,
					.tasks = 50,
					.seed = 1}};

	int r = parse_options(argc, argv, &s.options);
	if (r != 0) {
		fputs(usage, r > 0 ? stdout : stderr);
		return r > 0 ? 0 : 2;
	}
	s.workers = calloc(s.options.tasks + 1u, sizeof(*s.workers));
	s.truth = s.options.truth ? fopen(s.options.truth, "we") : NULL;
	if (!s.workers || (s.options.truth && !s.truth)) {
		perror("demo_service");
		free(s.workers);
		return 1;
	}
	printf("demo_service: pid %d, %u tasks, seed %u\n", getpid(), s.options.tasks,
	       s.options.seed);
	fflush(stdout);
	r = lsc_run(run_service, &s);
	if (s.truth && (ferror(s.truth) | fclose(s.truth)))
		r = -EIO;
	free(s.workers);
	return r < 0 ? 1 : 0;
}
