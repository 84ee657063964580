/* SPDX-License-Identifier: MIT */
/* Time: sleeping. */
#ifndef LOOPSCOPE_TIMER_H
#define LOOPSCOPE_TIMER_H

#include "loopscope/api.h"

LSC_BEGIN

/* Suspends the running task for at least duration_ns; 0 is lsc_yield(). 0, -EPERM, -ECANCELED. */
LSC_API int lsc_sleep(uint64_t duration_ns);

/* Suspends it until CLOCK_MONOTONIC has reached deadline_ns. Timers that are due together end in
 * the order of their deadlines, equal ones in the order in which they were set. 0, -EPERM,
 * -ECANCELED. */
LSC_API int lsc_sleep_until(uint64_t deadline_ns);

LSC_END

#endif
