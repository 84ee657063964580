/* SPDX-License-Identifier: MIT */
/* The asyncio task whose coroutine is among a thread's frames. */
#ifndef LSC_INSPECT_PYTASK_H
#define LSC_INSPECT_PYTASK_H

#include "inspect/pyframe.h"

/* The current task of the loop that the thread runs, which the target numbers tid: one of
 * _asyncio._current_tasks, since 3.14 the one that its state names. Its own coroutine is one of
 * these frames, so it can be no other thread's. *ret is the task's address, *ret_frame the
 * coroutine's frame; its name goes into name. False: in none, or unknown. */
bool pytask_find(struct pyview *v, uint32_t tid, const struct pyframe *frames, size_t n,
		 uint64_t *ret, const struct pyframe **ret_frame, char *name, size_t size);

/* The same of the one that was current when the frames were taken. */
bool pytask_take(struct pyview *v, const struct inspector_seen_task *seen,
		 const struct pyframe *frames, size_t n, uint64_t *ret,
		 const struct pyframe **ret_frame, char *name, size_t size);

/* Up to 3.13: the dictionary of the loops' current tasks; 0: there is none yet. */
uint64_t pytask_current(struct pyview *v);

/* What the module _asyncio has under a name; 0: nothing, or it is not imported. */
uint64_t pytask_global(struct pyview *v, const char *name);

/* A task's name into text of size bytes, by the object that the task has for it: a text, or since
 * 3.12 the number of one that was given none. */
bool pytask_name(struct pyview *v, uint64_t object, char *name, size_t size);

#endif
