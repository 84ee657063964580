/* SPDX-License-Identifier: MIT */
/* Start, time and end of a job; the ledger. */
#include "state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "feed.h"

#define POLL_NS 5000000ull       /* the ring buffer is looked at this often */
#define COMMIT_NS 1000000000ull  /* at most this much is lost by kill -9 */
#define SCAN_NS 1000000000ull    /* new rings are looked for this often */
#define YOUNG_SCAN_NS 20000000ull /* while a target is younger than a second */
#define LEARN_NS 300000000ull    /* how long `ready` waits for threads that were running */
#define PRECISE_HOLD_NS 1000000000ull
#define END_WAIT_NS 1500000000ull /* stacks still under way at the end */

/* ---- ledger ---- */

void collector_lose(struct collector *c, enum lsc_loss reason, uint64_t n)
{
	c->lost[reason] += n;
}

int collector_stored(struct collector *c, int r)
{
	if (r >= 0 || c->store_error)
		return r;
	c->store_error = r;
	if (r == -EFBIG)
		snprintf(c->error, sizeof(c->error), "the capture reached its size bound; what came later is lost");
	else
		snprintf(c->error, sizeof(c->error), "cannot write '%s': %s; what came later is lost", c->o.output,
			 strerror(-r));
	if (r != -EFBIG && r != -EINVAL) { /* what was put since the last commit is gone with it */
		collector_lose(c, LSC_LOSS_STORE_ERROR, c->stored - c->committed);
		c->stored = c->committed;
	}
	c->ops->notice(c->error, c->arg);
	return r;
}

static void commit(struct collector *c)
{
	if (collector_stored(c, store_commit(c->store)) >= 0)
		c->committed = c->stored;
}

const char *collector_error(const struct collector *c)
{
	return c->store_error ? c->error : NULL;
}

/* ---- events ---- */

static void hold(struct collector *c, struct loop *l, const struct event *e, size_t size)
{
	struct event *copy = l->nheld < HELD_MAX ? malloc(size) : NULL;

	if (!copy) {
		collector_lose(c, LSC_LOSS_UNCONFIRMED, 1);
		return;
	}
	memcpy(copy, e, size);
	if (!l->nheld) /* the target may be gone when its stacks are asked for: have it opened now */
		inspector_unwind(c->inspector, 0, l->target->pid, l->tid, (const uint64_t[INSPECTOR_REGS]){ 0 }, NULL, 0);
	l->held[l->nheld++] = (struct held_event){ size, copy };
}

/* The loop's primary wait is certain: what was held back really happened. */
static void release_held(struct collector *c, struct loop *l)
{
	size_t n = l->nheld;

	l->nheld = 0;
	for (size_t i = 0; i < n; i++) {
		collector_event(c, l->held[i].event, l->held[i].size, true);
		free(l->held[i].event);
	}
}

static void drop_held(struct collector *c, struct loop *l)
{
	collector_lose(c, LSC_LOSS_UNCONFIRMED, l->nheld);
	for (size_t i = 0; i < l->nheld; i++)
		free(l->held[i].event);
	l->nheld = 0;
}

void collector_settle_held(struct collector *c, struct loop *l)
{
	if (l->confidence >= 2 || l->class == WAIT_EPOLL || l->seeded || l->forced || l->feed) {
		watch_loop_announce(c, l);
		release_held(c, l);
	} else {
		drop_held(c, l);
	}
}

static void on_loop(struct collector *c, const struct event_loop *e)
{
	struct loop *l = watch_loop_new(c, (int)e->e.tgid, (int)e->e.tid);

	if (!l)
		return;
	if (e->replaced)
		drop_held(c, l);
	l->kernel = true;
	l->class = e->class;
	l->nr = (int)e->nr;
	l->fd = e->class == WAIT_FUTEX ? -1 : e->fd;
	l->confidence = e->confidence;
	if (!l->feed)
		feed_scan(c, l->target);
	if (l->confidence >= 2)
		watch_loop_announce(c, l);
	if (l->confidence == 3)
		release_held(c, l);
}

static void on_process(struct collector *c, const struct event_process *e)
{
	struct lsc_err err;
	struct target *t;
	struct loop *l;

	switch (e->e.kind) {
	case EVENT_FORK:
		t = watch_target_of(c, (int)e->child);
		if (t && !t->gone)
			break; /* found among the descendants at the attach */
		if (watch_target(c, (int)e->child, &err) < 0)
			probe_drop_target(c->probe, (int)e->child); /* it has ended already */
		else
			probe_add_target(c->probe, (int)e->child); /* the number may have been dropped for its last bearer */
		break;
	case EVENT_EXEC:
		t = watch_target_of(c, (int)e->e.tgid);
		if (!t)
			return;
		target_describe(t);
		inspector_forget(c->inspector, t->pid);
		t->young_ns = lsc_now_ns();
		c->next_scan_ns = 0;
		for (struct loop *next, *o = c->loops; o; o = next) {
			next = o->hh.next;
			if (o->target == t)
				watch_loop_end(c, o);
		}
		break;
	case EVENT_EXIT:
		l = watch_loop(c, (int)e->e.tid);
		if (l)
			watch_loop_exit(c, l);
		else if (c->probe)
			probe_drop_thread(c->probe, (int)e->e.tid);
		break;
	}
}

/* A stall, block or sample of a loop; held back until the loop's primary wait is certain. */
static void on_evidence(struct collector *c, const struct event *e, size_t size, bool replayed)
{
	struct loop *l = watch_loop(c, (int)e->tid);
	const struct event_stall *s = e->kind == EVENT_STALL ? decode_stall(e, size) : NULL;
	const void *stack = NULL;
	size_t stack_size = 0;
	const struct event_block *b = s ? NULL : decode_block(e, size, &stack, &stack_size);

	if (!s && !b) {
		collector_lose(c, LSC_LOSS_EVENT_INVALID, 1);
		return;
	}
	if (!l && c->o.ntids) { /* another thread than those asked for */
		c->stored++;
		return;
	}
	if (!l) {
		collector_lose(c, LSC_LOSS_UNCONFIRMED, 1);
		return;
	}
	if (!replayed && l->confidence < 3) {
		hold(c, l, e, size);
		return;
	}
	if (c->store_error) {
		collector_lose(c, c->store_error == -EFBIG ? LSC_LOSS_STORE_FULL : LSC_LOSS_STORE_ERROR, 1);
		return;
	}
	c->stored++;
	if (s && !watch_loop_reports(c, l))
		return;
	if (s)
		stall_from_kernel(c, l, s, l->confidence < 3);
	else if (e->kind == EVENT_BLOCK)
		evidence_block(c, l, b, stack, stack_size);
	else
		evidence_sample(c, l, b, stack, stack_size);
}

void collector_event(struct collector *c, const struct event *e, size_t size, bool replayed)
{
	const struct event_loop *loop;
	const struct event_process *process;

	if (!replayed)
		c->consumed++;
	switch (e->kind) {
	case EVENT_LOOP:
		loop = decode_loop(e, size);
		if (loop)
			on_loop(c, loop);
		break;
	case EVENT_STALL:
	case EVENT_BLOCK:
	case EVENT_SAMPLE:
		on_evidence(c, e, size, replayed);
		return;
	case EVENT_FORK:
	case EVENT_EXEC:
	case EVENT_EXIT:
		process = decode_process(e, size);
		if (process)
			on_process(c, process);
		break;
	default:
		collector_lose(c, LSC_LOSS_EVENT_INVALID, 1);
		return;
	}
	c->stored++;
}

static void on_probe_event(const struct event *e, size_t size, void *arg)
{
	collector_event(arg, e, size, false);
}

/* ---- precise mode ---- */

static void note_mode(struct collector *c, uint64_t now)
{
	if (!c->armed_ns)
		return;
	struct store_mode_span span = { .loop = c->armed_loop, .from_ns = c->armed_ns, .to_ns = now,
					.mode = STORE_MODE_PRECISE };
	collector_stored(c, store_put_mode(c->store, &span));
}

/* Arms while some loop is in a tick longer than half the threshold, and for a while after. */
static void steer_precise(struct collector *c, uint64_t now)
{
	if (!c->probe)
		return;
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		uint64_t since = l->kernel && !l->feed ? probe_busy_since(c->probe, l->tid) : 0;
		if (!since || now < since + c->o.stall_ns / 2 || !watch_loop_reports(c, l))
			continue;
		c->wanted_ns = now;
		if (!c->armed_ns && probe_arm(c->probe) == 0) {
			c->armed_ns = now;
			c->armed_loop = l->id;
		}
	}
	if (c->armed_ns && now > c->wanted_ns + PRECISE_HOLD_NS) {
		probe_disarm(c->probe);
		note_mode(c, now);
		c->armed_ns = 0;
	}
}

/* ---- time ---- */

int collector_fd(const struct collector *c)
{
	return c->epoll;
}

uint64_t collector_deadline_ns(const struct collector *c)
{
	uint64_t at = lsc_now_ns() + POLL_NS, inspector = inspector_deadline_ns(c->inspector);

	return inspector < at ? inspector : at;
}

static void each_second(struct collector *c, uint64_t now)
{
	if (now >= c->next_scan_ns) {
		c->next_scan_ns = now + SCAN_NS;
		for (size_t i = 0; i < c->ntargets; i++) {
			struct target *t = c->targets[i];
			if (t->gone)
				continue;
			feed_scan(c, t);
			if (now < t->young_ns + LSC_NS_PER_S)
				c->next_scan_ns = now + YOUNG_SCAN_NS;
		}
	}
	if (now < c->next_commit_ns)
		return;
	watch_targets_prune(c, now);
	c->next_commit_ns = now + COMMIT_NS;
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		watch_loop_totals(c, l);
		if (l->feed)
			feed_store(c, l);
		watch_loop_store(c, l);
	}
	commit(c);
}

void collector_dispatch(struct collector *c)
{
	struct epoll_event ev[64];
	int n = epoll_wait(c->epoll, ev, LSC_ARRAY_LEN(ev), 0);
	uint64_t now = lsc_now_ns();

	if (c->probe)
		probe_consume(c->probe);
	for (int i = 0; i < n; i++)
		if (ev[i].data.ptr) /* a pidfd: the process has ended */
			watch_target_gone(c, ev[i].data.ptr);
	steer_precise(c, now);
	inspector_dispatch(c->inspector);
	for (struct loop *next, *l = c->loops; l; l = next) {
		next = l->hh.next;
		if (l->feed)
			feed_read(c, l);
		if (l->stalls)
			stall_settle(c, l, now, false);
	}
	watch_settle_ended(c, now, false);
	each_second(c, now);
	if (!c->ready && (now >= c->ready_at_ns || (c->nloops && !c->some_running)))
		c->ready = true;
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

/* ---- start ---- */

static void put_host(struct collector *c)
{
	struct utsname u;
	char boot[64] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f && fgets(boot, sizeof(boot), f))
		boot[strcspn(boot, "\n")] = '\0';
	if (f)
		fclose(f);
	if (uname(&u) == 0) {
		store_meta_put(c->store, STORE_META_HOSTNAME, u.nodename);
		store_meta_put(c->store, STORE_META_KERNEL, u.release);
		store_meta_put(c->store, STORE_META_ARCH, u.machine);
	}
	store_meta_put(c->store, STORE_META_BOOT_ID, boot);
	store_meta_put_int(c->store, STORE_META_CPUS, sysconf(_SC_NPROCESSORS_ONLN));
	store_meta_put(c->store, STORE_META_TOOL_VERSION, LSC_VERSION);
	store_meta_put(c->store, STORE_META_MODE, c->o.mode);
	store_meta_put_int(c->store, STORE_META_START_NS, (int64_t)c->start_ns);
	store_meta_put_int(c->store, STORE_META_START_WALL_NS, c->start_wall_ns);
	store_meta_put_int(c->store, STORE_META_STALL_NS, (int64_t)c->o.stall_ns);
	store_meta_put_int(c->store, STORE_META_BLOCK_NS, (int64_t)c->o.block_ns);
	store_meta_put_int(c->store, STORE_META_READY_WAIT_NS, (int64_t)c->o.ready_wait_ns);
	store_meta_put(c->store, STORE_META_BPF, c->probe ? "1" : "0");
}

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
	struct lsc_err why = { 0 };
	struct probe_options po = { .pids = c->pids, .npids = c->o.npids, .stall_ns = c->o.stall_ns,
				    .block_ns = c->o.block_ns, .follow = c->o.follow };
	int r = 0;

	if (c->o.require == REQUIRE_RING)
		return 0;
	r = target_namespace_check(&why);
	if (r == 0)
		r = probe_new(&po, on_probe_event, c, &c->probe, &why);
	if (r == 0) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
		if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, probe_fd(c->probe), &ev) < 0)
			return lsc_err_set(err, -errno, "cannot watch the kernel's ring buffer: %s", strerror(errno));
		return 0;
	}
	if (c->o.require == REQUIRE_BPF)
		return lsc_err_set(err, r, "%s", why.text);
	/* without kernel events only programs with a ring can be watched: see later whether there is one */
	snprintf(c->error, sizeof(c->error), "%s", why.text);
	return 0;
}

static int start_targets(struct collector *c, struct lsc_err *err)
{
	for (size_t i = 0; i < c->o.npids; i++) {
		int r = watch_target(c, c->pids[i], err);
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
	r = start_targets(c, err);
	if (r < 0)
		return r;
	r = inspector_new(NULL, evidence_result, c, &c->inspector, err);
	if (r < 0)
		return r;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, inspector_fd(c->inspector), &ev) < 0)
		return lsc_err_set(err, -errno, "cannot watch the inspector: %s", strerror(errno));
	r = start_probes(c, err);
	if (r < 0)
		return r;
	*ret_exit = 2;
	r = store_create(c->o.output, &c->o.file, &c->store, err);
	if (r < 0)
		return r;
	put_host(c);
	for (size_t i = 0; i < c->ntargets; i++) { /* grows by the descendants */
		if (c->o.follow && c->probe)
			target_each_child(c->targets[i]->pid, watch_child, c);
		watch_seed(c, c->targets[i]);
		feed_scan(c, c->targets[i]);
	}
	if (!c->probe && c->error[0]) {
		bool has_ring = c->nloops > 0 || !strcmp(c->o.mode, "record");
		*ret_exit = 4;
		if (!has_ring)
			return lsc_err_set(err, -EPERM, "%s", c->error);
		char text[400];
		snprintf(text, sizeof(text), "%s; watching through the ring alone: blocks, causes and stacks "
			 "cannot be seen", c->error);
		c->ops->notice(text, c->arg);
		collector_stored(c, store_put_unseen(c->store, "blocks, causes and stacks", c->error));
		c->error[0] = '\0';
	}
	if (c->o.require == REQUIRE_RING && !c->nloops && strcmp(c->o.mode, "record"))
		return (*ret_exit = 4, lsc_err_set(err, -ENODATA, "process %d has no ring: it was not built with the loop "
						   "library, or runs with LSC_TRACE=0", c->pids[0]));
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
		free(l);
	}
	watch_free(c);
	evidence_free(c);
	probe_free(c->probe);
	inspector_free(c->inspector);
	store_close(c->store);
	if (c->epoll >= 0)
		close(c->epoll);
	free(c->pids);
	free(c->tids);
	free(c->loop_threads);
	free(c);
}

int collector_new(const struct collector_options *options, const struct collector_ops *ops, void *arg,
		  struct collector **ret_collector, int *ret_exit, struct lsc_err *err)
{
	struct collector *c = calloc(1, sizeof(*c));
	int exit_status = 125;

	if (!c)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	c->o = *options;
	c->ops = ops;
	c->arg = arg;
	c->pids = copy_ints(options->pids, options->npids);
	c->tids = copy_ints(options->tids, options->ntids);
	c->loop_threads = copy_ints(options->loop_threads, options->nloop_threads);
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->start_ns = lsc_now_ns();
	c->start_wall_ns = lsc_wall_ns();
	int r = -ENOMEM;
	if (!c->pids || !c->tids || !c->loop_threads || c->epoll < 0) {
		lsc_err_set(err, r, "cannot start the collector: %s", strerror(errno));
	} else {
		r = start(c, &exit_status, err);
	}
	if (r < 0) {
		bool created = c->store != NULL;
		collector_free(c);
		if (created)
			unlink(options->output); /* nothing half-written stays behind */
		*ret_exit = exit_status;
		return r;
	}
	c->ready_at_ns = lsc_now_ns() + LEARN_NS;
	if (!strcmp(c->o.mode, "record"))
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
		inspector_dispatch(c->inspector);
	}
}

static double coverage_of(const struct collector *c, uint64_t emitted, uint64_t lost)
{
	if (!c->watched_ns)
		return 0;
	double seen = 1.0 - (double)c->unsure_ns / (double)c->watched_ns;
	if (emitted)
		seen *= 1.0 - (double)lost / (double)emitted;
	return seen < 0 ? 0 : seen;
}

static void close_ledger(struct collector *c, struct collector_summary *sum)
{
	uint64_t emitted = c->ring_emitted, lost = 0;

	if (c->probe) {
		emitted += probe_counter(c->probe, COUNT_EMITTED);
		c->lost[LSC_LOSS_BPF_RING_FULL] += probe_counter(c->probe, COUNT_RING_FULL);
		uint64_t threads = probe_counter(c->probe, COUNT_THREADS_FULL);
		if (threads) {
			emitted += threads;
			c->lost[LSC_LOSS_MAP_FULL] += threads;
		}
	}
	if (c->no_room)
		collector_stored(c, store_add_unresolved(c->store, "loop's stacks", "room for those of 128 loops at once",
							 c->no_room));
	if (c->no_stack)
		collector_stored(c, store_add_unresolved(c->store, "stack", "no copy was taken", c->no_stack));
	for (int i = 0; i < LSC_LOSS_COUNT; i++) {
		lost += c->lost[i];
		if (c->lost[i])
			store_add_loss(c->store, i, c->lost[i]);
	}
	sum->emitted = emitted;
	sum->stored = c->stored;
	sum->lost = lost;
	/* withdrawn stalls did not happen: they are no gap in what was seen */
	sum->coverage = coverage_of(c, emitted, lost - c->lost[LSC_LOSS_UNCONFIRMED]);
}

static void put_end(struct collector *c, const char *reason, int exit_status, const struct collector_summary *sum)
{
	struct rusage u, children;
	char text[32];

	snprintf(text, sizeof(text), "%.6f", sum->coverage);
	store_meta_put(c->store, STORE_META_COVERAGE, text);
	store_meta_put_int(c->store, STORE_META_EMITTED, (int64_t)sum->emitted);
	store_meta_put_int(c->store, STORE_META_STORED, (int64_t)sum->stored);
	store_meta_put_int(c->store, STORE_META_END_NS, (int64_t)lsc_now_ns());
	store_meta_put_int(c->store, STORE_META_END_WALL_NS, lsc_wall_ns());
	store_meta_put(c->store, STORE_META_END_REASON, reason);
	if (exit_status >= 0)
		store_meta_put_int(c->store, STORE_META_EXIT_STATUS, exit_status);
	if (getrusage(RUSAGE_SELF, &u) == 0 && getrusage(RUSAGE_CHILDREN, &children) == 0) {
		int64_t us = (u.ru_utime.tv_sec + u.ru_stime.tv_sec + children.ru_utime.tv_sec +
			      children.ru_stime.tv_sec) * 1000000ll + u.ru_utime.tv_usec + u.ru_stime.tv_usec +
			     children.ru_utime.tv_usec + children.ru_stime.tv_usec;
		store_meta_put_int(c->store, STORE_META_CPU_NS, us * 1000);
		store_meta_put(c->store, STORE_META_OVERHEAD_METHOD, "getrusage of the collector and its workers");
	}
}

int collector_finish(struct collector *c, const char *reason, int exit_status, struct collector_summary *ret_summary,
		     struct lsc_err *err)
{
	struct collector_summary sum = { 0 };
	uint64_t now = lsc_now_ns();

	if (c->probe) {
		steer_precise(c, now);
		note_mode(c, now);
		probe_detach(c->probe);
		probe_consume(c->probe);
	}
	for (struct loop *l = c->loops; l; l = l->hh.next) {
		collector_settle_held(c, l);
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
	commit(c); /* a failure of the evidence leaves room for the summary */
	close_ledger(c, &sum);
	watch_free(c);
	c->inspector = inspector_free(c->inspector);
	put_end(c, reason, exit_status, &sum);
	int r = store_finish(LSC_TAKE(c->store), err);
	if (r == 0 && c->store_error)
		r = lsc_err_set(err, c->store_error, "%s", c->error);
	*ret_summary = sum;
	collector_free(c);
	return r;
}
