/* SPDX-License-Identifier: MIT */
/*
 * Where asyncio keeps its tasks since 3.14, as its C accelerator tells it in a section of its own.
 */
#ifndef LSC_INSPECT_PYASYNCIO_H
#define LSC_INSPECT_PYASYNCIO_H

#include "inspect/pyview.h"

#define PYASYNCIO_SECTION ".AsyncioDebug"
#define PYASYNCIO_BYTES	  104

/* Offsets in bytes. */
struct pyasyncio {
	uint32_t task_coro, task_name;
	uint32_t
		state_task; /* of a thread's state: its current task, borrowed; a pointer, 0 none */
};

/* False when it is not loaded, or what it tells cannot be. */
bool pyasyncio_read(const struct pyview *v, struct pyasyncio *ret);

#endif
