/* SPDX-License-Identifier: MIT */
/*
 * Kernel events on their way in: to the loop they belong to, held back until its primary wait is
 * certain, then stored, or withdrawn.
 */
#include "evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "feed.h"
#include "feed_find.h"
#include "own.h"

#define BIRTH_NS 30000000ull /* /proc tells the begin of a process in steps of 10 ms */

/* Of the samples held back every second one stays, and stands for two: the stall itself comes last.
 */
static void thin_held(struct collector *c, struct loop *l)
{
	size_t kept = 0;
	struct held_event *last = NULL; /* a sample that may take in another */

	for (size_t i = 0; i < l->nheld; i++) {
		struct held_event *h = &l->held[i];

		if (h->event->kind == EVENT_SAMPLE && last) {
			last->stands_for += h->stands_for;
			c->stored++;
			free(h->event);
			if (l->held[kept - 1].event->kind == EVENT_PYTHON) /* its frames */
				free(l->held[--kept].event);
			last = NULL;
			continue;
		}
		l->held[kept] = *h;
		last = h->event->kind == EVENT_SAMPLE ? &l->held[kept] : last;
		kept++;
	}
	l->nheld = kept;
}

/* Frames of Python are no event of their own: they come with the one that follows. */
static void lose_held(struct collector *c, const struct event *e, enum lsc_loss why)
{
	if (e->kind != EVENT_PYTHON)
		ledger_lose(c, why, 1);
}

static void hold(struct collector *c, struct loop *l, const struct event *e, size_t size)
{
	struct event *copy = malloc(size);

	if (l->nheld == HELD_MAX)
		thin_held(c, l);
	if (copy && l->nheld == HELD_MAX && e->kind == EVENT_STALL) { /* blocks: one less */
		lose_held(c, l->held[0].event, LSC_LOSS_QUOTA);
		free(l->held[0].event);
		memmove(l->held, l->held + 1, --l->nheld * sizeof(l->held[0]));
	}
	if (!copy || l->nheld == HELD_MAX) {
		free(copy);
		lose_held(c, e, LSC_LOSS_QUOTA);
		return;
	}
	memcpy(copy, e, size);
	if (!l->nheld) /* the target may be gone when its stacks are asked for: have it opened now
			*/
		inspector_unwind(c->inspector, 0, l->target->pid, l->tid,
				 (const uint64_t[INSPECTOR_REGS]){0}, NULL, 0);
	l->held[l->nheld++] = (struct held_event){size, copy, 1};
}

/* The loop's primary wait is certain: what was held back really happened. */
static void release_held(struct collector *c, struct loop *l)
{
	size_t n = l->nheld;

	l->nheld = 0;
	for (size_t i = 0; i < n; i++) {
		intake_event(c, l->held[i].event, l->held[i].size, l->held[i].stands_for);
		free(l->held[i].event);
	}
}

static void drop_held(struct collector *c, struct loop *l)
{
	for (size_t i = 0; i < l->nheld; i++) {
		lose_held(c, l->held[i].event, LSC_LOSS_UNCONFIRMED);
		free(l->held[i].event);
	}
	l->nheld = 0;
}

void intake_settle(struct collector *c, struct loop *l)
{
	/* of a thread that waited but once there is nothing to tell unless something was held back
	 */
	bool met = l->class == WAIT_EPOLL && (l->nheld || l->main);

	if (l->confidence >= 2 || met || l->seeded || l->forced || l->feed) {
		watch_loop_announce(c, l);
		release_held(c, l);
	} else {
		drop_held(c, l);
	}
}

/* False when there is no room for the loop. */
static bool on_loop(struct collector *c, const struct event_loop *e)
{
	struct loop *l = watch_loop(c, (int)e->e.tid);

	if (!l && !watch_has_room(c))
		return false;
	bool met = l;
	l = watch_loop_new(c, (int)e->e.tgid, (int)e->e.tid);
	if (!l)
		return true;
	if (!met)
		watch_loop_met(c, l, e->e.ts_ns);
	if (e->replaced)
		drop_held(c, l);
	l->kernel = true;
	l->class = e->class;
	l->nr = (int)e->nr;
	l->fd = probe_wait_fd(e->class, e->fd);
	l->confidence = e->confidence;
	if (!l->feed)
		feed_find_soon(c, l->target);
	if (l->confidence >= 2)
		watch_loop_announce(c, l);
	if (l->confidence == 3)
		release_held(c, l);
	gil_look(c, l);
	return true;
}

/* What the kernel side has under the thread's number from now on may be another program's. */
static void take_last(struct loop *l, const struct event_last *e)
{
	l->replaced = true;
	/* it was met when its event was read, perhaps after this one was made */
	l->last_ns = e->p.e.ts_ns > l->first_ns ? e->p.e.ts_ns : l->first_ns;
	if (e->last.tid == (__u32)l->tid)
		l->totals = e->last;
}

/* The process runs another program now; its loops were those of the last one. */
static void on_exec(struct collector *c, const struct event_last *e)
{
	struct target *t = watch_target_of(c, (int)e->p.e.tgid);

	if (!t)
		return;
	if (own_process(t->pid)) {
		watch_target_gone(c, t);
		return;
	}
	target_describe(t);
	gil_forget(c, t);
	t->warm = false;
	snprintf(t->comm, sizeof(t->comm), "%.15s", e->p.comm); /* it may be gone from /proc */
	watch_target_store(c, t);
	inspector_forget(c->inspector, t->pid);
	inquiry_begin_program(c, t);
	t->young_ns = lsc_now_ns();
	t->scan_ns = 0;
	for (struct loop *next, *l = c->loops; l; l = next) {
		next = l->hh.next;
		if (l->target != t)
			continue;
		take_last(l, e);
		watch_loop_end(c, l);
	}
}

/* A new process. Its number may be known of an earlier one, and a later one's by now, whose own
 * event is still to come. */
static void on_fork(struct collector *c, const struct event_process *e)
{
	int pid = (int)e->child;
	struct target *t = watch_target_of(c, pid);
	struct lsc_err err;

	if (t && !target_has_ended(t))
		return; /* found among the descendants at the attach */
	if (t) {	/* what follows is none of its own */
		watch_target_gone(c, t);
		HASH_DEL(c->by_pid, t);
	}
	if (target_thread_precedes(pid, e->e.ts_ns + BIRTH_NS) && watch_target(c, pid, &err) == 0)
		probe_add_target(c->probe, pid); /* dropped with its last bearer, maybe */
	else
		probe_drop_target(c->probe, pid); /* it has ended already */
}

/* last: NULL where it does not say what the thread had done. */
static void on_process(struct collector *c, const struct event_process *e,
		       const struct event_last *last)
{
	struct loop *l;

	switch (e->e.kind) {
	case EVENT_FORK:
		on_fork(c, e);
		break;
	case EVENT_EXIT:
		l = watch_loop(c, (int)e->e.tid);
		if (l && last)
			take_last(l, last);
		if (l)
			watch_loop_exit(c, l);
		else if (c->probe)
			probe_drop_thread(c->probe, (int)e->e.tid);
		break;
	}
}

/* The kernel side is certain of the thread's wait, and the event that said so found no room. NULL:
 * there is none for the loop. */
static struct loop *met_by_evidence(struct collector *c, const struct event *e, int class)
{
	bool met = watch_loop(c, (int)e->tid);
	struct loop *l = watch_loop_new(c, (int)e->tgid, (int)e->tid);
	struct thread_state t;

	if (!l)
		return NULL;
	if (!met)
		watch_loop_met(c, l, e->ts_ns);
	l->kernel = true;
	l->class = class;
	if (c->probe && probe_thread(c->probe, l->tid, &t) == 0) {
		l->nr = (int)t.primary_nr;
		l->fd = probe_wait_fd(t.primary_class, t.primary_fd);
	}
	l->confidence = 3;
	watch_loop_announce(c, l);
	release_held(c, l);
	return l;
}

/* A stall, block or sample of a loop; held back until the loop's primary wait is certain. */
static void on_evidence(struct collector *c, const struct event *e, size_t size,
			unsigned int replayed)
{
	struct loop *l = watch_loop(c, (int)e->tid);
	const struct event_stall *s = e->kind == EVENT_STALL ? decode_stall(e, size) : NULL;
	const void *stack = NULL;
	size_t stack_size = 0;
	const struct event_block *b = s ? NULL : decode_block(e, size, &stack, &stack_size);

	if (!s && !b) {
		ledger_lose(c, LSC_LOSS_EVENT_INVALID, 1);
		return;
	}
	int confidence = s ? s->confidence : b->confidence;
	if (confidence == 3 && (!l || l->confidence < 3))
		l = met_by_evidence(c, e, s ? s->class : b->class);
	if (!l && c->o.ntids) { /* another thread than those asked for */
		c->stored++;
		return;
	}
	if (!l) {
		bool full = confidence >= 2 && !watch_has_room(c);
		ledger_lose(c, full ? LSC_LOSS_QUOTA : LSC_LOSS_UNCONFIRMED, 1);
		return;
	}
	if (!replayed && l->confidence < 3 && !l->feed) { /* a ring leaves no doubt */
		hold(c, l, e, size);
		return;
	}
	if (c->store_error) {
		ledger_lose(c,
			    c->store_error == -EFBIG ? LSC_LOSS_STORE_FULL : LSC_LOSS_STORE_ERROR,
			    1);
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
		evidence_sample(c, l, b, stack, stack_size, replayed ? replayed : 1);
}

/* Not held back: it belongs to a block that has not ended. */
static bool on_owner(struct collector *c, const struct event *e, size_t size)
{
	const void *stack;
	size_t stack_size;
	const struct event_block *b = decode_block(e, size, &stack, &stack_size);
	struct loop *l = watch_loop(c, (int)e->tid);

	if (b && l)
		inquiry_sample(c, l, b, stack, stack_size);
	return b;
}

/* Kept for what it belongs to, which follows, and is held back with it. */
static void on_python(struct collector *c, const struct event *e, size_t size, bool replayed)
{
	const struct event_python *p = decode_python(e, size);
	struct loop *l = watch_loop(c, (int)e->tid);

	if (!p || !l)
		return;
	if (!replayed && l->confidence < 3 && !l->feed)
		hold(c, l, e, size);
	chain_keep(l, p); /* for an owner, too, which is never held back */
}

/* An event that is neither evidence nor belongs to some. False: it makes no sense. */
static bool on_other(struct collector *c, const struct event *e, size_t size)
{
	const struct event_process *process = decode_process(e, size);
	const struct event_last *last = decode_last(e, size);
	const struct event_waited *waited;

	switch (e->kind) {
	case EVENT_OWNER:
		return on_owner(c, e, size);
	case EVENT_EXEC:
		if (last)
			on_exec(c, last);
		return last;
	case EVENT_FORK:
	case EVENT_EXIT:
		if (process)
			on_process(c, process, last);
		return process;
	case EVENT_WAITED:
		waited = decode_waited(e, size);
		if (waited)
			victim_event(c, waited);
		return waited;
	}
	return false;
}

void intake_event(struct collector *c, const struct event *e, size_t size, unsigned int replayed)
{
	const struct event_loop *loop = e->kind == EVENT_LOOP ? decode_loop(e, size) : NULL;

	switch (e->kind) {
	case EVENT_STALL:
	case EVENT_BLOCK:
	case EVENT_SAMPLE:
		on_evidence(c, e, size, replayed);
		return;
	case EVENT_PYTHON:
		on_python(c, e, size, replayed);
		return;
	case EVENT_ROUSE:
		return;
	}
	if (loop && !on_loop(c, loop)) /* what was met but once may have been none */
		ledger_lose(c, loop->confidence < 2 ? LSC_LOSS_UNCONFIRMED : LSC_LOSS_QUOTA, 1);
	else if (loop || on_other(c, e, size))
		c->stored++;
	else
		ledger_lose(c, LSC_LOSS_EVENT_INVALID, 1);
}

void intake_probe_event(const struct event *e, size_t size, void *arg)
{
	intake_event(arg, e, size, 0);
}
