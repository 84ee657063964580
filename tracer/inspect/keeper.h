/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a small process forked first, before the collector drops its privileges, threads or
 * grows. It does nothing but start a crew (a broker and a worker, a broker and an indexer, or a
 * fetcher alone) and kill the one that had its place, so that a hung broker can be replaced by a
 * collector that may no longer fork or kill as root.
 */
#ifndef LSC_INSPECT_KEEPER_H
#define LSC_INSPECT_KEEPER_H

#include <sys/types.h>

#include "inspect/message.h"

/* Places of crews: the first has the worker, then an indexer each, the last the fetcher. */
#define KEEPER_INDEXERS 3
#define KEEPER_FETCHER	(1 + KEEPER_INDEXERS)
#define KEEPER_CREWS	(1 + KEEPER_FETCHER)

/* Forks the keeper. Gives its pid and, for each place, a non-blocking socket to it (close one to
 * end the keeper and all crews; then keeper_wait()). */
int keeper_start(pid_t *ret_pid, int ret_fds[KEEPER_CREWS]);

/* Reaps the keeper, whose sockets are closed. One that does not end within a second, as it is
 * stopped, is killed; one that the kernel does not let go is left to init. */
void keeper_wait(pid_t pid);

enum keeper_call {
	KEEPER_CREW = 'c', /* all of it */
	KEEPER_MATE = 'm', /* another worker for the broker that is there, which is at nothing */
};

/* Asks for a new crew; it comes through keeper_take(). Never blocks. 0 or -errno. */
int keeper_ask(int fd, enum keeper_call what);

/* Takes a new crew: its sockets (owned by the caller, non-blocking) and pids; of a fetcher, which
 * has no broker, the worker's alone, *ret_broker is -1. Of a mate (the kind of *ret_crew says so)
 * *ret_broker is for the broker that is there. 0; -EAGAIN when none
 * has come yet; -EPIPE when the keeper is gone; else why the crew could not start. */
int keeper_take(int fd, struct message_crew *ret_crew, int *ret_broker, int *ret_worker);

#endif
