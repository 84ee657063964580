/* SPDX-License-Identifier: MIT */
/* Barriers: a number of tasks wait for each other, again and again. */
#ifndef LOOPSCOPE_BARRIER_H
#define LOOPSCOPE_BARRIER_H

#include "loopscope/api.h"

LSC_BEGIN

struct lsc_barrier;

/* A barrier for so many tasks. NULL when out of memory, for 0 or more than INT_MAX parties, or when
 * this thread has no loop. */
LSC_API struct lsc_barrier *lsc_barrier_new(unsigned parties);

/* Takes the barrier; NULL is allowed. Who still waits gets -EIDRM. Returns NULL. */
LSC_API struct lsc_barrier *lsc_barrier_free(struct lsc_barrier *barrier);

/* Suspends until as many tasks wait as there are parties; then all go on, and the next round may
 * begin. Returns the task's place in the order of arrival, from 0; -EPIPE when the barrier is
 * broken, or is reset meanwhile; -EPERM, -ECANCELED (the others go on waiting), -EIDRM. */
LSC_API int lsc_barrier_wait(struct lsc_barrier *barrier);

/* Breaks it: who waits, and who comes until lsc_barrier_reset(), gets -EPIPE. */
LSC_API void lsc_barrier_abort(struct lsc_barrier *barrier);

/* Empty and whole again; who waits gets -EPIPE. */
LSC_API void lsc_barrier_reset(struct lsc_barrier *barrier);

/* How many wait in the present round. Never fails. */
LSC_API unsigned lsc_barrier_waiting(const struct lsc_barrier *barrier);

/* 1 when it is broken. Never fails. */
LSC_API int lsc_barrier_is_broken(const struct lsc_barrier *barrier);

LSC_END

#endif
