/* SPDX-License-Identifier: MIT */
/* The worker's answer to MESSAGE_TASKS: all tasks of asyncio, in pages. */
#ifndef LSC_INSPECT_TASKLIST_H
#define LSC_INSPECT_TASKLIST_H

#include "inspect/space.h"
#include "inspect/unwind.h"

/* Sends pages to the collector's socket and writes the MESSAGE_RESULT that ends them into buf of
 * MESSAGE_MAX bytes. The message's size. */
size_t tasklist_run(struct space *s, const struct message_job *job, int collector,
		    unwind_phase_fn *phase, void *arg, void *buf);

#endif
