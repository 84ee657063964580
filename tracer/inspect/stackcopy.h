/* SPDX-License-Identifier: MIT */
/* The worker's answer to MESSAGE_COPY: what lies in a sleeping thread's stack, as it is. */
#ifndef LSC_INSPECT_STACKCOPY_H
#define LSC_INSPECT_STACKCOPY_H

#include "inspect/space.h"

/* Sends the copy to the collector's socket, if there is one, and writes the MESSAGE_RESULT that
 * ends it into buf of MESSAGE_MAX bytes. The message's size. */
size_t stackcopy_run(struct space *s, const struct message_job *job, int collector, void *buf);

#endif
