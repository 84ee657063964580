/* SPDX-License-Identifier: MIT */
/*
 * Ticks that became stalls: their length, their split, their culprit; written when their evidence
 * is complete.
 */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "feed.h"
#include "tick.h"

#define INDEX_NS (5 * LSC_NS_PER_S) /* beyond SETTLE_NS: two deadlines of 2 s, and new crews */

static struct stall *stall_new(struct collector *c, struct loop *l, uint64_t begin, uint64_t low,
			       uint64_t high)
{
	struct stall *s = calloc(1, sizeof(*s));
	uint64_t now = lsc_now_ns();

	if (!s)
		return NULL;
	s->row.id = ++c->next_stall;
	s->row.loop = l->id;
	s->row.start_ns = begin;
	s->row.duration_ns = s->row.duration_max_ns = high;
	s->row.duration_min_ns = low;
	s->loop = l;
	s->settle_ns = now + SETTLE_NS;
	s->tell_ns = begin + high + TELL_NS;
	/* one that was held back until its loop was known has its stacks looked at since */
	if (s->tell_ns < now)
		s->tell_ns = now + TELL_NS;
	s->next = l->stalls;
	l->stalls = s;
	return s;
}

/* Adds what the blocks of the stall account for. Returns its sum. */
static uint64_t split_blocks(const struct loop *l, struct stall *s)
{
	uint64_t sum = 0;

	for (const struct block *b = l->blocks; b; b = b->next) {
		if (b->row.stall != s->row.id)
			continue;
		s->row.split[b->row.cause] += b->row.duration_ns;
		s->row.split[LSC_CAUSE_RUNQUEUE] += b->runqueue_ns;
		sum += b->row.duration_ns + b->runqueue_ns;
	}
	return sum;
}

/* The stall is only a part of the busy period that the kernel side accounts for: its blocks are
 * known one by one, its samples stand for CPU, and of the rest no more was spent in run queues than
 * in the whole period. */
static void split_part(const struct loop *l, struct stall *s, const struct event_stall *e)
{
	uint64_t known = split_blocks(l, s), queued = s->row.split[LSC_CAUSE_RUNQUEUE];
	uint64_t blocked = known - queued;

	if (e->longest_block_start_ns >= s->row.start_ns && e->longest_block_ns > blocked) {
		s->row.split[LSC_CAUSE_OTHER] += e->longest_block_ns - blocked; /* event lost */
		known += e->longest_block_ns - blocked;
	}
	known += evidence_sampled_ns(l, s->row.id);
	uint64_t rest = s->row.duration_ns > known ? s->row.duration_ns - known : 0;
	uint64_t throttled = e->split[LSC_CAUSE_THROTTLED];
	if (throttled > rest)
		throttled = rest;
	rest -= throttled;
	uint64_t more =
		e->split[LSC_CAUSE_RUNQUEUE] > queued ? e->split[LSC_CAUSE_RUNQUEUE] - queued : 0;
	s->row.split[LSC_CAUSE_THROTTLED] += throttled;
	s->row.split[LSC_CAUSE_RUNQUEUE] += more < rest ? more : rest;
}

/* How much of a tick's missing time the hypervisor took. */
static uint64_t stolen(const struct collector *c, uint64_t missing)
{
	struct host_look now;

	if (!missing || !c->host.at_ns || host_look(&now) < 0)
		return 0;
	return host_steal_part(missing, c->host.steal_ns, now.steal_ns);
}

void stall_from_kernel(struct collector *c, struct loop *l, const struct event_stall *seen,
		       bool inferred)
{
	if (l->feed && feed_kernel_tick(l->feed, seen))
		return; /* the ring knows its ticks exactly; the kernel's split waits for them */
	stall_from_account(c, l, seen, inferred, false);
}

void stall_from_account(struct collector *c, struct loop *l, const struct event_stall *seen,
			bool inferred, bool part)
{
	if (seen->low_ns < c->o.stall_ns / 2) { /* told for a ring that is not sound any more */
		l->unsure_ns += seen->end_ns - seen->begin_ns;
		return;
	}
	struct event_stall copy = *seen, *e = &copy; /* its low bound may be corrected */
	uint64_t missing = tick_unexplained(e), begin, duration, high = e->end_ns - e->begin_ns;
	uint64_t steal = stolen(c, missing);
	missing -= steal;
	e->split[LSC_CAUSE_STEAL] += steal;
	if (missing) {
		e->low_ns = e->low_ns > missing ? e->low_ns - missing : 0;
		if (e->low_ns < e->certain_ns)
			e->low_ns = e->certain_ns;
		e->split[LSC_CAUSE_OTHER] += missing;
		if (e->low_ns < c->o.stall_ns / 2) { /* nor is anything else of it told */
			l->unsure_ns += tick_unsure(high, 0, e->split, c->o.stall_ns);
			return;
		}
	}
	uint64_t taken = tick_taken(e), by_host = stolen(c, taken);
	e->split[LSC_CAUSE_STEAL] += by_host;
	e->split[LSC_CAUSE_OTHER] += taken - by_host;
	watch_loop_totals(c, l);
	tick_bounds(e, watch_loop_prelude(l, high), &begin, &duration);
	uint64_t queued = e->split[LSC_CAUSE_RUNQUEUE] + e->split[LSC_CAUSE_THROTTLED];
	queued = (uint64_t)((double)queued * (double)duration / (double)high);
	/* It may have been shorter turns; that a CPU was lacked is the host's to be told. */
	if (duration < c->o.stall_ns && queued < c->o.stall_ns / 2) {
		l->unsure_ns += tick_unsure(high, 0, e->split, c->o.stall_ns);
		return;
	}
	struct stall *s = stall_new(c, l, begin, e->low_ns, high);
	if (!s) {
		ledger_undo(c, LSC_LOSS_STORE_ERROR, 1);
		return;
	}
	s->row.duration_ns = duration;
	l->unsure_ns += tick_unsure(high, duration, e->split, c->o.stall_ns);
	s->row.mode = probe_is_exact(c->probe) ? STORE_MODE_FENTRY
		      : e->precise	       ? STORE_MODE_PRECISE
					       : STORE_MODE_DEFAULT;
	s->row.inferred = inferred || steal > duration / 2;
	s->row.in_progress = e->exited;
	s->samples_user = e->samples_user;
	s->samples_kernel = e->samples_kernel;
	s->ring_task = e->task;
	evidence_claim(c, l, s);
	if (part || duration < high / 10 * 9)
		split_part(l, s, e);
	else /* its many small waits are nearly all the tick's */
		for (int i = 0; i < PROBE_CAUSES && i < LSC_CAUSE_COUNT; i++)
			s->row.split[i] = e->split[i];
	tick_split_close(s->row.split, s->row.duration_ns, e->samples_user, e->samples_kernel);
	victim_stall(c, l, begin, begin + duration);
	l->told.stall[l->told.count++ % TOLD_STALLS] = (struct told_stall){begin, begin + duration};
}

bool stall_was_told(const struct loop *l, uint64_t begin_ns, uint64_t end_ns)
{
	for (unsigned int i = 0; i < l->told.count && i < TOLD_STALLS; i++)
		if (l->told.stall[i].begin_ns < end_ns && begin_ns < l->told.stall[i].end_ns)
			return true;
	return false;
}

int64_t stall_from_ring(struct collector *c, struct loop *l, uint64_t begin, uint64_t end,
			uint32_t task, const struct event_stall *kernel, bool in_progress)
{
	struct stall *s = stall_new(c, l, begin, end - begin, end - begin);

	if (!s) {
		ledger_undo(c, LSC_LOSS_STORE_ERROR, 1);
		return 0;
	}
	s->row.mode = STORE_MODE_RING;
	s->row.in_progress = in_progress;
	s->ring_task = task;
	evidence_claim(c, l, s);
	split_blocks(l, s);
	/* What no block explains is the CPU's only as far as the sampler or the CPU clock saw it;
	 * without kernel events, or before they know the thread, it is unknown. */
	uint64_t sampled = evidence_sampled_ns(l, s->row.id);
	uint64_t cpu = sampled ? sampled + c->sample_ns : 0;
	if (kernel) {
		s->samples_user = kernel->samples_user;
		s->samples_kernel = kernel->samples_kernel;
		if (cpu < kernel->cpu_ns + TICK_CPU_SLACK_NS)
			cpu = kernel->cpu_ns + TICK_CPU_SLACK_NS;
		/* one tick made most of the busy period: its many small waits are the tick's too */
		if (end - begin >= (kernel->end_ns - kernel->begin_ns) / 10 * 9)
			for (int i = 0; i < PROBE_CAUSES; i++)
				if (kernel->split[i] > s->row.split[i])
					s->row.split[i] = kernel->split[i];
	}
	uint64_t unknown = tick_unknown(s->row.split, s->row.duration_ns, cpu);
	uint64_t steal = kernel ? stolen(c, unknown) : 0;
	s->row.split[LSC_CAUSE_STEAL] += steal;
	s->row.split[LSC_CAUSE_OTHER] += unknown - steal;
	s->row.inferred |= steal > s->row.duration_ns / 2;
	tick_split_close(s->row.split, s->row.duration_ns, s->samples_user, s->samples_kernel);
	return s->row.id;
}

/* A short wait, for a lock say, is not what a stall that computed is about. */
static bool is_of_stall(const struct store_block *b, const struct store_stall *s)
{
	return b->cause == tick_top_cause(s->split) || b->duration_ns * 4 >= s->duration_ns;
}

void stall_tell(struct collector *c, struct loop *l, const struct store_stall *row,
		const struct store_block *longest, uint32_t ring_task)
{
	struct collector_stall live = {
		.row = row,
		.pid = l->target->pid,
		.tid = l->tid,
		.comm = l->comm,
		.cause = tick_top_cause(row->split),
		.longest = longest && is_of_stall(longest, row) ? longest : NULL,
	};
	uint64_t end_ns = row->start_ns + row->duration_ns;
	const struct known_stack *k = stack_of(c, row->stack);

	if (k) {
		live.frames = k->frame;
		live.nframes = k->nframes;
	}
	k = stack_of(c, live.longest ? live.longest->owner_stack : 0);
	if (k) {
		live.owner_frames = k->frame;
		live.nowner_frames = k->nframes;
	}
	if (l->feed) {
		live.task = feed_task(l->feed, ring_task);
		live.victims = feed_victims(l->feed, row->start_ns, end_ns);
		live.mark = feed_mark(l->feed, row->start_ns, longest ? longest->start_ns : end_ns,
				      &live.mark_ns);
	} else {
		live.task = task_of(l, row->task);
		live.victims = victim_summary(l, row->start_ns, end_ns);
	}
	c->ops->stall(&live, c->arg);
}

/* The stack and the task that stand for the stall, of those known so far: of what the thread did,
 * also where it waited for a CPU for longer. */
static void choose_stack(struct stall *s)
{
	enum lsc_cause top = tick_own_cause(s->row.split);
	const struct block *longest = evidence_longest(s->loop, s->row.id);
	const struct block *telling = evidence_telling(s->loop, s->row.id, top);
	const struct sample *heaviest = evidence_heaviest(s->loop, s->row.id);

	s->row.task = s->ring_task ? s->loop->id << 32 | s->ring_task : 0;
	bool computed = top == LSC_CAUSE_CPU_USER || top == LSC_CAUSE_CPU_KERNEL;
	if (longest && telling->row.stack &&
	    (!heaviest || !computed || longest->row.duration_ns * 4 >= s->row.duration_ns)) {
		s->row.stack = telling->row.stack;
		if (!s->row.task)
			s->row.task = telling->row.task;
	} else if (heaviest) {
		s->row.stack = heaviest->row.stack;
		if (!s->row.task)
			s->row.task = evidence_sampled_task(s->loop, s->row.id);
		if (!s->row.task && longest && telling->row.cause == top)
			s->row.task = telling->row.task;
	}
}

/* The block, with the stack of its owner from another wait of the stall for the same thread where
 * it has none: of many short waits, for CPython's lock, few have one. */
static struct store_block with_owner_stack(const struct loop *l, const struct block *of)
{
	struct store_block row = of->row;

	for (const struct block *b = l->blocks; b && row.owner_tid && !row.owner_stack; b = b->next)
		if (b->row.stall == row.stall && b->row.cause == row.cause &&
		    b->row.owner_tid == row.owner_tid)
			row.owner_stack = b->row.owner_stack;
	return row;
}

static void tell(struct collector *c, struct stall *s)
{
	const struct block *longest = evidence_longest(s->loop, s->row.id);
	struct store_block row;

	s->told = true;
	if (!c->o.print_ns || s->row.duration_ns < c->o.print_ns)
		return;
	choose_stack(s);
	if (longest)
		row = with_owner_stack(s->loop, longest);
	stall_tell(c, s->loop, &s->row, longest ? &row : NULL, s->ring_task);
}

static void write_stall(struct collector *c, struct stall *s)
{
	struct loop *l = s->loop;

	choose_stack(s);
	/* one that the ring told was no event of the kernel's */
	bool event = s->row.mode != STORE_MODE_RING;
	if (ledger_stored_events(c, store_put_stall(c->store, &s->row), event) >= 0)
		c->stalls++;
	l->stall_count++;
	l->stalled_ns += s->row.duration_ns;
	if (s->row.duration_ns > c->worst_ns)
		c->worst_ns = s->row.duration_ns;
	evidence_release(c, l, s->row.id);
}

/* A stack that waits for a file to be indexed for the first time is waited for longer. */
static uint64_t settle_at(const struct collector *c, const struct loop *l, const struct stall *s)
{
	return inspector_is_indexing(c->inspector, l->target->pid) ? s->settle_ns + INDEX_NS
								   : s->settle_ns;
}

void stall_settle(struct collector *c, struct loop *l, uint64_t now, bool force)
{
	/* oldest first: the list has the newest in front */
	for (;;) {
		struct stall *next = NULL;
		for (struct stall *s = l->stalls; s; s = s->next)
			next = s->told ? next : s;
		if (!next || !(force || now >= next->tell_ns ||
			       (!l->feed && evidence_is_settled(l, next) &&
				!victim_is_awaited(c, l, next, now))))
			break;
		tell(c, next);
	}
	for (;;) {
		struct stall **oldest = NULL;
		for (struct stall **at = &l->stalls; *at; at = &(*at)->next)
			oldest = at;
		if (!oldest)
			return;
		struct stall *s = *oldest;
		if (!force && now < settle_at(c, l, s) &&
		    !(evidence_is_settled(l, s) && !victim_is_awaited(c, l, s, now) &&
		      (!l->feed || now >= s->settle_ns - SETTLE_NS / 2)))
			return;
		*oldest = NULL;
		write_stall(c, s);
		free(s);
	}
}

/* What a block that goes on is for: who ends a nested wait is not known yet, its descriptor is. */
static int cause_so_far(const struct thread_state *t)
{
	return t->cause < PROBE_CAUSES ? t->cause : fd_cause(t->fd_kind);
}

bool stall_is_blocked(const struct thread_state *t, uint64_t now)
{
	return t->tick_ns && t->off == OFF_BLOCK && t->off_ns < now && t->off_ns >= t->tick_ns;
}

size_t stall_block(struct collector *c, struct loop *l, const struct thread_state *t, uint64_t now,
		   struct stack_slot *slot)
{
	size_t size = 0;

	if (probe_stack(c->probe, l->tid, slot) == 0 && slot->block.off_ns == t->off_ns)
		size = slot->block.stack_size <= PROBE_STACK_BYTES ? slot->block.stack_size : 0;
	struct event_block *b = &slot->block;
	b->e = (struct event){.kind = EVENT_BLOCK,
			      .ts_ns = now,
			      .tgid = (__u32)l->target->pid,
			      .tid = (__u32)l->tid};
	b->off_ns = block_began(t);
	b->wake_ns = now;
	b->again = t->told_ns != 0;
	b->tick_ns = t->tick_ns;
	memcpy(b->args, t->args, sizeof(b->args));
	b->ino = t->ino;
	b->nr = t->nr;
	b->task = t->task;
	b->waker_pid = 0;
	b->waker_seen = b->waker_child = 0;
	b->fd_kind = t->fd_kind;
	b->cause = (__u8)cause_so_far(t);
	return size;
}

bool stall_account(struct collector *c, struct loop *l, const struct thread_state *state,
		   uint64_t now, struct event_stall *ret_account)
{
	const struct thread_state t = *state;

	if (!t.tick_ns || t.off == OFF_IDLE || now < t.tick_ns || !watch_loop_reports(c, l))
		return false;
	struct event_stall e = {.e = {.ts_ns = now},
				.begin_ns = t.tick_ns,
				.end_ns = now,
				.low_ns = t.certain_ns,
				.cpu_ns = now - t.tick_ns, /* its clock is stale while it runs */
				.samples_user = t.samples_user,
				.samples_kernel = t.samples_kernel,
				.longest_block_ns = t.longest_block_ns,
				.longest_block_start_ns = t.longest_block_start_ns,
				.certain_ns = t.certain_ns,
				.certain_start_ns = t.certain_start_ns,
				.task = t.task,
				.class = t.primary_class,
				.confidence = t.confidence,
				.exited = 1};
	memcpy(e.split, t.split, sizeof(e.split));
	if (stall_is_blocked(&t, now)) {
		e.split[cause_so_far(&t)] += now - t.off_ns;
		uint64_t began = block_began(&t);
		if (now - began > e.low_ns) {
			e.low_ns = e.certain_ns = e.longest_block_ns = now - began;
			e.certain_start_ns = e.longest_block_start_ns = began;
		}
	}
	uint64_t watched = c->armed_ns > t.tick_ns ? c->armed_ns : t.tick_ns;
	if (c->armed_ns && watched < now && now - watched > e.low_ns)
		e.low_ns = now - watched;
	*ret_account = e;
	return true;
}

void stall_in_progress(struct collector *c, struct loop *l, uint64_t now)
{
	struct thread_state t;
	struct event_stall e;

	if (l->feed && !l->kernel && !l->target->gone)
		feed_goes_on(l->feed, now);
	if (!c->probe || l->exited || probe_thread(c->probe, l->tid, &t) < 0 ||
	    !stall_account(c, l, &t, now, &e) || now < e.begin_ns + c->o.stall_ns)
		return;
	struct stack_slot *slot = stall_is_blocked(&t, now) ? calloc(1, sizeof(*slot)) : NULL;
	if (slot) {
		size_t size = stall_block(c, l, &t, now, slot);
		evidence_block(c, l, &slot->block, slot->stack, size);
	}
	free(slot);
	if (l->feed || e.low_ns >= c->o.stall_ns / 2)
		stall_from_kernel(c, l, &e, l->confidence < 3);
}
