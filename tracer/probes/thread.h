/* SPDX-License-Identifier: MIT */
/*
 * The base probes and single threads: what the kernel side knows of them, and is told about them.
 */
#ifndef LSC_PROBES_THREAD_H
#define LSC_PROBES_THREAD_H

#include "probe.h"

/* A thread that slept, as /proc shows it. It may run again by now. */
struct probe_sleeper {
	int pid, tid;
	uint64_t at_ns; /* it slept after that */
	int nr;
	uint64_t sp, args[6];
	uint64_t runtime_ns,
		delay_ns; /* what it had run, and waited for a CPU, until then or later */
};

/* How certain a wait is that a thread sleeps in when it is first looked at: one in an epoll set
 * needs to be met but once more. */
__u8 probe_seed_confidence(enum wait_class class);
/* What a thread sleeps in at the attach is a first guess at its primary wait. may_futex: a futex
 * counts as idling (main threads). 1 when it was placed, 0 when the kernel side knows the thread
 * already, -errno. */
int probe_seed(struct probe *p, const struct probe_sleeper *s, bool may_futex);
/* Room for stack copies of a loop thread. -E2BIG when all slots are taken. */
int probe_add_stack(struct probe *p, int tid);
/* Where the thread keeps the number of its current task. */
int probe_set_task_address(struct probe *p, int tid, uint64_t address);
/* Where a CPython's global interpreter lock lies, and that it is another program now. */
int probe_set_gil(struct probe *p, int pid, const struct gil_place *place);
void probe_drop_gil(struct probe *p, int pid);
/* Where the thread's state of CPython lies: its frames can be taken when it blocks. */
int probe_set_python(struct probe *p, int tid, uint64_t state);
/* The kernel side's view of a thread; -ENOENT. */
int probe_thread(struct probe *p, int tid, struct thread_state *ret_state);
/* What was kept of the block that the thread is in; -ENOENT. */
int probe_stack(struct probe *p, int tid, struct stack_slot *ret_slot);
/* Forgets a thread that has ended; nothing where its number is another's already (of the main
 * thread, by an exec of another one). */
void probe_drop_thread(struct probe *p, int tid);

/* The sampler is to copy the stack of thread tid once while it holds what a loop waits for (all of
 * w but done and slot is filled). Replaces what was asked of the thread before. */
int probe_watch_owner(struct probe *p, int tid, const struct owner_watch *w);
void probe_drop_owner(struct probe *p, int tid);

/* Since when the loop thread is in its running tick, later by what it waited for a CPU; 0 when it
 * idles. A hint only. *ret_idle_ns, unless NULL: how long it has idled in all. */
uint64_t probe_busy_since(const struct probe *p, int tid, uint64_t *ret_idle_ns);
/* The same as the kernel side has it: when the tick began, or its end was last seen. */
uint64_t probe_tick_begin(const struct probe *p, int tid);
/* Since when the loop thread idles in its wait, or has no loop any more; 0 when neither. A hint
 * only. */
uint64_t probe_idle_since(const struct probe *p, int tid);
/* It is in a block right now. A hint only. */
bool probe_is_blocked(const struct probe *p, int tid);

/* Whether a thread that sleeps in a futex idles there, because others take turns in its epoll set,
 * which was not known when it fell asleep. */
bool probe_is_parked(struct probe *p, int pid, const struct thread_state *t);

#endif
