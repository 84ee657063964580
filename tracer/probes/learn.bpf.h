/* SPDX-License-Identifier: MIT */
/*
 * Learning where a thread idles. A site is (system call, user stack pointer); the descriptor, or
 * the array of descriptors, only helps, since a runtime may make a new epoll set at the same depth.
 * Up to PROBE_SITES candidates are kept per thread; site_replaces() decides whether a sleep in one
 * of them makes it the primary wait.
 */
#ifndef LSC_PROBES_LEARN_H
#define LSC_PROBES_LEARN_H

#define SP_DRIFT       256ull	    /* CPython's depth moves by ~100 B while it specialises */
#define SP_SELECT      (64ll << 10) /* CPython keeps 49 KiB of lists above the sets of select */
#define SP_OTHER_STACK (8ll << 20)
#define SECOND	       1000000000ull

/* The thread is in the wait that it idles in. */
static __always_inline bool site_is_primary(const struct thread_state *t, __s64 nr, __u64 sp,
					    const __u64 *args)
{
	if (!t->primary_sp || nr != t->primary_nr)
		return false;
	if (sp == t->primary_sp)
		return true;
	return t->primary_class > WAIT_FUTEX && sp - t->primary_sp + SP_DRIFT <= 2 * SP_DRIFT &&
	       probe_wait_key(nr, sp, args) == t->primary_fd;
}

/* Stalls are reported for multiplexers, and for a main thread that idles in a futex. */
static __always_inline bool is_loop(const struct thread_state *t)
{
	return t->confidence && (t->primary_class > WAIT_FUTEX || t->main);
}

static __always_inline struct wait_site *site_find(struct thread_state *t, __u64 sp, __u32 nr,
						   __u32 *index)
{
	struct wait_site *oldest = NULL;
	__u64 oldest_ns = ~0ull;
	__u32 oldest_index = 0;

#pragma unroll
	for (int i = 0; i < PROBE_SITES; i++) {
		struct wait_site *s = &t->site[i];
		if (s->sp == sp && s->nr == nr) {
			*index = i;
			return s;
		}
		if (s->last_ns < oldest_ns &&
		    !(t->primary_sp && s->sp == t->primary_sp && s->nr == t->primary_nr)) {
			oldest_ns = s->last_ns;
			oldest = s;
			oldest_index = i;
		}
	}
	if (!oldest)
		return NULL;
	__builtin_memset(oldest, 0, sizeof(*oldest));
	oldest->sp = sp;
	oldest->nr = nr;
	*index = oldest_index;
	return oldest;
}

static __always_inline bool is_select(__u32 nr)
{
	return nr == NR_SELECT || nr == NR_PSELECT6;
}

/* Does site x, with its frame's top, replace the primary wait? The first rule that matches
 * decides. */
static __always_inline bool site_replaces(const struct thread_state *t, const struct wait_site *x,
					  __u64 top, int class, __u64 now)
{
	if (!t->primary_sp)
		return true;

	__s64 d = (__s64)(top - t->primary_top);
	bool stronger = class > t->primary_class;
	__u64 unused = now - t->primary_last_ns;

	if (!t->confidence) /* its loop is over; a lock is not the next one's wait so soon */
		return class > WAIT_FUTEX || (x->run >= 8 && unused > SECOND);

	if (d > SP_OTHER_STACK || d < -SP_OTHER_STACK)
		return x->run >= 16 && unused > 2 * SECOND;
	/* how far out a select is cannot be told: the loop is where it stays */
	if (d < SP_SELECT && d > -SP_SELECT && class > WAIT_FUTEX &&
	    t->primary_class > WAIT_FUTEX && (is_select(x->nr) || is_select(t->primary_nr)))
		return t->confidence < 3
			       ? x->run >= 2
			       : x->run >= 4 && x->longest_run_ns > t->primary_longest_run_ns &&
					 x->longest_run_ns > SECOND / 2;
	/* nor, then, whether a lock is outside of the loop */
	if (class == WAIT_FUTEX && d < SP_SELECT && is_select(t->primary_nr))
		return x->run >= 8 && unused > SECOND;
	if (d >= 0) { /* outer */
		if (stronger)
			return true;
		if (class == t->primary_class) /* the first sight was of a nested turn */
			return class > WAIT_FUTEX || x->count >= 2;
		if (class == WAIT_FUTEX && t->primary_class == WAIT_POLL)
			return t->main ? x->count >= 2
				       : true; /* a worker that polls inside its jobs */
		if (class == WAIT_FUTEX)
			return t->confidence < 3 ? x->run >= 4 : x->run >= 8 && unused > SECOND;
		return x->run >= 2; /* poll outside of an epoll */
	}
	if (stronger && t->confidence < 3)
		return x->run >= 2;
	if (class == WAIT_EPOLL && t->primary_class == WAIT_FUTEX && !t->main)
		return x->run >= 4; /* a worker whose job runs a loop */
	return x->run >= 16 && unused > (stronger ? 2 * SECOND : 5 * SECOND);
}

#endif
