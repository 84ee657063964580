/* SPDX-License-Identifier: MIT */
/* Source: struct Py_AsyncioModuleDebugOffsets in Modules/_asynciomodule.c of 3.14. */
#include "inspect/pyasyncio.h"

enum { /* in words */
       TASK_SIZE,
       TASK_NAME,
       TASK_CORO = 5,
       STATE_SIZE = 9,
       STATE_TASK = 11,
       WORDS = 13
};
_Static_assert(WORDS * sizeof(uint64_t) == PYASYNCIO_BYTES, "one is the other");

#define TASK_BYTES_MAX	1024
#define STATE_BYTES_MAX 65536

/* A pointer within so many bytes. */
static bool is_field(uint64_t offset, uint64_t size)
{
	return offset && offset % sizeof(uint64_t) == 0 && offset <= size - sizeof(uint64_t);
}

bool pyasyncio_read(const struct pyview *v, struct pyasyncio *ret)
{
	uint64_t d[WORDS];

	if (!v->asyncio || !v->py.read(v->py.arg, v->asyncio, d, sizeof(d)) ||
	    d[TASK_SIZE] < sizeof(uint64_t) || d[TASK_SIZE] > TASK_BYTES_MAX ||
	    d[STATE_SIZE] < sizeof(uint64_t) || d[STATE_SIZE] > STATE_BYTES_MAX ||
	    !is_field(d[TASK_NAME], d[TASK_SIZE]) || !is_field(d[TASK_CORO], d[TASK_SIZE]) ||
	    !is_field(d[STATE_TASK], d[STATE_SIZE]))
		return false;
	*ret = (struct pyasyncio){.task_coro = (uint32_t)d[TASK_CORO],
				  .task_name = (uint32_t)d[TASK_NAME],
				  .state_task = (uint32_t)d[STATE_TASK]};
	return true;
}
