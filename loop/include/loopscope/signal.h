/* SPDX-License-Identifier: MIT */
/*
 * Signals of the process, handled by a loop instead of in the midst of the program. A handler is
 * installed that only notes the signal and wakes the loop; it is the whole process's, so a signal
 * belongs to one loop at a time. A signal that comes several times before the loop gets to it
 * counts once.
 */
#ifndef LOOPSCOPE_SIGNAL_H
#define LOOPSCOPE_SIGNAL_H

#include <signal.h>

#include "loopscope/api.h"

LSC_BEGIN

typedef void (*lsc_signal_fn)(int signo, void *arg);

/* Has the loop of this thread call fn(signo, arg) outside of any task for each signal; fn may
 * spawn, cancel and resolve. It replaces an earlier fn of this loop. -EINVAL for signals that
 * cannot be caught, -EBUSY when another loop has it, -EPERM in a thread without a loop. Ends with
 * the loop, or by: */
LSC_API int lsc_signal_add(int signo, lsc_signal_fn fn, void *arg);

/* The signal does again what it did before. 0, or -ENOENT when this loop does not handle it. */
LSC_API int lsc_signal_remove(int signo);

/* Suspends until one of the signals in set comes, and returns its number. Outside of the call they
 * do what they did before; one that comes after that, and before the task has its turn, is kept for
 * the next such call in this loop. A request to cancel that comes then is met by the next call that
 * suspends. -EBUSY when one of them has a handler here already, else as lsc_signal_add();
 * -ECANCELED. */
LSC_API int lsc_signal_wait(const sigset_t *set);

LSC_END

#endif
