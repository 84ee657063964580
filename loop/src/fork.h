/* SPDX-License-Identifier: MIT */
/*
 * Forked children. The child of a thread that has a loop has a copy of it, whose descriptors are
 * the parent's too: an epoll instance, a ring of io_uring, sockets. It may be ended, and a new one
 * made; it cannot wait any more. What both share is left as it is.
 */
#ifndef LSC_LOOP_FORK_H
#define LSC_LOOP_FORK_H

/* Sees to that from now on, for all loops of the process. 0 or -ENOMEM. */
int fork_watch(void);

#endif
