/* SPDX-License-Identifier: MIT */
/* What the collector asks the inspector for, on its way into the queue. */
#ifndef LSC_INSPECT_REQUEST_H
#define LSC_INSPECT_REQUEST_H

#include "inspect/message.h"

/* Queues a job: m, then m->size bytes of data, then the chain, which may be NULL; copies all. 0,
 * -EINVAL, -EAGAIN when too many wait, -ENOMEM. */
int request_add(struct inspector *ins, int pid, const struct message_job *m, const void *data,
		const struct inspector_chain *chain);

#endif
