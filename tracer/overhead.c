/* SPDX-License-Identifier: MIT */
/*
 * Overhead is the run time of our kernel programs, on all CPUs, and the CPU time of the collector
 * and its helpers, over the time that passed: 1 is one CPU. The kernel accounts for the run time of
 * programs only while it is asked to, which taxes all of them: it is asked for WINDOW_NS once a
 * second, and what it says, less what the account itself took, is taken for the whole second.
 *
 * A step is taken only where what it leaves out is a good part of what is too much: the scheduling
 * hooks cost what they cost, and no detail given up would make them cheaper.
 */
#include "overhead.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "state.h"

#define FIRST_NS     100000000ull  /* from the start to the first window */
#define EVERY_NS     1000000000ull /* from one window's end to the next one's begin */
#define WINDOW_NS    25000000ull
#define SHORTEST_NS  5000000ull /* a window that the end cut shorter says nothing */
#define COPY_NS	     700	/* a copied stack: 0.3 us from warm caches, 0.7 us from cold ones */
#define ACCOUNT_NS   50		/* of a run's account: two readings of the clock, 60 ns here */
#define RECORDS_MANY 50		/* events a second from which the collector's time is theirs */
#define WORTH	     0.25	/* of what is too much, and */
#define WORTH_LIMIT  0.1	/* of the limit, a step must be able to save */
#define THIN_MASK    7		/* one in eight */

/* What a second cost, in CPUs. */
struct share {
	double hooks;	/* scheduling, and all other programs that have no step */
	double sample;	/* the sampler */
	double precise; /* the precise mode's */
	double copy;	/* of hooks: stacks copied in case their blocks turn out long */
	double collector;
	double record_blocks, record_samples; /* of collector, where it has many events */
};

struct overhead {
	struct collector *c;
	double limit;
	int stats;   /* descriptor while a window is open, else -1 */
	int refused; /* why the kernel does not account: -errno; not asked again */
	uint64_t next_ns;
	struct probe_run_time at_begin[PROGRAM_COUNT];
	uint64_t begin_ns;
	uint64_t measured_ns; /* until here bpf_ns holds */
	uint64_t bpf_ns, windows;
	double bpf_rate;	     /* of the last window */
	uint64_t cpu_ns, helpers_ns; /* of the collector and of its helpers, at the last look */
	uint64_t copies, emitted, blocks, samples;
	unsigned over;	  /* windows in a row over the limit */
	unsigned taken;	  /* bits: steps */
	bool told_no_way; /* that no step is left */
};

/* ---- steps ---- */

struct step {
	double (*costs)(const struct share *s);
	unsigned patience; /* windows over the limit before it is taken */
	/* Takes it; says what it is, what is not seen from now on. */
	void (*take)(struct collector *c, char *what, char *unseen, size_t size);
};

static double cost_of_records(const struct share *s)
{
	return s->record_blocks;
}

static double cost_of_copies(const struct share *s)
{
	return s->copy;
}

static double cost_of_samples(const struct share *s)
{
	return s->sample + s->record_samples;
}

static double cost_of_precise(const struct share *s)
{
	return s->precise;
}

static void raise_block_threshold(struct collector *c, char *what, char *unseen, size_t size)
{
	uint64_t from = c->o.block_ns < c->o.stall_ns ? c->o.stall_ns : 10 * c->o.block_ns;

	snprintf(what, size, "blocks are recorded from %g ms instead of %g ms", (double)from / 1e6,
		 (double)c->o.block_ns / 1e6);
	snprintf(unseen, size, "blocks shorter than %g ms", (double)from / 1e6);
	probe_set_block_ns(c->probe, from);
	c->block_ns = from;
}

static void thin_copies(struct collector *c, char *what, char *unseen, size_t size)
{
	snprintf(what, size, "the stack of one block in %d is copied", THIN_MASK + 1);
	snprintf(unseen, size, "the stacks of most blocks");
	probe_thin_copies(c->probe, THIN_MASK);
}

static void thin_samples(struct collector *c, char *what, char *unseen, size_t size)
{
	c->sample_ns = SAMPLE_NS * (THIN_MASK + 1);
	snprintf(what, size, "a busy loop's stack is sampled every %llu ms instead of %llu ms",
		 (unsigned long long)c->sample_ns / 1000000, SAMPLE_NS / 1000000);
	snprintf(unseen, size, "most samples of busy loops");
	probe_thin_samples(c->probe, THIN_MASK);
}

static void give_up_precise(struct collector *c, char *what, char *unseen, size_t size)
{
	snprintf(what, size, "the precise mode is not armed any more");
	snprintf(unseen, size, "where the turns of saturated loops end");
	precise_forbid(c, lsc_now_ns());
}

static const struct step steps[] = {
	{cost_of_records, 3, raise_block_threshold},
	{cost_of_copies, 3, thin_copies},
	{cost_of_samples, 3, thin_samples},
	{cost_of_precise, 10, give_up_precise},
};

static void take_step(struct overhead *o, size_t i, double total, uint64_t now)
{
	struct collector *c = o->c;
	char what[160], unseen[160], text[240];

	steps[i].take(c, what, unseen, sizeof(what));
	o->taken |= 1u << i;
	o->over = 0;
	ledger_stored(c, store_put_step(c->store, now, what));
	snprintf(text, sizeof(text), "left out from %.1f s on, to keep the overhead under %g %%",
		 (double)(now - c->start_ns) / 1e9, o->limit * 100);
	ledger_stored(c, store_put_unseen(c->store, unseen, text));
	snprintf(text, sizeof(text), "overhead is %.3g %% of a CPU, over %g %%: %s", total * 100,
		 o->limit * 100, what);
	c->ops->notice(text, c->arg);
}

static void judge(struct overhead *o, const struct share *s, uint64_t now)
{
	double total = s->hooks + s->sample + s->precise + s->collector, excess = total - o->limit;
	bool waits = false;
	char text[200];

	if (excess <= 0) {
		o->over = 0;
		return;
	}
	o->over++;
	for (size_t i = 0; i < LSC_ARRAY_LEN(steps); i++) {
		double cost = steps[i].costs(s);
		if (o->taken & 1u << i || cost < excess * WORTH || cost < o->limit * WORTH_LIMIT)
			continue;
		if (o->over >= steps[i].patience) {
			take_step(o, i, total, now);
			return;
		}
		waits = true;
	}
	if (waits || o->told_no_way || o->over < steps[0].patience)
		return;
	o->told_no_way = true;
	snprintf(text, sizeof(text),
		 "overhead is %.3g %% of a CPU, over %g %%: it is that of watching at all, no "
		 "detail "
		 "left out would lower it",
		 total * 100, o->limit * 100);
	o->c->ops->notice(text, o->c->arg);
}

/* ---- measuring ---- */

static uint64_t process_cpu_ns(void)
{
	struct timespec t;

	return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
		       ? 0
		       : (uint64_t)t.tv_sec * LSC_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* CPU time of the collector and its helpers since the last call. */
static uint64_t collector_cpu(struct overhead *o)
{
	uint64_t own = process_cpu_ns(), helpers = inspector_cpu_ns(o->c->inspector);
	uint64_t spent = own - o->cpu_ns;

	if (helpers > o->helpers_ns) /* one that died by itself took its part along */
		spent += helpers - o->helpers_ns;
	o->cpu_ns = own;
	o->helpers_ns = helpers;
	return spent;
}

static double rate_of(const struct overhead *o, const struct probe_run_time *end,
		      enum probe_program i, double ns)
{
	uint64_t spent = end[i].ns - o->at_begin[i].ns;
	uint64_t account = ACCOUNT_NS * (end[i].runs - o->at_begin[i].runs);

	return spent > account ? (double)(spent - account) / ns : 0;
}

/* What a second cost whose window ended now. */
static void add_up(struct overhead *o, const struct probe_run_time *end, uint64_t now)
{
	double window = (double)(now - o->begin_ns), second = (double)(now - o->measured_ns);
	uint64_t copies = probe_counter(o->c->probe, COUNT_COPIES);
	uint64_t emitted = probe_counter(o->c->probe, COUNT_EMITTED);
	struct share s = {
		.sample = rate_of(o, end, PROGRAM_SAMPLE, window),
		.precise = rate_of(o, end, PROGRAM_SYS_EXIT, window),
		.collector = (double)collector_cpu(o) / second,
		.copy = (double)(copies - o->copies) * COPY_NS / second,
	};

	for (int i = 0; i < PROGRAM_COUNT; i++)
		s.hooks += rate_of(o, end, i, window);
	s.hooks -= s.sample + s.precise;
	double events = (double)(emitted - o->emitted);
	if (events * 1e9 / second >= RECORDS_MANY) {
		s.record_blocks = s.collector * (double)(o->c->blocks - o->blocks) / events;
		s.record_samples = s.collector * (double)(o->c->samples - o->samples) / events;
	}
	o->bpf_rate = s.hooks + s.sample + s.precise;
	o->bpf_ns += (uint64_t)(o->bpf_rate * second);
	o->measured_ns = now;
	o->copies = copies;
	o->emitted = emitted;
	o->blocks = o->c->blocks;
	o->samples = o->c->samples;
	if (o->windows++) /* the first second is that of starting */
		judge(o, &s, now);
}

static void open_window(struct overhead *o)
{
	int fd = probe_account();

	if (fd < 0 || probe_run_times(o->c->probe, o->at_begin) < 0) {
		o->refused = fd < 0 ? fd : -EIO;
		if (fd >= 0)
			close(fd);
		return;
	}
	o->stats = fd;
	o->begin_ns = lsc_now_ns();
}

static void close_window(struct overhead *o)
{
	struct probe_run_time end[PROGRAM_COUNT];
	uint64_t now = lsc_now_ns();
	int r = probe_run_times(o->c->probe, end);

	close(o->stats);
	o->stats = -1;
	o->next_ns = now + EVERY_NS;
	if (r == 0 && now - o->begin_ns >= SHORTEST_NS)
		add_up(o, end, now);
}

void overhead_steer(struct overhead *o, uint64_t now)
{
	if (!o->c->probe || o->refused)
		return;
	if (o->stats >= 0 && now >= o->begin_ns + WINDOW_NS)
		close_window(o);
	else if (o->stats < 0 && now >= o->next_ns)
		open_window(o);
}

uint64_t overhead_deadline_ns(const struct overhead *o)
{
	if (!o->c->probe || o->refused)
		return UINT64_MAX;
	return o->stats >= 0 ? o->begin_ns + WINDOW_NS : o->next_ns;
}

void overhead_stop(struct overhead *o, uint64_t now)
{
	if (o->stats >= 0)
		close_window(o);
	if (o->windows && now > o->measured_ns)
		o->bpf_ns += (uint64_t)(o->bpf_rate * (double)(now - o->measured_ns));
}

void overhead_put(const struct overhead *o)
{
	struct store *s = o->c->store;
	struct rusage own, children;
	char text[240] = "";

	if (o->windows) {
		store_meta_put_int(s, STORE_META_BPF_NS, (int64_t)o->bpf_ns);
		snprintf(text, sizeof(text),
			 "kernel programs: the kernel's account of their run time on all CPUs less "
			 "%d ns a run for the account, in %llu windows of %llu ms, extrapolated; ",
			 ACCOUNT_NS, (unsigned long long)o->windows, WINDOW_NS / 1000000);
	} else if (o->c->probe) {
		snprintf(text, sizeof(text), "kernel programs: %s%s; ",
			 o->refused ? "the kernel does not account for them: "
				    : "the capture was too short",
			 o->refused ? strerror(-o->refused) : "");
	}
	if (getrusage(RUSAGE_SELF, &own) == 0 && getrusage(RUSAGE_CHILDREN, &children) == 0) {
		int64_t us = (own.ru_utime.tv_sec + own.ru_stime.tv_sec + children.ru_utime.tv_sec +
			      children.ru_stime.tv_sec) *
				     1000000ll +
			     own.ru_utime.tv_usec + own.ru_stime.tv_usec +
			     children.ru_utime.tv_usec + children.ru_stime.tv_usec;
		store_meta_put_int(s, STORE_META_CPU_NS, us * 1000);
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "collector: getrusage of it and its helpers, start and end included");
	}
	store_meta_put(s, STORE_META_OVERHEAD_METHOD, text);
}

int overhead_new(struct collector *c, double limit, struct overhead **ret_overhead)
{
	struct overhead *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->c = c;
	o->limit = limit;
	o->stats = -1;
	o->measured_ns = lsc_now_ns();
	o->next_ns = o->measured_ns + FIRST_NS;
	collector_cpu(o); /* starting is not watching */
	*ret_overhead = o;
	return 0;
}

struct overhead *overhead_free(struct overhead *o)
{
	if (o && o->stats >= 0)
		close(o->stats);
	free(o);
	return NULL;
}
