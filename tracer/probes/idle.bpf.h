/* SPDX-License-Identifier: MIT */
/*
 * Sleeps in a wait: whether they make it the primary one, and what idling means for the tick.
 */
#ifndef LSC_PROBES_IDLE_H
#define LSC_PROBES_IDLE_H

#include "tick.bpf.h"

static __always_inline bool learn(struct thread_state *t, __u64 id, __u64 sp, __u32 nr, __s32 fd,
				  int class, __u64 now)
{
	__u32 index = 0;
	struct wait_site *x = site_find(t, sp, nr, &index);

	if (!x)
		return false;
	x->fd = fd;
	x->count++;
	x->last_ns = now;
	if (t->run_site == index + 1) {
		x->run++;
		if (now - t->run_start_ns > x->longest_run_ns)
			x->longest_run_ns = now - t->run_start_ns;
	} else {
		x->run = 1;
		t->run_site = index + 1;
		t->run_start_ns = now;
	}
	if (!site_replaces(t, x, class, now))
		return false;
	bool replaced = t->primary_sp != 0;
	t->primary_sp = sp;
	t->primary_nr = nr;
	t->primary_fd = fd;
	t->primary_class = class;
	t->confidence = x->count > 3 ? 3 : x->count;
	t->primary_last_ns = now;
	t->primary_longest_run_ns = x->longest_run_ns;
	t->run_site = 0;
	t->run_start_ns = now;
	t->tick_ns = 0;
	emit_loop(t, id >> 32, id, now, replaced);
	return true;
}

/* The thread goes to sleep in its primary wait. */
static __always_inline void enter_idle(struct thread_state *t, __u64 id, __u64 sp, __s32 fd,
				       __u64 now)
{
	tick_end(t, id, now, false, false);
	t->tick_ns = 0;
	t->off = OFF_IDLE;
	t->primary_last_ns = now;
	t->primary_sp = sp;
	t->primary_fd = fd;
	t->slept_in_wait = 1;
	if (t->run_site) {
		t->run_site = 0;
		t->run_start_ns = now;
	} else if (now - t->run_start_ns > t->primary_longest_run_ns) {
		t->primary_longest_run_ns = now - t->run_start_ns;
	}
	if (t->confidence < 3 && ++t->confidence == 3)
		emit_loop(t, id >> 32, id, now, 0);
}

#endif
