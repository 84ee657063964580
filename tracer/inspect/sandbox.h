/* SPDX-License-Identifier: MIT */
/* What the children may still do. Each step only takes away; none can be undone. */
#ifndef LSC_INSPECT_SANDBOX_H
#define LSC_INSPECT_SANDBOX_H

#include <sys/types.h>

/* Sanitizers need their address space, their stderr and a few more system calls. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif

#define SANDBOX_NOBODY 65534 /* the user that the children are */

/* Dies with its parent, from now on; -ESRCH when parent is dead already. A change of credentials
 * undoes it: the two below do it again. */
int sandbox_bind(pid_t parent);

/* For the broker: no new privileges, and of the capabilities those alone that open a target's
 * files. 0 or -errno. */
int sandbox_broker(pid_t parent);

/* For the worker: user nobody, no capabilities, limits, no file system, and only system calls that
 * compute or use the descriptors it holds. 0 or -errno. */
int sandbox_worker(pid_t parent);

/* The same for an indexer, which may write and seal the memfds that it holds, too. */
int sandbox_indexer(pid_t parent);

/* For the fetcher: user nobody, no capabilities, limits; sockets of the internet, the system's own
 * files to read, and one folder to write, an open descriptor. No other process is its to touch. */
int sandbox_fetcher(pid_t parent, int folder);

#endif
