/* SPDX-License-Identifier: MIT */
/* Targets, their threads, and which of these are loops. */
#include "evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/duration.h"
#include "feed.h"
#include "feed_find.h"
#include "own.h"
#include "seed.h"
#include "syscall.h"
#include "tick.h"

#define GONE_NS	   1000000000ull /* events of a process that has ended may still come */
#define LOOPS_MAX  8192		 /* at once, and then as time goes by */
#define LOOP_AT_NS 10000000ull	 /* one more */

void watch_target_store(struct collector *c, const struct target *t)
{
	struct store_target row = {
		.id = t->id,
		.pid = t->pid,
		.ns_pid = t->ns_pid,
		.comm = t->comm,
		.exe = t->exe[0] ? t->exe : NULL,
		.runtime = t->runtime[0] ? t->runtime : NULL,
		.runtime_version = t->runtime_version[0] ? t->runtime_version : NULL,
		.cgroup = t->cgroup[0] ? t->cgroup : NULL,
		.first_ns = t->first_ns,
		.last_ns = t->last_ns,
	};
	ledger_stored(c, store_put_target(c->store, &row));
}

int watch_target(struct collector *c, int pid, struct lsc_err *err)
{
	/* a command to record is a client still while it is held before its exec */
	bool held = !c->store && !strcmp(c->o.mode, "record");

	if (!held && own_process(pid))
		return lsc_err_set(err, -ESRCH,
				   "process %d is loopscope's own: it does not watch itself", pid);
	struct target *t = malloc(sizeof(*t)), *last;
	struct target **grown = realloc(c->targets, (c->ntargets + 1) * sizeof(*grown));

	if (grown)
		c->targets = grown;
	if (!t || !grown) {
		free(t);
		return lsc_err_set(err, -ENOMEM, "cannot watch process %d: out of memory", pid);
	}
	int r = c->alive < PROBE_MAX_TARGETS
			? target_open(pid, t, err)
			: lsc_err_set(err, -E2BIG, "there is room for %d processes at once",
				      PROBE_MAX_TARGETS);
	if (r < 0) {
		free(t);
		return r;
	}
	if (held) { /* what it is now is loopscope */
		snprintf(t->comm, sizeof(t->comm), "%.15s", c->o.command ? c->o.command : "");
		t->exe[0] = '\0';
	}
	HASH_FIND_INT(c->by_pid, &pid, last);
	HASH_ADD_INT(c->by_pid, pid, t);
	if (!t->hh.tbl) {
		target_close(t);
		free(t);
		return lsc_err_set(err, -ENOMEM, "cannot watch process %d: out of memory", pid);
	}
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = t};
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, t->pidfd, &ev) < 0) {
		r = lsc_err_set(err, -errno, "cannot watch process %d: %s", pid, strerror(errno));
		HASH_DEL(c->by_pid, t);
		target_close(t);
		free(t);
		return r;
	}
	t->id = ++c->next_target;
	c->targets[c->ntargets++] = t;
	c->alive++;
	if (last)
		HASH_DEL(c->by_pid, last);
	if (c->store)
		watch_target_store(c, t);
	return 0;
}

struct target *watch_target_of(struct collector *c, int pid)
{
	struct target *t;

	HASH_FIND_INT(c->by_pid, &pid, t);
	return t;
}

void watch_late_target(struct collector *c, struct target *t)
{
	if (c->probe)
		probe_add_target(c->probe, t->pid);
	watch_seed(c, t);
	feed_find_soon(c, t);
}

static void take_selected(int pid, void *arg)
{
	struct collector *c = arg;
	struct target *t = watch_target_of(c, pid);
	struct lsc_err err = {0};

	if (t && !t->gone)
		return;
	int r = watch_target(c, pid, &err);
	if (r == 0 && c->start_ns)
		watch_late_target(c, watch_target_of(c, pid));
	if (r == 0 || r == -ESRCH) /* it has ended meanwhile, or there is no life in it */
		return;
	c->refused++;
	c->refusal = err;
}

void watch_selected(struct collector *c, uint64_t now)
{
	size_t before = c->refused;
	char text[400];

	selection_scan(c->selection, now, take_selected, c);
	if (before || !c->refused || !c->alive)
		return; /* said already, or nothing to say */
	snprintf(text, sizeof(text), "not all processes %s are watched: %s",
		 selection_text(c->selection), c->refusal.text);
	c->ops->notice(text, c->arg);
}

void watch_target_gone(struct collector *c, struct target *t)
{
	if (t->gone)
		return;
	t->gone = true;
	t->last_ns = lsc_now_ns();
	c->alive--;
	if (!c->alive)
		c->next_select_ns = 0; /* the last one, unless there are new ones */
	epoll_ctl(c->epoll, EPOLL_CTL_DEL, t->pidfd, NULL);
	target_close(t);
	struct target *bearer = watch_target_of(c, t->pid);
	if (c->probe && (!bearer || bearer->gone))
		probe_drop_target(c->probe, t->pid);
	watch_target_store(c, t);
}

static bool holds(const int *v, size_t n, int x)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == x)
			return true;
	return false;
}

static bool thread_is_wanted(const struct collector *c, int tid)
{
	return !c->o.ntids || holds(c->tids, c->o.ntids, tid);
}

static bool thread_is_forced(const struct collector *c, int tid)
{
	return holds(c->loop_threads, c->o.nloop_threads, tid);
}

struct loop *watch_loop(struct collector *c, int tid)
{
	struct loop *l;

	HASH_FIND_INT(c->loops, &tid, l);
	return l;
}

bool watch_has_room(struct collector *c)
{
	if (quota_has_room(&c->room, lsc_now_ns(), LOOPS_MAX, LOOP_AT_NS))
		return true;
	if (!c->told_room)
		c->ops->notice(
			"threads that come and go make too many loops: beyond 8,192, and 100 "
			"a second, they are counted as lost (quota)",
			c->arg);
	c->told_room = true;
	return false;
}

struct loop *watch_loop_new(struct collector *c, int pid, int tid)
{
	struct target *t = watch_target_of(c, pid);
	struct loop *l = watch_loop(c, tid);

	if (l || !t || !thread_is_wanted(c, tid) || !watch_has_room(c))
		return l;
	quota_take(&c->room, lsc_now_ns(), LOOP_AT_NS);
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->tid = tid;
	HASH_ADD_INT(c->loops, tid, l);
	if (!l->hh.tbl) {
		free(l);
		return NULL;
	}
	l->id = ++c->next_loop;
	l->target = t;
	t->loops++;
	l->fd = -1;
	l->main = tid == pid;
	l->forced = thread_is_forced(c, tid);
	l->first_ns = l->last_ns = lsc_now_ns();
	if (target_thread_names(pid, tid, l->comm, &l->ns_tid) < 0)
		snprintf(l->comm, sizeof(l->comm), "%s", t->comm);
	if (c->probe && probe_add_stack(c->probe, tid) < 0)
		c->no_room++;
	gil_look(c, l);
	if (!t->warm && !strcmp(t->runtime, "node"))
		inquiry_warm_up(c, t, tid);
	t->warm = true;
	return l;
}

/* Multiplexers are loops; a futex only where the main thread idles in it while another thread of
 * the process waits for descriptors on its behalf. */
bool watch_loop_reports(struct collector *c, const struct loop *l)
{
	if (l->feed || l->forced || l->class > WAIT_FUTEX)
		return true;
	if (l->class != WAIT_FUTEX || !l->main)
		return false;
	for (const struct loop *o = c->loops; o; o = o->hh.next)
		if (o != l && o->target == l->target && o->class > WAIT_FUTEX && o->confidence > 1)
			return true;
	return false;
}

/* Earlier than that it is the time in which loops are learned from what they do. */
#define LATE_NS (LSC_NS_PER_S / 2)

void watch_loop_met(struct collector *c, struct loop *l, uint64_t ns)
{
	const struct target *t = l->target;

	if (!c->start_ns || ns < c->start_ns + LATE_NS || t->young_ns >= c->start_ns ||
	    !target_thread_precedes(l->tid, c->start_ns))
		return;
	l->late_ns = ns - c->start_ns;
	l->first_ns = c->start_ns;
	l->unsure_ns += l->late_ns;
}

/* Its first wait ended a turn that had begun before the watch: how long it was is not known. */
static void tell_late(struct collector *c, const struct loop *l)
{
	char time[32], what[96], why[160];

	lsc_duration_format(l->late_ns, time, sizeof(time));
	snprintf(what, sizeof(what), "the first %s of loop %d (%.15s)", time, l->tid, l->comm);
	snprintf(why, sizeof(why),
		 "it was held when the watch began, or was no loop yet: by what cannot be told");
	ledger_stored(c, store_put_unseen(c->store, what, why));
	snprintf(why, sizeof(why),
		 "loop %d (%.15s) was held when the watch began, for %s more, or was no loop yet",
		 l->tid, l->comm, time);
	c->ops->notice(why, c->arg);
}

void watch_loop_announce(struct collector *c, struct loop *l)
{
	if (l->announced || !watch_loop_reports(c, l))
		return;
	l->announced = true;
	c->nloops++;
	watch_loop_store(c, l);
	if (l->late_ns)
		tell_late(c, l);
	struct collector_loop told = {
		.pid = l->target->pid,
		.tid = l->tid,
		.fd = l->fd,
		.comm = l->comm,
		.runtime = l->target->runtime[0] ? l->target->runtime : NULL,
		.syscall = l->class ? syscall_name(l->nr) : NULL,
		.source = (l->kernel ? STORE_SOURCE_BPF : 0) | (l->feed ? STORE_SOURCE_RING : 0),
	};
	c->ops->loop(&told, c->arg);
}

void watch_loop_totals(struct collector *c, struct loop *l)
{
	struct thread_state t;

	/* fewer ticks are those of another thread with its number, or of another program */
	if (c->probe && !l->exited && probe_thread(c->probe, l->tid, &t) == 0 &&
	    t.ticks >= l->totals.ticks)
		l->totals = t;
	if (!l->target->gone)
		l->last_ns = lsc_now_ns();
}

uint64_t watch_loop_prelude(const struct loop *l, uint64_t tick_ns)
{
	uint64_t turn = l->precise.turn_ns;

	if (turn)
		return turn < TICK_PRELUDE_NS ? turn : TICK_PRELUDE_NS;
	return l->totals.idle_ns + tick_ns > l->totals.busy_ns ? TICK_PRELUDE_RESTS_NS
							       : TICK_PRELUDE_NS;
}

void watch_loop_store(struct collector *c, struct loop *l)
{
	if (!l->announced)
		return;
	struct store_loop row = {
		.id = l->id,
		.target = l->target->id,
		.tid = l->tid,
		.comm = l->comm,
		.source = (l->kernel ? STORE_SOURCE_BPF : 0) | (l->feed ? STORE_SOURCE_RING : 0),
		.runtime = l->feed && feed_runtime(l->feed)[0] ? feed_runtime(l->feed)
			   : l->target->runtime[0]	       ? l->target->runtime
			   : l->of_libuv		       ? "libuv"
							       : NULL,
		.wait_syscall = l->class ? syscall_name(l->nr) : NULL,
		.wait_fd = l->class == WAIT_EPOLL ? l->fd : -1,
		.first_ns = l->first_ns,
		.last_ns = l->last_ns,
		.ticks = l->totals.ticks,
		.busy_ns = l->totals.busy_ns,
		.idle_ns = l->totals.idle_ns,
		.runqueue_ns = l->totals.runqueue_ns,
		.lag = l->kernel ? &l->totals.lag : NULL,
		.stalled_ns = l->stalled_ns,
		.stall_count = l->stall_count,
	};
	if (l->feed)
		feed_totals(l->feed, &row.ticks, &row.busy_ns, &row.idle_ns, &row.lag);
	ledger_stored(c, store_put_loop(c->store, &row));
}

/* ---- the threads present at the attach ---- */

struct seeding {
	struct collector *c;
	struct target *target;
};

static int seed_thread(const struct target_thread *t, void *arg)
{
	struct seeding *s = arg;

	if (t->running) {
		s->c->some_running = true;
		return 0;
	}
	bool forced = thread_is_forced(s->c, t->tid);
	bool plausible = seed_idles(t);
	if (!forced && seed_parks(t, s->target->pid))
		/* where a worker of a pool idles, in case one of its jobs runs a loop */
		seed_place(s->c->probe, s->target->pid, t, false);
	if (!(plausible || (forced && probe_wait_class(t->nr))) || !thread_is_wanted(s->c, t->tid))
		return 0;
	int r = seed_place(s->c->probe, s->target->pid, t, forced || t->tid == s->target->pid);
	if (r == 0)
		s->c->some_running =
			true; /* it ran since the probes are there, which learn from it */
	if (r != 1)
		return 0;
	struct loop *l = watch_loop_new(s->c, s->target->pid, t->tid);
	if (!l)
		return 0;
	l->kernel = l->seeded = true;
	l->class = probe_wait_class(t->nr);
	l->nr = t->nr;
	l->fd = seed_set(t);
	l->confidence = probe_seed_confidence((enum wait_class)l->class);
	watch_loop_announce(s->c, l);
	return 0;
}

void watch_seed(struct collector *c, struct target *t)
{
	struct seeding s = {c, t};

	if (c->probe)
		target_each_thread(t->pid, seed_thread, &s);
}

/* ---- ends ---- */

/* The thread runs this loop no more. */
static void leave(struct collector *c, struct loop *l)
{
	if (!l->replaced)
		watch_loop_totals(c, l);
	l->exited = true;
	intake_settle(c, l);
	if (l->feed)
		feed_end(c, l);
	inquiry_end(c, l);
	if (c->probe)
		probe_drop_thread(c->probe, l->tid);
	HASH_DEL(c->loops, l);
}

/* Stores what is known and frees the loop. */
static void finish(struct collector *c, struct loop *l)
{
	stall_settle(c, l, lsc_now_ns(), true);
	watch_loop_store(c, l);
	evidence_drop_loop(c, l);
	task_forget(l);
	if (l->announced && l->kernel && probe_is_exact(c->probe)) {
		struct store_mode_span span = {.loop = l->id,
					       .from_ns = l->first_ns,
					       .to_ns = l->last_ns,
					       .mode = STORE_MODE_FENTRY};
		ledger_stored(c, store_put_mode(c->store, &span));
	}
	if (l->announced) {
		c->unsure_ns +=
			l->feed ? feed_unsure_ns(l->feed) : l->totals.unsure_ns + l->unsure_ns;
		c->watched_ns += l->last_ns - l->first_ns;
	}
	l->feed = feed_free(l->feed);
	l->victims = victim_free(l->victims);
	l->target->loops--;
	free(l);
}

void watch_loop_end(struct collector *c, struct loop *l)
{
	leave(c, l);
	finish(c, l);
}

struct loop *watch_loop_next(struct collector *c, struct loop *l)
{
	leave(c, l);
	struct loop *next = watch_loop_new(c, l->target->pid, l->tid);
	if (next)
		next->told = l->told;
	finish(c, l);
	return next;
}

void watch_loop_exit(struct collector *c, struct loop *l)
{
	leave(c, l);
	l->finish_ns = lsc_now_ns() + SETTLE_NS;
	l->next_ended = c->ended;
	c->ended = l;
}

void watch_settle_ended(struct collector *c, uint64_t now, bool force)
{
	for (struct loop **at = &c->ended; *at;) {
		struct loop *l = *at;
		stall_settle(c, l, now, force);
		if (!force && now < l->finish_ns && (l->stalls || evidence_is_awaited(l))) {
			at = &l->next_ended;
			continue;
		}
		*at = l->next_ended;
		finish(c, l);
	}
}

/* A tree of processes may have thousands that end soon. */
void watch_targets_prune(struct collector *c, uint64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->ntargets; i++) {
		struct target *t = c->targets[i];
		bool old = t->gone && now >= t->last_ns + GONE_NS;
		for (struct loop *next, *l = old && t->loops ? c->loops : NULL; l; l = next) {
			next = l->hh.next;
			if (l->target ==
			    t) /* the news of its exit found no room in the ring buffer */
				watch_loop_exit(c, l);
		}
		if (!old || t->loops) {
			c->targets[kept++] = t;
			continue;
		}
		if (watch_target_of(c, t->pid) == t)
			HASH_DEL(c->by_pid, t);
		free(t);
	}
	c->ntargets = kept;
}

void watch_free(struct collector *c)
{
	HASH_CLEAR(hh, c->by_pid);
	for (size_t i = 0; i < c->ntargets; i++) {
		if (c->store && !c->targets[i]->gone)
			watch_target_store(c, c->targets[i]);
		target_close(c->targets[i]);
		free(c->targets[i]);
	}
	free(c->targets);
	c->targets = NULL;
	c->ntargets = 0;
}
