/* SPDX-License-Identifier: MIT */
/* Start, time and end of a job. */
#include "evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "feed.h"
#include "feed_find.h"

#define POLL_NS	       5000000ull    /* the ring buffer is looked at this often */
#define SLEEP_NS       50000000ull   /* or this often, while all loops idle */
#define IDLE_NS	       20000000ull   /* one that idles for so long is not about to be busy */
#define IDLE_MAX       16	     /* more of them would wake us up all the time */
#define COMMIT_NS      1000000000ull /* at most this much is lost by kill -9 */
#define SCAN_NS	       1000000000ull /* new rings are looked for this often */
#define SCANS_A_SECOND 100	     /* of all targets together */
#define YOUNG_SCAN_NS  20000000ull   /* while a target is younger than a second */
#define LEARN_NS       300000000ull  /* how long `ready` waits for threads that were running */
#define RUNTIME_NS     700000000ull  /* ... and then for interpreters, whose files are indexed */
#define COLLECTOR_NICE -10
#define END_WAIT_NS    1500000000ull /* stacks still under way at the end */

/* ---- time ---- */

int collector_fd(const struct collector *c)
{
	return c->epoll;
}

static bool all_idle(const struct collector *c, uint64_t now)
{
	for (const struct loop *l = c->loops; l; l = l->hh.next) {
		uint64_t since = probe_idle_since(c->probe, l->tid);
		if (!since || now < since + IDLE_NS)
			return false;
	}
	return true;
}

/* Nothing is going on that must be looked at before the kernel side says so. */
static bool may_sleep(const struct collector *c, uint64_t now)
{
	size_t n = 0;

	if (!c->probe || !c->ready || c->o.follow || c->selection || c->ended || c->armed_ns ||
	    now < c->start_ns + LSC_NS_PER_S)
		return false;
	for (const struct loop *l = c->loops; l; l = l->hh.next)
		if (l->feed || l->stalls || n++ == IDLE_MAX)
			return false;
	if (!all_idle(c, now))
		return false;
	probe_sleep(c->probe);
	if (all_idle(c, now) && probe_counter(c->probe, COUNT_EMITTED) == c->emitted)
		return true;
	probe_wake(c->probe); /* one has just begun a tick, or there is one more */
	return false;
}

uint64_t collector_deadline_ns(const struct collector *c)
{
	uint64_t now = lsc_now_ns(), at;
	uint64_t inspector = inspector_deadline_ns(c->inspector);
	uint64_t overhead = overhead_deadline_ns(c->overhead);

	if (c->more_events)
		return 0;
	if (may_sleep(c, now))
		at = now + SLEEP_NS;
	else
		at = c->held_at_ns < now + POLL_NS ? c->held_at_ns : now + POLL_NS;
	at = inspector < at ? inspector : at;
	return overhead < at ? overhead : at;
}

/* Looks for new rings where it is time, in a target after the other: many are looked at more
 * rarely. A loop that is learned has its target looked at, at once. */
static void scan_rings(struct collector *c, uint64_t now)
{
	uint64_t every = SCAN_NS * (1 + c->alive / SCANS_A_SECOND);

	for (size_t i = 0; i < c->ntargets; i++) {
		size_t at = (c->scan_first + i) % c->ntargets;
		struct target *t = c->targets[at];
		if (t->gone || now < t->scan_ns || now < t->rested_ns)
			continue;
		if (now < c->scans_paid_ns) { /* it is the first one then */
			c->scan_first = at;
			return;
		}
		if (t->scan_ns || c->alive <= SCANS_A_SECOND)
			feed_find(c, t);
		if (!t->exe[0] && t->loops) /* recorded, and no exec was seen: it runs by now */
			target_describe(t);
		uint64_t next = now < t->young_ns + LSC_NS_PER_S
					? YOUNG_SCAN_NS
					: every - every * ((unsigned)t->pid % 64) / 128;
		t->scan_ns = now + next > t->rested_ns ? now + next : t->rested_ns;
	}
}

static void each_second(struct collector *c, uint64_t now)
{
	scan_rings(c, now);
	if (c->selection && now >= c->next_select_ns) {
		c->next_select_ns = now + SCAN_NS;
		watch_selected(c, now);
	}
	if (now < c->next_commit_ns)
		return;
	watch_targets_prune(c, now);
	host_look(&c->host); /* without it: no steal */
	c->next_commit_ns = now + COMMIT_NS;
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		watch_loop_totals(c, l);
		if (l->feed)
			feed_store(c, l);
		watch_loop_store(c, l);
	}
	ledger_commit(c);
}

static bool is_recording(const struct collector *c)
{
	return !strcmp(c->o.mode, "record");
}

/* It is given up before there was anything in it: what it would replace is worth more. */
static bool is_void(const struct collector *c, const char *reason)
{
	return !strcmp(reason, "abort") && !store_is_published(c->store) &&
	       (!c->ready || (is_recording(c) && !c->nloops));
}

/* The loops are met, and where their interpreters keep their frames: from now on no block of theirs
 * goes by without. */
static bool is_learned(const struct collector *c, uint64_t now)
{
	if (now < c->ready_at_ns && (!c->nloops || c->some_running))
		return false;
	return now >= c->ready_at_ns + RUNTIME_NS || !jobs_seek_runtime(c);
}

void collector_dispatch(struct collector *c, bool readable)
{
	struct epoll_event ev[64];
	int n = readable ? epoll_wait(c->epoll, ev, LSC_ARRAY_LEN(ev), 0) : 0;
	uint64_t now = lsc_now_ns();

	if (c->probe)
		probe_wake(c->probe);
	if (c->probe) /* before the ring is read: what comes from then on is news */
		c->emitted = probe_counter(c->probe, COUNT_EMITTED);
	c->more_events = c->probe && probe_consume(c->probe) > 0;
	bool answered = false;
	for (int i = 0; i < n; i++) {
		if (ev[i].data.ptr == c->inspector)
			answered = true;
		else if (ev[i].data.ptr) /* a pidfd: the process has ended */
			watch_target_gone(c, ev[i].data.ptr);
	}
	precise_steer(c, now);
	inquiry_steer(c, now);
	overhead_steer(c->overhead, now);
	if (answered || now >= inspector_deadline_ns(c->inspector))
		jobs_dispatch(c);
	for (struct loop *next, *l = c->loops; l; l = next) {
		next = l->hh.next;
		if (l->feed)
			feed_read(c, l);
		if (l->stalls)
			stall_settle(c, l, now, false);
		ongoing_look(c, l, now);
		callback_steer(c, l, now);
	}
	watch_settle_ended(c, now, false);
	each_second(c, now);
	c->ready |= is_learned(c, now);
	if (!c->ready || (is_recording(c) && now < c->start_ns + COMMIT_NS))
		return;
	int r = store_publish(c->store, NULL);
	if (r < 0 && !c->store_error)
		c->store_error = r; /* the end tells it, once */
	c->refused_place |= r < 0;
}

bool collector_is_refused(const struct collector *c)
{
	return c->refused_place;
}

bool collector_is_ready(const struct collector *c)
{
	return c->ready;
}

bool collector_is_over(const struct collector *c)
{
	return c->alive == 0;
}

size_t collector_loops(const struct collector *c)
{
	return c->nloops;
}

size_t collector_pids(const struct collector *c, int *pids, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < c->ntargets; i++) {
		if (c->targets[i]->gone)
			continue;
		if (n < max)
			pids[n] = c->targets[i]->pid;
		n++;
	}
	return n;
}

/* ---- start ---- */

static int *copy_ints(const int *v, size_t n)
{
	int *copy = malloc(n ? n * sizeof(*v) : 1);

	if (copy && n)
		memcpy(copy, v, n * sizeof(*v));
	return copy;
}

/* Loads the probes, or settles for the rings where that is allowed. */
static int start_probes(struct collector *c, struct lsc_err *err)
{
	struct lsc_err why = {0};
	lsc_autofree int *pids = calloc(c->ntargets, sizeof(*pids));
	struct probe_options po = {.pids = pids,
				   .npids = collector_pids(c, pids, pids ? c->ntargets : 0),
				   .grows = c->o.follow || c->selection,
				   .stall_ns = c->o.stall_ns,
				   .block_ns = c->o.block_ns,
				   .follow = c->o.follow};
	int r = 0;

	if (!pids)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	if (c->o.require == REQUIRE_RING)
		return 0;
	r = target_namespace_check(&why);
	if (r == 0)
		r = probe_new(&po, intake_probe_event, c, &c->probe, &why);
	if (r == 0) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
		if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, probe_fd(c->probe), &ev) < 0)
			return lsc_err_set(err, -errno, "cannot watch the kernel's ring buffer: %s",
					   strerror(errno));
		return 0;
	}
	if (c->o.require == REQUIRE_BPF)
		return lsc_err_set(err, r, "%s", why.text);
	/* without kernel events only programs with a ring can be watched: see later whether there
	 * is one */
	snprintf(c->error, sizeof(c->error), "%s", why.text);
	return 0;
}

/* A thread that is asked for by number must be one of a target's. */
static int check_thread(const struct collector *c, int tid, struct lsc_err *err)
{
	char comm[16];

	for (size_t i = 0; i < c->ntargets; i++)
		if (target_thread_names(c->targets[i]->pid, tid, comm, NULL) == 0)
			return 0;
	return lsc_err_set(err, -ESRCH, "process %d has no thread %d", c->targets[0]->pid, tid);
}

/* Of several that are named by number some may have ended since. How many; ret_why is of the first.
 * -errno for another failure. */
static int start_numbered(struct collector *c, struct lsc_err *ret_why, struct lsc_err *err)
{
	int missing = 0;

	for (size_t i = 0; i < c->o.npids; i++) {
		if (watch_target_of(c, c->o.pids[i]))
			continue; /* named twice */
		int r = watch_target(c, c->o.pids[i], err);
		if (r < 0 && r != -ESRCH)
			return r;
		if (r < 0 && !missing++)
			*ret_why = *err;
	}
	return missing;
}

static void tell_missing(struct collector *c, int missing, const struct lsc_err *why)
{
	char text[sizeof(why->text) + 64], more[32] = "";

	if (missing > 1)
		snprintf(more, sizeof(more), ", and %d more", missing - 1);
	snprintf(text, sizeof(text), "not all processes are watched: %s%s", why->text, more);
	c->ops->notice(text, c->arg);
}

static int start_targets(struct collector *c, struct lsc_err *err)
{
	struct lsc_err why = {0};
	int missing = start_numbered(c, &why, err);

	if (missing < 0)
		return missing;
	if (c->selection) {
		watch_selected(c, lsc_now_ns());
		if (!c->ntargets && !missing && c->refused)
			return lsc_err_set(err, c->refusal.code, "%s", c->refusal.text);
		if (!c->ntargets && !missing)
			return lsc_err_set(err, -ESRCH, "no process %s",
					   selection_text(c->selection));
	}
	if (!c->ntargets && missing)
		return lsc_err_set(err, why.code, "%s", why.text);
	if (!c->ntargets)
		return lsc_err_set(
			err, -ESRCH,
			"no process to watch: give -p PID, --name COMM or --cgroup PATH");
	if (missing)
		tell_missing(c, missing, &why);
	for (size_t i = 0; i < c->o.ntids + c->o.nloop_threads; i++) {
		int tid = i < c->o.ntids ? c->tids[i] : c->loop_threads[i - c->o.ntids];
		int r = check_thread(c, tid, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A process that a target forked before the attach. */
static void watch_child(int pid, void *arg)
{
	struct collector *c = arg;
	struct lsc_err err;

	if (!watch_target_of(c, pid) && watch_target(c, pid, &err) == 0)
		probe_add_target(c->probe, pid);
}

static int start(struct collector *c, int *ret_exit, struct lsc_err *err)
{
	int r;

	*ret_exit = 4;
	r = target_proc_check(err);
	if (r < 0)
		return r;
	r = selection_new(c->o.names, c->o.nnames, c->o.cgroup, &c->selection, err);
	if (r < 0) {
		*ret_exit = r == -EINVAL ? 2 : 4;
		return r;
	}
	r = start_targets(c, err);
	if (r < 0)
		return r;
	const struct inspector_options inspector = {.debuginfod = true};
	r = inspector_new(&inspector, job_result, c, &c->inspector, err);
	if (r < 0)
		return r;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c->inspector};
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, inspector_fd(c->inspector), &ev) < 0)
		return lsc_err_set(err, -errno, "cannot watch the inspector: %s", strerror(errno));
	/* A busy loop is to be noticed in time on a crowded host, too; the work is little. Where it
	 * is not allowed, stalls have wider bounds. */
	(void)!setpriority(PRIO_PROCESS, 0, COLLECTOR_NICE);
	r = start_probes(c, err);
	if (r < 0)
		return r;
	*ret_exit = 2;
	r = store_create(c->o.output, &c->o.file, &c->store, err);
	if (r < 0)
		return r;
	c->start_ns = lsc_now_ns(); /* from here on everything is watched */
	c->start_wall_ns = lsc_wall_ns();
	r = overhead_new(c, c->o.max_overhead, &c->overhead);
	if (r < 0)
		return lsc_err_set(err, r, "out of memory");
	host_look(&c->host);
	ledger_put_start(c);
	struct lsc_err why = {0};
	if (c->probe && look_new(&c->look, &why) < 0)
		ledger_stored(c, store_put_unseen(c->store, "stacks of locks' owners", why.text));
	for (size_t i = 0; i < c->ntargets; i++) { /* grows by the descendants */
		if (c->o.follow && c->probe)
			target_each_child(c->targets[i]->pid, watch_child, c);
		if (!is_recording(c)) /* nobody saw an exec before the probes were loaded */
			target_describe(c->targets[i]);
		watch_seed(c, c->targets[i]);
		feed_find(c, c->targets[i]);
	}
	c->scans_paid_ns = 0; /* these looks were asked for */
	if (!c->probe && c->error[0]) {
		bool has_ring = c->nloops > 0 || is_recording(c);
		*ret_exit = 4;
		if (!has_ring)
			return lsc_err_set(err, -EPERM, "%s", c->error);
		char text[400];
		snprintf(text, sizeof(text),
			 "%s; watching through the ring alone: blocks, causes and stacks "
			 "cannot be seen",
			 c->error);
		c->ops->notice(text, c->arg);
		ledger_stored(c, store_put_unseen(c->store, "blocks, causes and stacks", c->error));
		c->error[0] = '\0';
	}
	if (c->o.require == REQUIRE_RING && !c->nloops && !is_recording(c))
		return (*ret_exit = 4,
			lsc_err_set(err, -ENODATA,
				    "process %d has no ring: it was not built with the loop "
				    "library, or runs with LSC_TRACE=0",
				    c->targets[0]->pid));
	return 0;
}

static void collector_free(struct collector *c)
{
	for (struct loop *next, *l = c->loops; l; l = next) {
		next = l->hh.next;
		HASH_DEL(c->loops, l);
		for (size_t i = 0; i < l->nheld; i++)
			free(l->held[i].event);
		feed_free(l->feed);
		victim_free(l->victims);
		free(l);
	}
	watch_free(c);
	stacks_free(c);
	jobs_free(c);
	look_free(c->look);
	overhead_free(c->overhead);
	probe_free(c->probe);
	inspector_free(c->inspector);
	store_close(c->store);
	if (c->epoll >= 0)
		close(c->epoll);
	selection_free(c->selection);
	free(c->tids);
	free(c->loop_threads);
	free(c);
}

int collector_new(const struct collector_options *options, const struct collector_ops *ops,
		  void *arg, struct collector **ret_collector, int *ret_exit, struct lsc_err *err)
{
	struct collector *c = calloc(1, sizeof(*c));
	int exit_status = 125;

	if (!c)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	c->o = *options;
	c->sample_ns = SAMPLE_NS;
	c->block_ns = c->o.block_ns;
	c->ops = ops;
	c->arg = arg;
	c->tids = copy_ints(options->tids, options->ntids);
	c->loop_threads = copy_ints(options->loop_threads, options->nloop_threads);
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	int r = -ENOMEM;
	if (!c->tids || !c->loop_threads || c->epoll < 0) {
		lsc_err_set(err, r, "cannot start the collector: %s", strerror(errno));
	} else {
		r = start(c, &exit_status, err);
	}
	if (r < 0) {
		collector_free(c);
		*ret_exit = exit_status;
		return r;
	}
	c->ready_at_ns = lsc_now_ns() + LEARN_NS;
	if (is_recording(c))
		c->ready = true; /* the command has not started */
	*ret_collector = c;
	return 0;
}

/* ---- end ---- */

static void wait_for_stacks(struct collector *c)
{
	uint64_t until = lsc_now_ns() + END_WAIT_NS;

	while (inspector_pending(c->inspector) && lsc_now_ns() < until) {
		struct epoll_event ev;
		epoll_wait(c->epoll, &ev, 1, 5);
		jobs_dispatch(c);
	}
	jobs_end(c);
}

int collector_finish(struct collector *c, const char *reason, int exit_status,
		     struct collector_summary *ret_summary, struct lsc_err *err)
{
	struct collector_summary sum = {0};
	uint64_t now = lsc_now_ns();

	if (c->probe) {
		precise_steer(c, now);
		precise_note(c, now);
		victim_end(c);
		overhead_stop(c->overhead, now);
		probe_detach(c->probe);
		while (probe_consume(c->probe) > 0)
			;
	}
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		intake_settle(c, l);
		if (l->feed)
			feed_read(c, l);
		stall_in_progress(c, l, now);
	}
	wait_for_stacks(c);
	for (struct loop *next, *l = c->loops; l; l = next) {
		next = l->hh.next;
		watch_loop_end(c, l);
	}
	watch_settle_ended(c, now, true);
	sum.duration_ns = now - c->start_ns;
	sum.stalls = c->stalls;
	sum.blocks = c->blocks;
	sum.loops = c->nloops;
	sum.worst_ns = c->worst_ns;
	ledger_commit(c); /* a failure of the evidence leaves room for the summary */
	ledger_close(c, &sum);
	watch_free(c);
	c->inspector = inspector_free(c->inspector);
	ledger_put_end(c, reason, exit_status, &sum);
	if (is_void(c, reason)) {
		collector_free(c);
		return lsc_err_set(err, -ENODATA, "nothing was captured yet");
	}
	int r = store_finish(LSC_TAKE(c->store), err);
	if (r == 0 && c->store_error && !collector_is_full(c))
		r = lsc_err_set(err, c->store_error, "%s", c->error);
	*ret_summary = sum;
	collector_free(c);
	return r;
}
