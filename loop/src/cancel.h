/* SPDX-License-Identifier: MIT */
/* Asking tasks to end. */
#ifndef LSC_LOOP_CANCEL_H
#define LSC_LOOP_CANCEL_H

struct task;

/* Asks a task that has not ended, or whom it awaits. */
void cancel_task(struct task *task);

#endif
