/* SPDX-License-Identifier: MIT */
/* Source: struct Py_AsyncioModuleDebugOffsets and TaskObj in Modules/_asynciomodule.c of 3.14. */
#include "inspect/pyasyncio.h"

#include "base/cleanup.h"

enum { /* in words */
       TASK_SIZE,
       TASK_NAME,
       TASK_AWAITED_BY,
       TASK_IS_TASK,
       TASK_CORO = 5,
       TASK_NODE,
       INTERP_SIZE,
       INTERP_TASKS,
       STATE_SIZE,
       STATE_LOOP,
       STATE_TASK,
       STATE_TASKS,
       WORDS
};
_Static_assert(WORDS * sizeof(uint64_t) == PYASYNCIO_BYTES, "one is the other");

#define TASK_BYTES_MAX	 1024
#define STATE_BYTES_MAX	 65536
#define INTERP_BYTES_MAX (16u << 20)

/* Words within something, and at most how large that is. */
static const struct {
	unsigned int word, size, words, bytes_max;
} fields[] = {
	{TASK_NAME, TASK_SIZE, 1, TASK_BYTES_MAX},
	{TASK_AWAITED_BY, TASK_SIZE, 2, TASK_BYTES_MAX},
	{TASK_CORO, TASK_SIZE, 2, TASK_BYTES_MAX},
	{TASK_NODE, TASK_SIZE, 2, TASK_BYTES_MAX},
	{INTERP_TASKS, INTERP_SIZE, 2, INTERP_BYTES_MAX},
	{STATE_LOOP, STATE_SIZE, 1, STATE_BYTES_MAX},
	{STATE_TASK, STATE_SIZE, 1, STATE_BYTES_MAX},
	{STATE_TASKS, STATE_SIZE, 2, STATE_BYTES_MAX},
};

/* The state of a future, an int, lies between two fields that are told; the waiter before the
 * coroutine. */
static bool fits(const uint64_t *d)
{
	for (size_t i = 0; i < LSC_ARRAY_LEN(fields); i++) {
		uint64_t at = d[fields[i].word], size = d[fields[i].size],
			 bytes = fields[i].words * sizeof(uint64_t);
		if (!at || at % sizeof(uint64_t) || size > fields[i].bytes_max || size < bytes ||
		    at > size - bytes)
			return false;
	}
	return d[TASK_NAME] == d[TASK_CORO] + sizeof(uint64_t) &&
	       d[TASK_IS_TASK] == d[TASK_AWAITED_BY] + sizeof(uint64_t) + sizeof(int32_t);
}

bool pyasyncio_take(struct pyview *v)
{
	struct pylayout *l = &v->layout;
	uint64_t d[WORDS];

	if (!v->asyncio || !v->py.read(v->py.arg, v->asyncio, d, sizeof(d)) || !fits(d))
		return false;
	l->task_coro = (uint32_t)d[TASK_CORO];
	l->task_state = (uint32_t)(d[TASK_AWAITED_BY] + sizeof(uint64_t));
	l->task_node = (uint32_t)d[TASK_NODE];
	l->interp_tasks = (uint32_t)d[INTERP_TASKS];
	l->state_loop = (uint32_t)d[STATE_LOOP];
	l->state_task = (uint32_t)d[STATE_TASK];
	l->state_tasks = (uint32_t)d[STATE_TASKS];
	return true;
}
