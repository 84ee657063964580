/* SPDX-License-Identifier: MIT */
/* Both ends of a connection, for a task of a loop. */
#ifndef LSC_TESTS_LOOP_PAIR_H
#define LSC_TESTS_LOOP_PAIR_H

void pair_open_tcp(int pair[2]);
void pair_close(const int pair[2]);

/* A task: waits until *(int *)fd can be read from. What lsc_wait_fd() returns. */
int pair_wait_readable(void *fd);

#endif
