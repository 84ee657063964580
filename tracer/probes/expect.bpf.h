/* SPDX-License-Identifier: MIT */
/*
 * Where a stall is known or expected: what is taken at the begin of a block then, whole stacks and
 * frames of a language, is more than what blocks that end soon are to pay for.
 */
#ifndef LSC_PROBES_EXPECT_H
#define LSC_PROBES_EXPECT_H

#include "learn.bpf.h"

#define VAIN_MAX 3

/* The place of a block among those that were long; NULL: none. */
static __always_inline struct long_site *long_site(struct stack_slot *slot, __s32 nr, __u64 sp)
{
	for (int i = 0; i < LONG_SITES; i++)
		if (slot->sites[i].sp && slot->sites[i].nr == nr &&
		    sp - slot->sites[i].sp + SP_DRIFT <= 2 * SP_DRIFT)
			return &slot->sites[i];
	return NULL;
}

/* The tick has lasted for half the threshold. */
static __always_inline bool stall_is_known(const struct thread_state *t)
{
	return t->tick_ns && t->off_ns >= t->tick_ns + stall_ns / 2;
}

/* A block at a place that was long before, or that was taken for one in vain, ends after ns. */
__noinline int site_learn(struct thread_state *t, __u64 id, __u64 ns)
{
	__u32 tid = id;
	struct stack_slot *slot = bpf_map_lookup_elem(&stacks, &tid);

	if (!t || !slot)
		return 0;
	struct long_site *s = long_site(slot, t->nr, t->sp);
	if (ns < stall_ns / 2) {
		if (s && ++s->vain >= VAIN_MAX)
			s->sp = 0;
		return 0;
	}
	if (!s)
		s = &slot->sites[slot->next_site++ % LONG_SITES];
	s->nr = t->nr;
	s->sp = t->sp;
	s->vain = 0;
	return 0;
}

#endif
