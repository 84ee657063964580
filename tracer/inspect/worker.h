/* SPDX-License-Identifier: MIT */
/* The worker: parses targets' files and unwinds their stacks, with no privilege at all. */
#ifndef LSC_INSPECT_WORKER_H
#define LSC_INSPECT_WORKER_H

#include <sys/types.h>

/* Enters the sandbox, says so to collector (MESSAGE_HELLO), then takes targets from broker and jobs
 * from collector until end of stream. For a process of its own, child of parent; returns to end. */
void worker_run(pid_t parent, int collector, int broker);

#endif
