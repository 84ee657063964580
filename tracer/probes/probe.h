/* SPDX-License-Identifier: MIT */
/*
 * The base probes from user space: load, attach, arm the precise mode, read what the kernel
 * side keeps. One object per job. thread.h has what concerns single threads. libbpf is known only
 * in this directory.
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
	bool light;  /* switches and samples alone: no call is hooked, ticks are not exact */
};

/* One event, checked against its size only. Borrowed until it returns. */
typedef void probe_event_fn(const struct event *e, size_t size, void *arg);

/* Loads and attaches everything but the precise mode. -EPERM, -ENOENT (no BTF) and what the kernel
 * answers, with a line that says what is missing. fn: NULL where nobody listens. Gives *ret_probe. */
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
uint64_t probe_counter(const struct probe *p, enum probe_counter c);

/* How often each CPU is sampled: every 4 ms, or every 100 ms, which is not to be noticed. */
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
