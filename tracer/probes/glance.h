/* SPDX-License-Identifier: MIT */
/*
 * Glances: the returns of one thread's wait, seen by a hardware breakpoint at the instruction at
 * which the thread goes on. No other thread pays for it, but those that run the same code at the
 * same address on the same CPU; nothing is written into the program, no text of the kernel is
 * changed. A hit costs some 10 us in a virtual machine, and to begin and end a glance 8 us of the
 * thread and 35 us here, so it is for a look now and then. One of the four debug registers of each
 * CPU is taken from the first glance on.
 */
#ifndef LSC_PROBES_GLANCE_H
#define LSC_PROBES_GLANCE_H

#include <stdbool.h>
#include <stdint.h>

struct probe;

struct glances {
	struct glance_cpu {
		int fd, link;	 /* the breakpoint and what calls the program; -1 none */
		int tid;	 /* who is looked at there, 0 nobody */
		uint32_t strays; /* of the thread, when it began */
	} * cpus;		 /* owned; NULL before the first glance */
	int ncpus;
	bool refused; /* this machine has no breakpoint for us */
};

/* Gives the breakpoints back. */
void glances_close(struct probe *p);

#endif
