/* SPDX-License-Identifier: MIT */
/*
 * The event loops of the host, or of one process: observed for a moment with the base probes
 * (switches and samples alone: no call is hooked) and by the rings that programs publish. Costs
 * nothing afterwards.
 */
#ifndef LSC_CENSUS_H
#define LSC_CENSUS_H

#include "base/err.h"
#include "ring_view.h"

struct census_loop {
	int pid, tid;
	char comm[16];
	char runtime[32], runtime_version[32]; /* empty: unknown; hostile bytes */
	const char *syscall;		       /* its primary wait; NULL unknown */
	int fd;				       /* of an epoll set or a ring; -1 */
	uint64_t sp;			       /* its stack pointer in that wait; 0 unknown */
	bool kernel;			       /* seen by kernel events */
	bool turned;			       /* it turned while it was looked at */
	double utilization;		       /* less than 0: unknown */
	const struct ring_view *ring;	       /* borrowed from the census; NULL none */
	int64_t tasks;			       /* -1 unknown */
};

struct census {
	struct census_loop *loops; /* owned; by process, then thread */
	size_t n;
	struct ring_view *rings; /* owned */
	size_t processes;	 /* that were looked at */
	size_t omitted;		 /* that there was no room for */
	char missing[240];	 /* why there were no kernel events; empty: there were */
};

/* Observes for about observe_ns. pid: this process alone, which is no process of loopscope's; 0:
 * all that may be looked at, ourselves never. Gives *ret. -ESRCH, -EPERM: of the one process. */
int census_run(int pid, uint64_t observe_ns, struct census **ret, struct lsc_err *err);
struct census *census_free(struct census *c);

#endif
