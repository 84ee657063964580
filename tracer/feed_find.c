/* SPDX-License-Identifier: MIT */
/*
 * Rings among a target's descriptors, and the threads that they are of. How many there are is the
 * target's choice: what is taken of them is bounded.
 */
#include "feed_find.h"

#include <errno.h>

#include "base/clock.h"
#include "feed.h"
#include "ring.h"
#include "state.h"

#define SCAN_REST 50 /* times what a look took: what has many files is looked at more rarely */

/* All targets together, which may fork: 1/SCANS_REST of a CPU, and that of a second at once. */
#define SCANS_REST     20
#define SCANS_AHEAD_NS LSC_NS_PER_S

struct scan {
	struct collector *c;
	struct target *target;
	uint64_t now_ns;
	size_t nfresh;
	int fresh[RING_FOUND_MAX]; /* descriptors that may be of rings which are not read yet */
};

struct thread_search {
	int pid, ns_tid, tid;
};

static int compare_thread(const struct target_thread *t, void *arg)
{
	struct thread_search *s = arg;
	char comm[16];
	int ns_tid = 0;

	if (target_thread_names(s->pid, t->tid, comm, &ns_tid) < 0 || ns_tid != s->ns_tid)
		return 0;
	s->tid = t->tid;
	return 1;
}

/* Our number of the thread that the target knows as ns_tid; 0 when there is none. */
static int thread_of_ring(const struct target *t, uint32_t ns_tid)
{
	struct thread_search s = {.pid = t->pid, .ns_tid = (int)ns_tid};

	if (t->ns_pid == t->pid && compare_thread(&(struct target_thread){.tid = (int)ns_tid}, &s))
		return s.tid;
	target_each_thread(t->pid, compare_thread, &s);
	return s.tid;
}

static void see_nothing(struct collector *c, const char *why)
{
	ledger_stored(c, store_put_unseen(c->store, "tasks", why));
}

/* Whether the ring is read, which it is as long as the target has it. */
static bool is_open(struct scan *s, uint64_t ino)
{
	for (struct loop *l = s->c->loops; l; l = l->hh.next)
		if (l->target == s->target && l->feed && feed_inode(l->feed) == ino) {
			l->ring_seen_ns = s->now_ns;
			return true;
		}
	return false;
}

static void attach_ring(struct scan *s, struct ring *ring)
{
	const struct ring_info *info = ring_info(ring);
	struct collector *c = s->c;
	struct target *t = s->target;
	int tid = (int)info->pid == t->ns_pid ? thread_of_ring(t, info->tid) : 0;
	struct loop *l = tid ? watch_loop(c, tid) : NULL;

	if (l && l->feed && l->ring_seen_ns == s->now_ns) { /* two at once: no loop does that */
		see_nothing(c, "a thread has several rings: the first one is read");
		ring_close(ring);
		return;
	}
	if (l && l->feed) /* the thread runs another loop now; its tasks are counted anew */
		l = watch_loop_next(c, l);
	else if (!l && tid)
		l = watch_loop_new(c, t->pid, tid);
	struct feed *f = l ? feed_new(c, l, ring) : NULL;
	if (!f) { /* inherited by fork, of a thread that ended, or not wanted */
		ring_close(ring);
		return;
	}
	l->feed = f;
	l->ring_seen_ns = s->now_ns;
	if (c->probe && info->current_addr)
		probe_set_task_address(c->probe, l->tid, info->current_addr);
	ring_request_snapshot(ring);
	intake_settle(c, l); /* a ring leaves no doubt: announced, and what was held is told */
	feed_read(c, l);
}

static int on_found(int target_fd, void *arg)
{
	struct scan *s = arg;
	/* 0 before Linux 5.14: then the open ring alone tells whether it is a known one */
	uint64_t ino = decode_fd_inode(s->target->pid, target_fd);

	if (!ino || !is_open(s, ino))
		s->fresh[s->nfresh++] = target_fd;
	return 0;
}

static void take(struct scan *s, int target_fd)
{
	struct ring *ring = NULL;
	struct lsc_err err = {0};
	int r = ring_open(s->target->pidfd, target_fd, RING_FROM_OLDEST, &ring, &err);

	if (r == 0 && is_open(s, ring_info(ring)->ino))
		ring_close(ring);
	else if (r == 0)
		attach_ring(s, ring);
	else if (r != -EBADF && r != -ESRCH) /* closed or ended meanwhile */
		see_nothing(s->c, err.text);
}

void feed_find(struct collector *c, struct target *t)
{
	struct scan s = {.c = c, .target = t, .now_ns = lsc_now_ns()};
	uint64_t before = lsc_cpu_ns(), spent;

	if (c->o.require == REQUIRE_BPF)
		return;
	if (ring_scan(t->pid, on_found, &s) == -E2BIG)
		see_nothing(c, "a process has more than 1024 rings: the others are not read");
	for (size_t i = 0; i < s.nfresh; i++) /* now that those which are read are known */
		take(&s, s.fresh[i]);
	spent = lsc_cpu_ns() - before;
	t->rested_ns = s.now_ns + SCAN_REST * spent;
	if (c->scans_paid_ns + SCANS_AHEAD_NS < s.now_ns)
		c->scans_paid_ns = s.now_ns - SCANS_AHEAD_NS;
	c->scans_paid_ns += SCANS_REST * spent;
}

uint64_t feed_find_from_ns(const struct collector *c, const struct target *t)
{
	return t->rested_ns > c->scans_paid_ns ? t->rested_ns : c->scans_paid_ns;
}

void feed_find_soon(struct collector *c, struct target *t)
{
	uint64_t from = feed_find_from_ns(c, t);

	if (lsc_now_ns() >= from)
		feed_find(c, t);
	else if (!t->scan_ns || from < t->scan_ns)
		t->scan_ns = from;
}
