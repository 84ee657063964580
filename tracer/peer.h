/* SPDX-License-Identifier: MIT */
/* The process at the other end of a pipe. */
#ifndef LSC_PEER_H
#define LSC_PEER_H

/* Looks among the relatives of pid (children, their children, then parent and siblings) for the one
 * that holds the other end of the pipe or FIFO at its descriptor fd; the first generation in which
 * somebody does decides. Its number; 0 nobody, or several of that generation. A bounded walk
 * through /proc: some ms at worst. */
int peer_of_pipe(int pid, int fd, char ret_comm[16]);

#endif
