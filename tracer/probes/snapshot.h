/* SPDX-License-Identifier: MIT */
/* One sample of a thread that runs: its registers and a copy of its stack, by the kernel's sampler.
 */
#ifndef LSC_PROBES_SNAPSHOT_H
#define LSC_PROBES_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct snapshot {
	uint64_t regs[PROBE_REGS];
	size_t size; /* of the stack, from PROBE_RED_ZONE below its pointer on; that part is zeros
		      */
	uint8_t stack[PROBE_STACK_BYTES];
};

/* Waits for it for 0.2 s at most. 0, -ETIMEDOUT (it does not run, or in the kernel alone), -errno.
 */
int snapshot_take(int tid, struct snapshot *ret);

#endif
