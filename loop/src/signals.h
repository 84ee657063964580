/* SPDX-License-Identifier: MIT */
/* Signals that came for a loop. */
#ifndef LSC_LOOP_SIGNALS_H
#define LSC_LOOP_SIGNALS_H

#include <stdbool.h>

struct lsc_loop;

/* The loop was woken by its eventfd: calls the handlers of the signals that came. */
void signals_run(struct lsc_loop *loop);

/* Whether the loop of this thread has a handler of the signal. */
bool signals_handled(int signo);

/* The loop ends: its signals do again what they did before. */
void signals_close(struct lsc_loop *loop);

/* In a forked child: the threads that may have held locks are not there. */
void signals_forked(void);

#endif
