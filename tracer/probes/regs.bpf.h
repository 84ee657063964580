/* SPDX-License-Identifier: MIT */
/* A thread's user registers in the order in which DWARF numbers them. */
#ifndef LSC_PROBES_REGS_H
#define LSC_PROBES_REGS_H

#include "event.h"

static __always_inline void regs_copy(__u64 g[PROBE_REGS], const struct pt_regs *r)
{
	g[0] = r->ax;
	g[1] = r->dx;
	g[2] = r->cx;
	g[3] = r->bx;
	g[4] = r->si;
	g[5] = r->di;
	g[6] = r->bp;
	g[7] = r->sp;
	g[8] = r->r8;
	g[9] = r->r9;
	g[10] = r->r10;
	g[11] = r->r11;
	g[12] = r->r12;
	g[13] = r->r13;
	g[14] = r->r14;
	g[15] = r->r15;
	g[16] = r->ip;
}

#endif
