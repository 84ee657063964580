/* SPDX-License-Identifier: MIT */
/*
 * From kernel events to stored rows: the only place that knows both. Every field of an event is
 * checked here; what a call waited for is named here.
 */
#ifndef LSC_DECODE_H
#define LSC_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "store.h"

#define DECODE_PEER 64 /* an address and a port, with the NUL */

/* A block with the strings that its row points to. */
struct block {
	struct store_block row;
	char args[640], path[512], peer[128], waker_comm[16], resource_comm[16], owner_comm[16];
	uint64_t wake_ns, tick_ns; /* as in the event */
	uint64_t runqueue_ns;
	uint32_t ring_task;
	uint64_t job;	    /* stack job under way, 0 none */
	uint64_t owner_job; /* the same for the stack of the lock's owner */
	uint64_t own_job; /* the same of what was read while it lasted, in its own stack's place */
	bool looked_into; /* its stack was read while it lasted, with its frames of Python */
	struct block *next;
};

/* The event of the wanted kind, or NULL when its size does not fit. */
const struct event_loop *decode_loop(const struct event *e, size_t size);
const struct event_stall *decode_stall(const struct event *e, size_t size);
const struct event_process *decode_process(const struct event *e, size_t size);
/* NULL too where the event is shorter: what the thread had done is not told. */
const struct event_last *decode_last(const struct event *e, size_t size);
const struct event_waited *decode_waited(const struct event *e, size_t size);
const struct event_python *decode_python(const struct event *e, size_t size);
/* Also for samples: the head is checked, and that the stack copy lies within the event. */
const struct event_block *decode_block(const struct event *e, size_t size, const void **ret_stack,
				       size_t *ret_stack_size);

/* "203.0.113.9:443"; empty where the family has no such addresses, or it is not connected. */
void decode_peer(const struct socket_end *s, char ret_peer[DECODE_PEER]);

/* The inode behind a descriptor of a process, as fdinfo states it; 0 unknown. Never reaches the
 * file. */
uint64_t decode_fd_inode(int pid, int fd);

/* The descriptor that the call waited on, -1 none. */
int decode_waited_fd(const struct event_block *e, const struct aux *aux);

/* Fills all of ret_block but ids, stall, task and stack. Looks up names of descriptors under
 * /proc/pid (readlink and fdinfo only: these never reach the target's file systems). */
void decode_block_row(const struct event_block *e, struct block *ret_block);

/* Of this only what its end decides: how long, what for, and who woke the thread. */
void decode_block_end(const struct event_block *e, struct block *ret_block);

#endif
