/* SPDX-License-Identifier: MIT */
/*
 * Blocks while they last. What is only to be had then is asked for a few ms after a block began,
 * and again each time it has lasted twice as long: where in the kernel the thread sleeps, and where
 * in a program in Python or JavaScript; who is at the other end of the pipe, who holds the lock
 * that it waits for, and that thread's stack. Each answer is believed only if the block was still
 * the same afterwards; no thread is stopped for it.
 */
#include "evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel_stack.h"
#include "peer.h"

#define FIRST_NS    3000000ull /* a younger block may be over before it is looked into */
#define LOOKS_PER_S 50	       /* of 300 us each where frames of a language are read, else 100 */
#define LONG_NS	    20000000ull
#define GIL_NS	    40000000ull /* from a look into a loop's wait for CPython's lock to the next */
#define OWNER	    "stack of a lock's owner"

/* Those that have lasted long are not to lack a look because of many short ones. */
static bool may_look(struct collector *c, uint64_t age, uint64_t now)
{
	if (now >= c->look_second_ns + LSC_NS_PER_S) {
		c->look_second_ns = now;
		c->looks = 0;
	}
	if (c->looks >= (age < LONG_NS ? LOOKS_PER_S : 2 * LOOKS_PER_S))
		return false;
	c->looks++;
	return true;
}

static void ask_kernel_stack(struct collector *c, struct loop *l)
{
	struct inquiry *q = &l->inquiry;
	struct kernel_stack k;

	if (c->no_kernel_stacks)
		return;
	int r = kernel_stack_read(l->target->pid, l->tid, &k);
	if (r == -EACCES || r == -EPERM) {
		c->no_kernel_stacks = true;
		ledger_stored(c, store_put_unseen(c->store, "kernel stacks",
						  "not permitted; CAP_SYS_ADMIN would give them"));
	} else if (r == 0 && asleep_in_block(c, l, q->off_ns)) {
		q->kernel_stack = stack_intern(c, k.frames, k.nframes, false);
	}
}

/* Who holds the lock, by what lay at the futex when the wait began. */
static void name_owner(struct collector *c, const struct loop *l, const struct event_block *e,
		       struct owner *ret)
{
	struct aux aux;
	struct owner o = {.word = e->args[0], .op = e->args[1], .value = e->args[2]};

	memcpy(&aux, e->aux, sizeof(aux));
	*ret = o;
	if (e->nr == NR_FUTEX && aux.type == AUX_GIL) {
		gil_name_owner(c, l, &aux, ret);
		return;
	}
	if (e->nr != NR_FUTEX || aux.type != AUX_FUTEX ||
	    !futex_find_owner(o.op, o.value, aux.futex, &o.lock) || o.lock.ns_tid == l->ns_tid)
		return;
	int tid = target_find_thread(l->target, o.lock.ns_tid, o.lock.shared, o.comm);
	if (tid <= 0)
		return;
	char comm[16];
	o.tid = tid;
	o.foreign = target_thread_names(l->target->pid, tid, comm, NULL) < 0;
	*ret = o;
}

/* What was found out of an owner that a sample has named is this one's only if it is the same. */
static void take_owner(struct collector *c, const struct loop *l, struct inquiry *q,
		       const struct event_block *e)
{
	struct owner owner;

	name_owner(c, l, e, &owner);
	if (owner.tid != q->owner.tid) {
		q->owner_stack = 0;
		q->job = 0;
	}
	q->owner = owner;
}

/* The process that the loop waits for, by its number or by the pipe between the two. */
static void find_peer(struct loop *l, const struct event_block *e, const struct aux *aux)
{
	struct inquiry *q = &l->inquiry;
	bool same_numbers = l->target->ns_pid == l->target->pid;

	if (e->fd_kind == FD_PIPE || e->fd_kind == FD_FIFO)
		q->peer = peer_of_pipe(l->target->pid, decode_waited_fd(e, aux), q->peer_comm);
	else if (e->nr == SYS_wait4 && (int)e->args[0] > 0 && same_numbers &&
		 target_thread_names((int)e->args[0], (int)e->args[0], q->peer_comm, NULL) == 0)
		q->peer = (int)e->args[0];
}

/* What was kept when the block began. */
static void ask_begin(struct collector *c, struct loop *l, const struct thread_state *t)
{
	lsc_autofree struct stack_slot *slot = malloc(sizeof(*slot));
	struct aux aux;

	if (!slot || probe_stack(c->probe, l->tid, slot) < 0 || slot->block.off_ns != t->off_ns)
		return;
	struct event_block *e = &slot->block;
	memcpy(e->args, t->args, sizeof(e->args));
	memcpy(&aux, e->aux, sizeof(aux));
	e->nr = t->nr;
	e->fd_kind = t->fd_kind;
	l->inquiry.cut = e->cut;
	take_owner(c, l, &l->inquiry, e);
	find_peer(l, e, &aux);
}

static void watch_owner(struct collector *c, struct loop *l)
{
	struct inquiry *q = &l->inquiry;
	lsc_autofree struct owner_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return;
	w->off_ns = q->off_ns;
	w->address = q->owner.word + q->owner.lock.offset;
	w->mask = q->owner.lock.mask;
	w->ns_tid = (__u32)q->owner.lock.ns_tid;
	w->gil = q->owner.gil;
	w->waiter = (__u32)l->tid;
	if (l->sampled != q->owner.tid)
		inquiry_end(c, l);
	if (probe_watch_owner(c->probe, q->owner.tid, w) == 0) {
		l->sampled = q->owner.tid;
		l->sampled_ns_tid = q->owner.lock.ns_tid;
		l->sampling = true;
	}
}

/* A sleeping owner's stack is read where it lies; a running one's is for the sampler to copy. */
static void ask_owner_stack(struct collector *c, struct loop *l)
{
	struct inquiry *q = &l->inquiry;
	struct look_view seen;

	if (!c->look || q->owner.foreign || look_at(c->look, q->owner.tid, &seen) < 0 ||
	    seen.tgid != (__u32)l->target->pid)
		return;
	if (seen.on_cpu || q->missed || q->owner.gil)
		watch_owner(c, l);
	if (seen.on_cpu)
		return;
	struct job *j = job_new(c, l, JOB_OWNER);
	if (!j)
		return;
	j->owner = q->owner;
	j->seen = seen;
	struct inspector_sleeper sleeper = {
		.regs = (const uint64_t *)seen.regs,
		.words = q->owner.word,
		.python = target_is_python(l->target) ? q->owner.lock.ns_tid : 0};
	q->job = job_begin(c, j,
			   inspector_unwind_asleep(c->inspector, j->cookie, l->target->pid,
						   q->owner.tid, &sleeper));
}

static void look_into(struct collector *c, struct loop *l, const struct thread_state *t)
{
	struct inquiry *q = &l->inquiry;

	if (!q->asked) {
		ask_kernel_stack(c, l);
		ask_begin(c, l, t);
		q->asked = true;
	}
	if (asleep_is_wanted(l))
		asleep_ask(c, l);
	if (deep_is_wanted(l))
		deep_ask(c, l);
	if (q->owner.tid && !q->owner_stack && !q->job)
		ask_owner_stack(c, l);
	/* the wait was over meanwhile, or nobody had the lock as it began: the next may tell */
	if (t->cause == LSC_CAUSE_GIL && l->target->gil && !q->owner.tid)
		l->gil_due_ns = 0;
}

static bool is_open(const struct loop *l)
{
	const struct inquiry *q = &l->inquiry;

	return !q->asked || asleep_is_wanted(l) || deep_is_wanted(l) ||
	       (q->owner.tid && !q->owner_stack && !q->job);
}

static int index_engine(struct collector *c, const struct target *t, int tid, uint64_t cookie)
{
	return inspector_find(c->inspector, cookie, t->pid, tid, "node", "v8dbg_HeapObjectTag");
}

/* One that runs has its engine's file indexed at least. */
static int warm_up(struct collector *c, const struct target *t, int tid, uint64_t cookie)
{
	struct look_view seen;
	struct inspector_sleeper sleeper = {.python = target_is_python(t) ? t->ns_pid : 0};

	if (c->look && look_at(c->look, tid, &seen) == 0 && !seen.on_cpu &&
	    seen.tgid == (__u32)t->pid) {
		sleeper.regs = (const uint64_t *)seen.regs;
		return inspector_unwind_asleep(c->inspector, cookie, t->pid, tid, &sleeper);
	}
	return sleeper.python ? -EBUSY : index_engine(c, t, tid, cookie);
}

void inquiry_warm_up(struct collector *c, const struct target *t, int tid)
{
	struct job *j = job_new(c, NULL, JOB_WARM);

	if (j)
		job_begin(c, j, warm_up(c, t, tid, j->cookie));
}

void inquiry_begin_program(struct collector *c, const struct target *t)
{
	struct job *j = strcmp(t->runtime, "node") ? NULL : job_new(c, NULL, JOB_WARM);

	if (!j)
		return;
	j->tid = t->pid;
	job_begin(c, j, index_engine(c, t, t->pid, j->cookie));
}

uint64_t inquiry_least_ns(const struct collector *c)
{
	return c->o.block_ns > FIRST_NS ? c->o.block_ns : FIRST_NS;
}

/* Waits for CPython's lock end after 5 ms and begin again: they must be looked into sooner, and
 * some of them tell as much as all. The collector polls as often: in step with them it would meet
 * each too young, so it comes back for one. */
static bool is_due(struct collector *c, const struct loop *l, const struct thread_state *t,
		   uint64_t now)
{
	bool gil = t->cause == LSC_CAUSE_GIL;
	uint64_t due = t->off_ns + (gil ? c->block_ns : inquiry_least_ns(c));

	if (t->off != OFF_BLOCK || (gil && now < l->gil_due_ns))
		return false;
	if (gil && now < due && due < c->held_at_ns)
		c->held_at_ns = due;
	return now >= due;
}

/* The loop is in another block: what was found out is kept until that one's event is here, which
 * may be held back. */
static void turn_to(struct loop *l, struct inquiry next)
{
	if (l->inquiry.asked)
		l->past[l->npast++ % PAST_INQUIRIES] = l->inquiry;
	l->inquiry = next;
}

/* NULL: it was too short, or there was too much to look into. */
static struct inquiry *find_inquiry(struct loop *l, uint64_t off_ns)
{
	if (l->inquiry.off_ns == off_ns)
		return &l->inquiry;
	for (size_t i = 0; i < PAST_INQUIRIES; i++)
		if (l->past[i].off_ns == off_ns)
			return &l->past[i];
	return NULL;
}

/* The one that waits for this answer: about the owner, or about the loop itself. */
static struct inquiry *find_asking(struct loop *l, uint64_t job)
{
	struct inquiry *q = &l->inquiry;

	for (size_t i = 0; q->job != job && q->own_job != job; i++) {
		if (i == PAST_INQUIRIES)
			return NULL;
		q = &l->past[i];
	}
	return q;
}

void inquiry_end(struct collector *c, struct loop *l)
{
	if (l->sampling && c->probe)
		probe_drop_owner(c->probe, l->sampled);
	l->sampling = false; /* what it has copied may be on its way */
}

void inquiry_steer(struct collector *c, uint64_t now)
{
	struct thread_state t;

	for (struct loop *l = c->probe ? c->loops : NULL; l; l = l->hh.next) {
		struct inquiry *q = &l->inquiry;
		uint64_t since =
			l->kernel && !l->exited ? probe_busy_since(c->probe, l->tid, NULL) : 0;
		if (!since)
			inquiry_end(c, l);
		if (!since || now < since + c->o.block_ns || !watch_loop_reports(c, l) ||
		    probe_thread(c->probe, l->tid, &t) < 0 || !is_due(c, l, &t, now) ||
		    (q->off_ns == t.off_ns && now < q->next_ns))
			continue;
		uint64_t age = now - t.off_ns;
		if (q->off_ns != t.off_ns)
			turn_to(l, (struct inquiry){.off_ns = t.off_ns});
		q->next_ns = now + (age < LSC_NS_PER_S ? age : LSC_NS_PER_S);
		if (!is_open(l))
			continue;
		if (t.cause == LSC_CAUSE_GIL)
			l->gil_due_ns = now + GIL_NS;
		if (may_look(c, age, now))
			look_into(c, l, &t);
		else
			ledger_unresolved(c, "block", "too many to look into");
	}
}

void inquiry_sample(struct collector *c, struct loop *l, const struct event_block *e,
		    const void *stack, size_t size)
{
	struct inquiry *q = &l->inquiry;

	if (l->sampled == (int)e->owner && q->off_ns < e->off_ns) /* in a wait after that */
		turn_to(l, (struct inquiry){.off_ns = e->off_ns, .owner.tid = (int)e->owner});
	/* one that was looked at while it slept and runs now gets no other answer */
	if (!size || q->off_ns != e->off_ns || q->owner.tid != (int)e->owner || q->owner_stack)
		return;
	struct job *j = job_new(c, l, JOB_OWNER);
	if (!j)
		return;
	j->owner = q->owner;
	const uint64_t *regs = (const uint64_t *)e->regs;
	int pid = l->target->pid, tid = q->owner.tid;
	lsc_autofree struct inspector_chain *python =
		l->sampled == tid ? chain_take(l, e, l->sampled_ns_tid) : NULL;
	q->job = job_begin(
		c, j,
		python ? inspector_unwind_python(c->inspector, j->cookie, pid, tid, regs, stack,
						 size, python)
		       : inspector_unwind(c->inspector, j->cookie, pid, tid, regs, stack, size));
}

/* The owner slept from before its stack was read until now, and the lock still named it when that
 * was done: so it looked while it held the lock. */
static bool is_certain(struct collector *c, const struct job *j, const struct inspector_result *r)
{
	struct futex_owner o;
	struct look_view now;

	if (!j->seen.tid)
		return true; /* a copy: the kernel side has looked */
	if (!r->words)
		return false;
	bool held = j->owner.gil ? gil_is_held(&j->owner, r->words)
				 : futex_find_owner(j->owner.op, j->owner.value, r->words, &o) &&
					   o.ns_tid == j->owner.lock.ns_tid;
	return held && look_at(c->look, j->owner.tid, &now) == 0 &&
	       look_stood_still(&j->seen, &now);
}

void inquiry_kept(struct collector *c, struct job *j, const struct inspector_result *r)
{
	j->stood = j->kind == JOB_OWN ? asleep_stood(c, j) : is_certain(c, j, r);
}

void inquiry_result(struct collector *c, const struct job *j, const struct inspector_result *r)
{
	if (j->kind == JOB_OWN) {
		asleep_result(c, j, find_asking(j->loop, r->cookie), r);
		return;
	}
	struct inquiry *q = find_asking(j->loop, r->cookie);
	struct block *b = q ? NULL : j->loop->blocks;

	while (b && b->owner_job != r->cookie)
		b = b->next;
	if (!q && !b)
		return; /* the sampler was sooner */
	bool certain = r->kept ? j->stood : is_certain(c, j, r);
	int64_t stack = certain ? stack_intern_result(c, r) : 0;
	if (certain && r->language_why)
		ledger_no_frames(c, j->loop, r->language_why);
	if (!certain)
		j->loop->gil_due_ns = 0; /* the next wait may tell */
	if (q) {
		q->job = 0;
		q->owner_stack = stack;
		q->missed = !certain;
		if (!certain)
			q->next_ns = 0;
		return;
	}
	b->owner_job = 0;
	b->row.owner_stack = stack;
	if (!certain)
		ledger_unresolved(c, OWNER, "it ran on");
	evidence_put_block(c, b);
}

void inquiry_close(struct collector *c, struct loop *l, const struct event_block *e, bool chained,
		   struct block *b)
{
	struct inquiry *q = find_inquiry(l, e->off_ns), none = {0};

	if (!q) {
		q = &none;
		name_owner(c, l, e, &q->owner);
	} else if (!q->asked || e->cause == LSC_CAUSE_GIL) {
		take_owner(c, l, q, e);
	}
	b->row.kernel_stack = q->kernel_stack;
	asleep_close(c, l, q, chained, b);
	if (e->nr == SYS_wait4 && !e->waker_child && l->target->ns_pid != l->target->pid)
		b->row.resource_pid = 0; /* a number of the target's namespace says nothing here */
	if (q->peer && (!b->row.resource_pid || b->row.resource_pid == q->peer)) {
		memcpy(b->resource_comm, q->peer_comm, sizeof(b->resource_comm));
		b->row.resource_pid = q->peer;
		b->row.resource_comm = b->resource_comm;
	}
	if (q->owner.tid) {
		memcpy(b->owner_comm, q->owner.comm, sizeof(b->owner_comm));
		b->row.owner_tid = q->owner.tid;
		b->row.owner_comm = b->owner_comm;
		b->row.owner_stack = q->owner_stack;
		b->owner_job = q->job;
		if (!q->owner_stack && !q->job)
			ledger_unresolved(c, OWNER,
					  !c->look	     ? "threads cannot be looked at"
					  : q->owner.foreign ? "it belongs to another process"
					  : q->missed	     ? "it ran on"
					  : q->owner.gil     ? "not each wait is looked into"
							     : "the wait was too short");
	}
	if (q == &none)
		return;
	if (q == &l->inquiry && !q->owner.gil)
		inquiry_end(c, l);
	*q = (struct inquiry){0};
}
