/* SPDX-License-Identifier: MIT */
/*
 * The loop of libuv that a thread turns, and its handles, out of another process's memory: what
 * uv_walk() would say. libuv keeps the layout of its public structures for all of 1.x.
 */
#ifndef LSC_INSPECT_UVHANDLES_H
#define LSC_INSPECT_UVHANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inspect/inspector.h"

typedef bool uvhandles_read_fn(void *arg, uint64_t address, void *buf, size_t size);

struct uvhandle {
	uint64_t callback;		/* address; 0 none, or none that is known of its kind */
	uint64_t timeout_ms, repeat_ms; /* of a timer: on the monotonic clock */
	int32_t fd;			/* -1 none */
	int32_t number;			/* signal, or process; 0 none */
	enum inspector_handle_kind kind;
	bool active, referenced, closing;
};

/* Looks from a thread's stack pointer on for a loop whose epoll set is fd. Gives its address; 0:
 * there is none. */
uint64_t uvhandles_find(uvhandles_read_fn *read, void *arg, uint64_t sp, int fd);

/* Writes up to max of its handles, libuv's own left out, in the order in which they were made.
 * *ret_omitted: how many more there are. False: the list never came back to its begin, and nothing
 * is told. */
bool uvhandles_read(uvhandles_read_fn *read, void *arg, uint64_t loop, struct uvhandle *ret,
		    size_t max, size_t *ret_n, size_t *ret_omitted);

#endif
