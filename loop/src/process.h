/* SPDX-License-Identifier: MIT */
/* A child, for the files that make one work: process_start.c, process.c, communicate.c. */
#ifndef LSC_LOOP_PROCESS_H
#define LSC_LOOP_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "fd.h"
#include "loopscope/process.h"
#include "resource.h"
#include "waitlist.h"

struct lsc_process {
	struct resource resource; /* while it runs */
	struct lsc_loop *loop;
	pid_t pid;
	int pidfd; /* -1: it has ended and is reaped */
	int status;
	int error;	/* why there is no status, or 0 */
	bool orphan;	/* lsc_process_free() */
	unsigned users; /* calls that will still touch it */
	struct fd_wait ended;
	struct waitlist waiters;
	struct lsc_stream *streams[3];
};

/* Starts the child: fills pid and the ends of the pipes that stay here (-1: none). 0 or -errno. */
int process_spawn(char *const argv[], const struct lsc_process_options *options, pid_t *ret_pid,
		  int ret_ends[3]);

void process_hold(struct lsc_process *process);
void process_release(struct lsc_process *process);

#endif
