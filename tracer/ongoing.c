/* SPDX-License-Identifier: MIT */
/*
 * Stalls that still go on: announced after one second, and again at ten times that and so on, with
 * what the loop is in at that moment. Nothing of it is stored: the end of a stall is.
 */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "feed.h"
#include "tick.h"

#define FIRST_NS LSC_NS_PER_S
#define AGAIN	 10		      /* the next announcement comes at so many times the length */
#define LOOK_NS	 (50 * LSC_NS_PER_MS) /* between two looks at a loop that seems idle */
#define STACK_NS (50 * LSC_NS_PER_MS) /* an announcement waits so long for its frames */

/* Begin of the tick that the loop may be in, by what costs nothing to look at; 0: none. */
static uint64_t hint(const struct collector *c, const struct loop *l)
{
	uint64_t begin;
	uint32_t task;

	if (l->feed)
		return feed_tick(l->feed, &begin, &task) ? begin : 0;
	begin = c->probe ? probe_busy_since(c->probe, l->tid, NULL) : 0;
	/* its mark may be another thread's, and is away while it waits for a CPU */
	if (l->totals.tick_ns && (!begin || l->totals.tick_ns < begin))
		begin = l->totals.tick_ns;
	return begin;
}

/* The tick so far; false when the loop is in none, or it is not sure that it is one. */
static bool account(struct collector *c, struct loop *l, uint64_t now, struct event_stall *ret)
{
	uint64_t begin;
	uint32_t task;

	watch_loop_totals(c, l);
	bool kernel = c->probe && stall_account(c, l, &l->totals, now, ret);
	if (l->feed) { /* knows its ticks exactly; the kernel's busy period may hold several */
		if (!feed_tick(l->feed, &begin, &task) || begin >= now)
			return false;
		if (!kernel)
			*ret = (struct event_stall){.end_ns = now};
		ret->begin_ns = begin;
		ret->low_ns = now - begin;
		ret->task = task;
		return true;
	}
	/* as intake.c judges what was held back */
	return kernel && !probe_is_parked(c->probe, l->target->pid, &l->totals) &&
	       (l->confidence >= 2 || l->class == WAIT_EPOLL || l->forced) &&
	       ret->low_ns >= (now - ret->begin_ns) / 2;
}

/* Asks for the stack: of the block that the thread is in, else of its newest sample. */
static void ask_stack(struct collector *c, struct loop *l, uint64_t now)
{
	struct ongoing *o = &l->ongoing;
	const struct inquiry *q = &l->inquiry;

	o->stack = 0;
	o->job = 0;
	if (stall_is_blocked(&l->totals, now) && q->off_ns == l->totals.off_ns && q->stack) {
		o->stack = q->stack; /* which has the frames of Python, too */
		return;
	}
	if (stall_is_blocked(&l->totals, now)) {
		struct stack_slot *slot = calloc(1, sizeof(*slot));
		size_t size = slot ? stall_block(c, l, &l->totals, now, slot) : 0;
		const void *stack = slot ? slot->stack : NULL;
		if (size) {
			deep_take(l, &slot->block, &stack, &size);
			o->job = evidence_unwind(c, l, (const uint64_t *)slot->block.regs, stack,
						 size);
		}
		free(slot);
		return;
	}
	const struct sample *s = evidence_newest(l, l->totals.tick_ns);
	if (s && s->row.stack)
		o->stack = s->row.stack;
	else if (s)
		o->job = evidence_unwind_sample(c, l, s);
}

/* The call that it is in, or was in last when that is what held it. */
static const struct store_block *current_block(struct collector *c, struct loop *l,
					       const struct store_stall *row, uint64_t now,
					       struct block *ret)
{
	enum lsc_cause top = tick_own_cause(row->split);

	if (stall_is_blocked(&l->totals, now)) {
		struct stack_slot *slot = calloc(1, sizeof(*slot));
		if (!slot)
			return NULL;
		stall_block(c, l, &l->totals, now, slot);
		decode_block_row(&slot->block, ret);
		free(slot);
		return &ret->row;
	}
	if (top == LSC_CAUSE_CPU_USER || top == LSC_CAUSE_CPU_KERNEL || !l->blocks ||
	    l->blocks->row.start_ns < row->start_ns)
		return NULL;
	return &l->blocks->row;
}

/* False when less of it is certain than is worth announcing: it was noticed late. */
static bool announce(struct collector *c, struct loop *l, struct event_stall *e, uint64_t now)
{
	struct store_stall row = {.loop = l->id, .in_progress = true, .stack = l->ongoing.stack};

	tick_bounds(e, watch_loop_prelude(l, 0), &row.start_ns, &row.duration_ns);
	if (row.duration_ns < FIRST_NS)
		return false;
	struct block *block = malloc(sizeof(*block));
	for (int i = 0; i < PROBE_CAUSES && i < LSC_CAUSE_COUNT; i++)
		row.split[i] = e->split[i];
	row.split[LSC_CAUSE_OTHER] += tick_unexplained(e);
	tick_split_close(row.split, row.duration_ns, e->samples_user, e->samples_kernel);
	if (stall_is_blocked(&l->totals, now) && l->inquiry.off_ns == l->totals.off_ns)
		row.task = l->inquiry.task;
	if (block)
		stall_tell(c, l, &row, current_block(c, l, &row, now, block), e->task);
	free(block);
	return true;
}

void ongoing_look(struct collector *c, struct loop *l, uint64_t now)
{
	struct ongoing *o = &l->ongoing;
	struct event_stall e;
	uint64_t begin;

	if (o->until_ns) {
		if (o->job && now < o->until_ns)
			return;
		o->until_ns = 0;
		if (account(c, l, now, &e) && e.begin_ns == o->tick_ns && announce(c, l, &e, now))
			o->next_ns = (now - o->tick_ns) * AGAIN / FIRST_NS * FIRST_NS;
		return;
	}
	if (!c->o.print_ns || !l->announced || now < o->check_ns)
		return;
	begin = hint(c, l);
	o->check_ns = begin ? begin + FIRST_NS : now + LOOK_NS;
	if (!begin || now < o->check_ns)
		return;
	o->check_ns = now + LOOK_NS;
	if (!account(c, l, now, &e))
		return;
	if (e.begin_ns != o->tick_ns) {
		o->tick_ns = e.begin_ns;
		o->next_ns = c->o.print_ns > FIRST_NS ? c->o.print_ns : FIRST_NS;
	}
	if (now < o->tick_ns + o->next_ns) { /* by then there may be another one */
		o->check_ns = o->tick_ns + o->next_ns;
		if (o->check_ns > now + FIRST_NS)
			o->check_ns = now + FIRST_NS;
		return;
	}
	ask_stack(c, l, now);
	o->until_ns = now + STACK_NS;
}

void ongoing_stack(struct loop *l, uint64_t job, int64_t stack)
{
	if (job != l->ongoing.job)
		return;
	l->ongoing.job = 0;
	l->ongoing.stack = stack;
}
