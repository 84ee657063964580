/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a small process forked first, before the collector drops its privileges, threads or
 * grows. It does nothing but start a crew (one broker and one worker) and kill the crew before it,
 * so that a hung broker can be replaced by a collector that may no longer fork or kill as root.
 */
#ifndef LSC_INSPECT_KEEPER_H
#define LSC_INSPECT_KEEPER_H

#include <sys/types.h>

#include "inspect/message.h"

/* Forks the keeper. Gives its pid and a non-blocking socket to it (close it to end the keeper and
 * its crew; then waitpid()). */
int keeper_start(pid_t *ret_pid, int *ret_fd);

/* Asks for a new crew; it comes through keeper_take(). Never blocks. 0 or -errno. */
int keeper_ask(int fd);

/* Takes a new crew: its sockets (owned by the caller, non-blocking) and pids. 0; -EAGAIN when none
 * has come yet; -EPIPE when the keeper is gone; else why the crew could not start. */
int keeper_take(int fd, struct message_crew *ret_crew, int *ret_broker, int *ret_worker);

#endif
