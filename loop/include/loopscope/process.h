/* SPDX-License-Identifier: MIT */
/*
 * Child processes, watched by pidfd: no SIGCHLD handler, no thread, and nothing that another part
 * of the program does with its own children gets in the way. Needs Linux 5.3 (-ENOSYS before). A
 * program that ignores SIGCHLD, or reaps all children by itself, takes the status away: -ECHILD.
 */
#ifndef LOOPSCOPE_PROCESS_H
#define LOOPSCOPE_PROCESS_H

#include <sys/types.h>

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_process;
struct lsc_stream;

/* Where a standard descriptor of the child comes from. */
enum lsc_stdio {
	LSC_STDIO_INHERIT = 0, /* it is ours */
	LSC_STDIO_PIPE = 1,    /* a pipe, whose other end is a stream here */
	LSC_STDIO_NULL = 2,    /* /dev/null */
	LSC_STDIO_FD = 3,      /* lsc_process_options.fd[n], borrowed */
	LSC_STDIO_STDOUT = 4,  /* of standard error alone: where standard output goes */
};

struct lsc_process_options {
	uint32_t size;	       /* sizeof(struct lsc_process_options), so that fields can be added */
	uint8_t stdio[3];      /* enum lsc_stdio, by descriptor number */
	int fd[3];	       /* where stdio[n] is LSC_STDIO_FD */
	char *const *env;      /* "NAME=value", NULL at the end; NULL: as ours is */
	const char *directory; /* to start in; NULL: ours */
};

/* Starts argv[0] (searched in PATH unless it has a '/') with the arguments argv, whose last is
 * NULL. All signals are unblocked in it, SIGPIPE has its default action, and it inherits no
 * close-on-exec descriptor. options (borrowed) may be NULL: everything inherited. Gives *ret. A
 * shell's command is {"/bin/sh",
 * "-c", command, NULL}. -ENOENT, -EACCES, ... when there is nothing to execute, -EPERM in a thread
 * without a loop, -EINVAL for options out of range, -EMFILE, -ENOMEM. The loop waits until the
 * child has executed its program, a fraction of a millisecond. */
LSC_API int lsc_process_start(char *const argv[], const struct lsc_process_options *options,
			      struct lsc_process **ret);

/* Its number; no other process has it before the child has been waited for. Never fails. */
LSC_API pid_t lsc_process_pid(const struct lsc_process *process);

/* Its end of the pipe of descriptor number n (0, 1, 2), owned by the process object; NULL where
 * there is no pipe. */
LSC_API struct lsc_stream *lsc_process_stream(const struct lsc_process *process, int n);

/* Suspends until the child has ended, and writes its status as waitpid(2) does (WIFEXITED, ...).
 * Any number of tasks may wait, and again later. A child whose pipe is full ends only when somebody
 * reads: see lsc_process_communicate(). 0, -ECHILD, -EPERM, -ECANCELED. For a limit of time wrap it
 * in a timeout (timeout.h). */
LSC_API int lsc_process_wait(struct lsc_process *process, int *ret_status);

/* Sends a signal. 0; -ESRCH when it has ended, -EINVAL, -EPERM. */
LSC_API int lsc_process_kill(struct lsc_process *process, int signo);

/* What a child wrote: length bytes, and a NUL behind them; data is to be released with free(), NULL
 * where there was no pipe. */
struct lsc_process_output {
	char *data;
	size_t length;
};

/* Writes input (borrowed, size bytes) to the child's standard input and ends it, reads all of
 * standard output and error at the same time, and waits for the end; whatever of them is a pipe.
 * Gives ret_output (of standard output) and ret_error, either may be NULL: then it is dropped. A
 * child that does not read its input is no error. -EMSGSIZE when one of them is beyond max bytes
 * (the child still runs then), else as lsc_process_wait(). */
LSC_API int lsc_process_communicate(struct lsc_process *process, const void *input, size_t size,
				    size_t max, struct lsc_process_output *ret_output,
				    struct lsc_process_output *ret_error, int *ret_status);

/* Takes the process (NULL is allowed): kills it (SIGKILL) unless it has ended, and closes its
 * pipes. It is reaped while the loop runs, or at its end. Returns NULL. */
LSC_API struct lsc_process *lsc_process_free(struct lsc_process *process);

LSC_END

#endif
