/* SPDX-License-Identifier: MIT */
/*
 * How soon the collector runs when it has something to do. A loop that is held must be noticed
 * within a few ms on a crowded host, too, where a niced process waits for tens: so the collector
 * runs in the real-time class, as long as it needs next to nothing. When it has much to do, because
 * a target floods it or the capture is written, it is one among others.
 */
#ifndef LSC_PRIORITY_H
#define LSC_PRIORITY_H

#include <stdbool.h>
#include <stdint.h>

struct priority {
	bool urgent;		/* in the real-time class now */
	bool refused;		/* not permitted: not asked for again */
	uint64_t next_ns;	/* when its CPU time is looked at again */
	uint64_t at_ns, cpu_ns; /* as last looked at */
	unsigned calm;		/* looks in a row that found it needing little */
};

/* The calling thread, from now on. Children are not urgent. */
void priority_begin(struct priority *p, uint64_t now);
/* Often, and whenever there is much to do. */
void priority_steer(struct priority *p, bool much, uint64_t now);
/* Work without haste begins. */
void priority_end(struct priority *p);

#endif
