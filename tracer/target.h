/* SPDX-License-Identifier: MIT */
/*
 * A watched process: pinned by pidfd and start time, described from /proc, its threads looked
 * through. Everything read here was written by the target and is bounded.
 */
#ifndef LSC_TARGET_H
#define LSC_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "base/err.h"

struct target {
	int64_t id; /* row in the store */
	int pid;    /* ours = the first pid namespace's */
	int ns_pid; /* as the target sees itself */
	int pidfd;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
	uint64_t first_ns, last_ns;
	uint64_t young_ns;  /* started or executed last; rings are looked for more often then */
	uint64_t scan_ns;   /* its rings are looked for again then */
	uint64_t rested_ns; /* ... and not before, for what the last look took */
	size_t loops;	    /* that refer to it */
	bool gone;
	bool warm;	   /* a first stack was looked into */
	bool gil_sought;   /* where CPython's lock lies: asked for */
	bool python_tasks; /* where its current tasks are is known, too */
	bool gil_doubted;  /* it named a thread that the process does not have: said already */
	uint64_t gil;	   /* where that lock names who holds it; 0 unknown */
	char comm[16];
	char exe[512];
	char cgroup[256];
	char runtime[32];
	char runtime_version[32];
	UT_hash_handle hh; /* by pid; of several with one number, the last */
};

/* The language that its runtime is for, whose frames are told: "Python", "JavaScript"; NULL none.
 */
const char *target_language(const struct target *t);
bool target_is_python(const struct target *t);

/* Pins pid and describes it. -ESRCH: no such process (or a thread's id, a zombie, a thread of the
 * kernel); -EPERM. Gives the pidfd. */
int target_open(int pid, struct target *ret_target, struct lsc_err *err);
void target_close(struct target *t);
/* Whether the process that was pinned is over: what has its number may be another. */
bool target_has_ended(const struct target *t);
/* Reads comm, exe and runtime again (after an exec). */
void target_describe(struct target *t);

/* Whether /proc numbers processes as this process sees them. 0, or -EXDEV with the line that says
 * why attaching is refused. */
int target_proc_check(struct lsc_err *err);
/* Whether that is the first pid namespace, which the kernel side numbers by. 0, or -EXDEV with the
 * line that says why there are no kernel events. */
int target_namespace_check(struct lsc_err *err);

/* What a sleeping thread sleeps in. */
struct target_thread {
	int tid;
	uint64_t at_ns; /* looked at from then on */
	bool running;	/* not asleep: nothing else is known */
	int nr;		/* -1: not in a system call */
	uint64_t args[6], sp, pc;
};

/* Calls fn for each thread of pid, up to a bound, until it returns non-zero. Returns their number
 * or -errno. */
typedef int target_thread_fn(const struct target_thread *t, void *arg);
int target_each_thread(int pid, target_thread_fn *fn, void *arg);

/* The parent of pid, 0 unknown. */
int target_parent(int pid);

/* Calls fn for each child of pid. */
typedef void target_child_fn(int pid, void *arg);
void target_each_child(int pid, target_child_fn *fn, void *arg);

/* The thread that the target's own namespace numbers ns_tid, one of the target's, or, if another
 * process's may be meant and the numbers are ours, any. Its number or -ESRCH. */
int target_find_thread(const struct target *t, int ns_tid, bool any, char ret_comm[16]);

/* Whether the thread tid had started before ns; false too when it is gone, or within 10 ms. */
bool target_thread_precedes(int tid, uint64_t ns);

/* What the thread has run and what it has waited for a CPU so far, in ns. 0 or -errno. */
int target_thread_times(int pid, int tid, uint64_t *ret_runtime_ns, uint64_t *ret_delay_ns);

/* The thread's name and its number within the target's own namespace. 0 or -errno. */
int target_thread_names(int pid, int tid, char ret_comm[16], int *ret_ns_tid);

#endif
