/* SPDX-License-Identifier: MIT */
/* Asking tasks to end, and gathers. */
#ifndef LSC_LOOP_CANCEL_H
#define LSC_LOOP_CANCEL_H

#include <stdbool.h>

struct lsc_future;

/* Asks a task or a gather that has not ended, or whom it awaits or stands for. True. */
bool cancel_walk(struct lsc_future *future);

#endif
