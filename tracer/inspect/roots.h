/* SPDX-License-Identifier: MIT */
/* The roots of targets, kept while they run: files can be opened below them when they have ended.
 */
#ifndef LSC_INSPECT_ROOTS_H
#define LSC_INSPECT_ROOTS_H

/* Opens and remembers the root that dir, /proc/PID or one of its threads, has. Gives a descriptor
 * that is borrowed until the next call, or -errno. */
int roots_open(int pid, int dir);
/* The one that is remembered; -1: none. */
int roots_find(int pid);

#endif
