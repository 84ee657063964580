/* SPDX-License-Identifier: MIT */
/*
 * Until when a child may be at what it was given: in phases, each with a time of its own, and not
 * beyond a limit for all of them. Time in which the child wanted a CPU and got none is not counted:
 * a target is not at fault when the host is busy.
 */
#ifndef LSC_INSPECT_DEADLINE_H
#define LSC_INSPECT_DEADLINE_H

#include <stdint.h>
#include <sys/types.h>

/* The scheduler's account of a process's first thread, ns since its start. */
struct deadline_account {
	uint64_t ran_ns, queued_ns; /* on a CPU; before it got one, without a wait that lasts */
};

/* Who is waited for. */
struct deadline_child {
	pid_t pid;
	int account; /* owns; its /proc/PID/schedstat; -1: not to be had, all time counts */
};

struct deadline {
	uint64_t at_ns; /* when deadline_judge() has something to say */
	uint64_t limit_ns;
	uint64_t began_ns, may_ns;     /* the phase: its begin, how long it may take */
	struct deadline_child child;   /* borrowed; pid 0: nobody's CPU is looked at */
	struct deadline_account began; /* of the child, at the begin of the phase */
};

enum deadline_verdict {
	DEADLINE_AHEAD,	  /* at_ns says when to ask again */
	DEADLINE_MISSED,  /* it had its time */
	DEADLINE_STARVED, /* the limit is there, and it never had its time */
};

/* pid: a child of ours or of a child; 0: none. Its account is closed with lsc_closep(). */
struct deadline_child deadline_child(pid_t pid);

/* A phase of at most phase_ns begins, and no phase ends later than whole_ns from now. Borrows the
 * child's account. */
void deadline_begin(struct deadline *d, struct deadline_child child, uint64_t phase_ns,
		    uint64_t whole_ns, uint64_t now_ns);
/* The next phase begins. */
void deadline_phase(struct deadline *d, uint64_t phase_ns, uint64_t now_ns);
/* How much of the present phase counts so far. */
uint64_t deadline_had_ns(const struct deadline *d, uint64_t now_ns);
/* Whether it is late, at at_ns or after. */
enum deadline_verdict deadline_judge(struct deadline *d, uint64_t now_ns);

#endif
