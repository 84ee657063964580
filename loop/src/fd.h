/* SPDX-License-Identifier: MIT */
/* Which tasks wait for which descriptor, and what the backend must watch for because of them. */
#ifndef LSC_LOOP_FD_H
#define LSC_LOOP_FD_H

#include <stddef.h>
#include <stdint.h>

#include "task.h"

struct lsc_loop;

/* One task's wait, on its stack. */
struct fd_wait {
	struct park park;
	struct lsc_loop *loop;
	struct fd_wait *next; /* of the same descriptor, in order of arrival */
	int fd;
	uint32_t events;
};

struct fd_table {
	struct fd_wait **first; /* by descriptor */
	size_t room;
};

void fd_table_done(struct fd_table *table);

/* From the backend: events (POLL*) hold for fd, whose watch is now disarmed. */
void fd_ready(struct lsc_loop *loop, int fd, uint32_t events);

#endif
