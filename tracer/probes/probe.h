/* SPDX-License-Identifier: MIT */
/*
 * The base probes from user space: load, attach, seed, arm the precise mode, read what the kernel
 * side keeps. One object per job. The only file besides probe.c that knows libbpf.
 */
#ifndef LSC_PROBES_PROBE_H
#define LSC_PROBES_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "event.h"
#include "victim.h"

struct probe;

struct probe_options {
	const int *pids; /* process ids in the first pid namespace */
	size_t npids;
	uint64_t stall_ns, block_ns;
	bool grows;  /* probe_add_target() may come later */
	bool follow; /* also the processes that they fork */
};

/* One event, checked against its size only. Borrowed until it returns. */
typedef void probe_event_fn(const struct event *e, size_t size, void *arg);

/* Loads and attaches everything but the precise mode. -EPERM, -ENOENT (no BTF) and what the kernel
 * answers, with a line that says what is missing. Gives *ret_probe. */
int probe_new(const struct probe_options *options, probe_event_fn *fn, void *arg,
	      struct probe **ret_probe, struct lsc_err *err);
/* Detaches and frees. NULL is fine. Returns NULL. */
struct probe *probe_free(struct probe *p);
/* Takes the hooks off; maps and ring stay readable. */
void probe_detach(struct probe *p);

/* Readable when the ring fills up; otherwise probe_consume() every few ms. */
int probe_fd(const struct probe *p);
/* Calls fn for the events in the ring, up to a bound. 1 when there may be more, 0 or -errno. */
int probe_consume(struct probe *p);

/* Another process, and no longer. Only where the options said grows, or several pids. */
int probe_add_target(struct probe *p, int pid);
/* It has ended: its number may come back as another's. */
void probe_drop_target(struct probe *p, int pid);

/* What a thread of pid sleeps in at the attach, read from /proc: a first guess at its primary wait.
 * may_futex: a futex counts as idling (main threads). 1 when it was placed, 0 when the kernel side
 * knows the thread already, -errno. */
int probe_seed(struct probe *p, int pid, int tid, bool may_futex, int nr, uint64_t sp,
	       const uint64_t args[6]);
/* Room for stack copies of a loop thread. -E2BIG when all slots are taken. */
int probe_add_stack(struct probe *p, int tid);
/* Where the thread keeps the number of its current task. */
int probe_set_task_address(struct probe *p, int tid, uint64_t address);
/* Where a CPython's global interpreter lock lies, and that it is another program now. */
int probe_set_gil(struct probe *p, int pid, const struct gil_place *place);
void probe_drop_gil(struct probe *p, int pid);
/* The kernel side's view of a thread; -ENOENT. */
int probe_thread(struct probe *p, int tid, struct thread_state *ret_state);
/* What was kept of the block that the thread is in; -ENOENT. */
int probe_stack(struct probe *p, int tid, struct stack_slot *ret_slot);
/* Forgets a thread that ended. */
void probe_drop_thread(struct probe *p, int tid);

/* The sampler is to copy the stack of thread tid once while it holds what a loop waits for (all of
 * w but done and slot is filled). Replaces what was asked of the thread before. */
int probe_watch_owner(struct probe *p, int tid, const struct owner_watch *w);
void probe_drop_owner(struct probe *p, int tid);

/* Who wakes up blocked loops: it costs every wake-up of the host some 100 ns. */
int probe_arm_waking(struct probe *p);
void probe_disarm_waking(struct probe *p);
/* Precise mode: sys_exit on the primary waits (where these are not hooked for good) and on reads.
 * It slows every system call of the host: arm briefly. */
int probe_arm(struct probe *p);
void probe_disarm(struct probe *p);
/* Each return from a wait is hooked (fentry): every tick is exact without the precise mode. */
bool probe_is_exact(const struct probe *p);
bool probe_is_armed(const struct probe *p);
/* Who waits meanwhile. Borrowed from p. */
struct probe_victims *probe_victims(struct probe *p);
/* Since when the loop thread is in its running tick, later by what it waited for a CPU; 0 when it
 * idles. A hint only. *ret_idle_ns, unless NULL: how long it has idled in all. */
uint64_t probe_busy_since(const struct probe *p, int tid, uint64_t *ret_idle_ns);

uint64_t probe_counter(const struct probe *p, enum probe_counter c);

/* Since when the loop thread idles in its wait; 0 when it does not. A hint only. */
uint64_t probe_idle_since(const struct probe *p, int tid);
/* It is in a block right now. A hint only. */
bool probe_is_blocked(const struct probe *p, int tid);

/* How often each CPU is sampled: every 4 ms, or every 20 ms, which is hardly to be noticed. */
void probe_sample(struct probe *p, bool often);

/* User space is about to sleep long, and to be woken up through probe_fd() when a loop begins a
 * tick; one that began it before is not told. */
void probe_sleep(struct probe *p);
void probe_wake(struct probe *p);

/* What is left out while the programs run: blocks shorter than ns are not recorded; of the stacks
 * of blocks, of the samples, one in mask + 1 is taken. mask: a power of two less one. */
void probe_set_block_ns(struct probe *p, uint64_t ns);
void probe_thin_copies(struct probe *p, uint32_t mask);
void probe_thin_samples(struct probe *p, uint32_t mask);

enum probe_program {
	PROGRAM_SWITCH,
	PROGRAM_WAKING,
	PROGRAM_SAMPLE,
	PROGRAM_SYS_EXIT,
	PROGRAM_FORK,
	PROGRAM_EXEC,
	PROGRAM_EXIT,
	PROGRAM_COUNT
};

struct probe_run_time { /* all since the load; ns and runs only while somebody has it accounted for
			 */
	uint64_t ns, runs;
	uint64_t misses; /* not run, for it was running on that CPU */
};

/* Has the kernel account for the run time of programs, which taxes all of them, until the
 * descriptor is closed. Gives it, or -errno (it needs CAP_SYS_ADMIN). */
int probe_account(void);
int probe_run_times(const struct probe *p, struct probe_run_time ret_times[PROGRAM_COUNT]);

/* Whether the base probes can be loaded here. 0 or -errno with the line that says why not. */
int probe_check(struct lsc_err *err);

#endif
