/* SPDX-License-Identifier: MIT */
/* The worker's answer to MESSAGE_HANDLES: the handles of a thread's loop of libuv. */
#ifndef LSC_INSPECT_HANDLELIST_H
#define LSC_INSPECT_HANDLELIST_H

#include "inspect/space.h"
#include "inspect/unwind.h"

/* data is what follows the job. Sends the list to the collector's socket and writes the
 * MESSAGE_RESULT that ends it into buf of MESSAGE_MAX bytes. The message's size. */
size_t handlelist_run(struct space *s, const struct message_job *job, const void *data,
		      int collector, unwind_phase_fn *phase, void *arg, void *buf);

#endif
