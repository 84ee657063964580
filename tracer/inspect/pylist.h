/* SPDX-License-Identifier: MIT */
/*
 * All tasks of asyncio in a process: what asyncio.all_tasks() says of each loop. The process goes
 * on meanwhile, so each task is read twice and believed when both say the same.
 */
#ifndef LSC_INSPECT_PYLIST_H
#define LSC_INSPECT_PYLIST_H

#include "inspect/pyawait.h"
#include "inspect/pywaker.h"

struct pylist_task {
	uint64_t address, loop, waiter, coro, name; /* waiter: the future it waits for; 0 none */
	struct pyawait chain; /* of one that runs goes on with what its coroutine calls */
	size_t own;	      /* frames of the chain that are not of what it calls */
	struct pywaker wakes; /* the task itself first */
	uint64_t group;	      /* the group whose end it awaits; 0 none */
};

struct pylist_tally {
	uint64_t told;
	uint64_t changed; /* that never were the same twice */
	uint64_t omitted; /* beyond what is told at most */
	uint64_t torn;	  /* lists that were not read to their end: tasks of them may lack */
};

/* Reads all of them, calls fn for each (borrowed until it returns), until it returns false. */
typedef bool pylist_fn(struct pyview *v, const struct pylist_task *t, void *arg);
enum message_why pylist_read(struct pyview *v, pylist_fn *fn, void *arg,
			     struct pylist_tally *ret_tally);

/* The target's number of the thread that runs a loop now; 0 none, or unknown. */
uint32_t pylist_thread(struct pyview *v, uint64_t loop);

#endif
