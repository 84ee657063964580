/* SPDX-License-Identifier: MIT */
/*
 * What the host's hypervisor took: steal time of all CPUs, in steps of 10 ms. The kernel counts it
 * for no thread; a thread's CPU clock leaves it out where the kernel knows of it.
 */
#ifndef LSC_HOST_H
#define LSC_HOST_H

#include <stddef.h>
#include <stdint.h>

#define HOST_STEP_NS 10000000ull /* USER_HZ, in which /proc/stat counts */

struct host_look {
	uint64_t at_ns; /* CLOCK_MONOTONIC; 0: never looked */
	uint64_t steal_ns;
};

/* Reads /proc/stat now. 0 or -errno. */
int host_look(struct host_look *ret);

/* The steal time in the text of /proc/stat: all CPUs. 0 or -EPROTO. */
int host_steal_parse(const char *text, uint64_t *ret_ns);

/* How much of `missing`, time of a tick that was neither on the CPU nor waited for it, the steal
 * between two looks explains. */
uint64_t host_steal_part(uint64_t missing, uint64_t before_ns, uint64_t after_ns);

#endif
