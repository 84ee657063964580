/* SPDX-License-Identifier: MIT */
/*
 * Whether the process can spare memory for being watched. To find out by trying would be too late:
 * what goes beyond the limit of a memory cgroup has the kernel kill somebody, and what takes the
 * last of the address space makes the program's own next allocation fail.
 */
#ifndef LSC_LOOP_HEADROOM_H
#define LSC_LOOP_HEADROOM_H

#include <stdbool.h>
#include <stddef.h>

/* True when size bytes and a multiple of them for the program are free: 16 times of the address
 * space (RLIMIT_AS), 4 times of each memory cgroup that the process is in. */
bool headroom_for(size_t size);

#endif
