/* SPDX-License-Identifier: MIT */
/* The fetcher: asks debuginfod servers for debug files, through libdebuginfod, into its cache. The
 * one child with sockets; it has nothing of a target but build ids. */
#ifndef LSC_INSPECT_FETCHER_H
#define LSC_INSPECT_FETCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether DEBUGINFOD_URLS names a server. */
bool fetcher_has_server(void);

/* Whether there is one and libdebuginfod, which is loaded for that: 0, -ENOENT, -ELIBACC. */
int fetcher_check(void);

/* How long one file may take. */
uint64_t fetcher_limit_ns(void);

/* Enters the sandbox, says so to collector (MESSAGE_HELLO), then answers each MESSAGE_FETCH with a
 * MESSAGE_FETCHED, until end of stream. For a process of its own, child of parent; returns to end.
 */
void fetcher_run(pid_t parent, int collector);

#endif
