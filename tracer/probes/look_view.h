/* SPDX-License-Identifier: MIT */
/* What a look at a thread tells: shared by look.bpf.c and user space, internal to one build. */
#ifndef LSC_PROBES_LOOK_VIEW_H
#define LSC_PROBES_LOOK_VIEW_H

#include "event.h"

struct look_view {
	__u32 tid, tgid;
	__u32 on_cpu; /* it runs: the registers are those of its last entry into the kernel */
	__u32 pad;
	__u64 switches; /* times it was switched out */
	__u64 regs[PROBE_REGS];
	char comm[16];
};

#endif
