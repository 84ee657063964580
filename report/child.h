/* SPDX-License-Identifier: MIT */
/* The command that `record` and `check` run: forked, held before its exec, released, waited for. */
#ifndef LSC_CHILD_H
#define LSC_CHILD_H

#include <sys/types.h>

#include "base/err.h"

struct child {
	pid_t pid; /* 0: none */
	int pidfd; /* readable when the command has ended; -1 none */
	int gate;  /* a byte lets it exec, closing ends it; a failed exec answers with its errno. -1
		      passed */
};

#define CHILD_NONE                                                                                 \
	{                                                                                          \
		.pidfd = -1, .gate = -1                                                            \
	}

/*
 * Forks a child that waits before the exec of argv. It runs as user (a name or a number; NULL: the
 * person behind sudo when we are root under sudo, else unchanged), with that user's HOME, USER and
 * LOGNAME, and with default signal handling. -ENOENT and -EACCES: there is no such command, or it
 * may not be executed; -EPERM, -EINVAL: the user.
 */
int child_start(struct child *ret, char *const *argv, const char *user, struct lsc_err *err);

/* Lets the child exec. 0, or -errno of the exec: the child then ends with 126 or 127. */
int child_release(struct child *c, struct lsc_err *err);

/* Reaps the child that has ended (blocks until then). Its exit status as a shell has it, 128+n. */
int child_reap(struct child *c);

/* Ends a child that was not released; leaves one that was alone. */
void child_done(struct child *c);

#endif
