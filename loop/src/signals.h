/* SPDX-License-Identifier: MIT */
/* Signals that came for a loop. */
#ifndef LSC_LOOP_SIGNALS_H
#define LSC_LOOP_SIGNALS_H

struct lsc_loop;

/* The loop was woken by its eventfd: calls the handlers of the signals that came. */
void signals_run(struct lsc_loop *loop);

/* The loop ends: its signals do again what they did before. */
void signals_close(struct lsc_loop *loop);

#endif
