/* SPDX-License-Identifier: MIT */
/* What a thread's sleep, as /proc tells it, says of a loop, and to the kernel side. */
#ifndef LSC_SEED_H
#define LSC_SEED_H

#include "target.h"
#include "thread.h"

/* It looks like a loop's idling: a wait on many things; poll and select from two descriptors. */
bool seed_idles(const struct target_thread *t);

/* A thread of a pool (not the main one of pid) that is parked: where one idles whose jobs run
 * loops.
 */
bool seed_parks(const struct target_thread *t, int pid);

/* Tells the kernel side of a thread of pid that slept. Returns as probe_seed(). */
int seed_place(struct probe *p, int pid, const struct target_thread *t, bool may_futex);

/* The epoll set, or ring, that it waits in; -1: none. */
int seed_set(const struct target_thread *t);

#endif
