/* SPDX-License-Identifier: MIT */
/*
 * Whom a future of asyncio goes on to wake when it is done: the futures and groups that its
 * callbacks hold. So gather, wait, shield, wait_for and TaskGroup are seen through, whose tasks
 * wait for a future of their own.
 */
#ifndef LSC_INSPECT_PYWAKER_H
#define LSC_INSPECT_PYWAKER_H

#include "inspect/pyclass.h"

#define PYWAKER_MAX 16

struct pywaker {
	uint64_t found[PYWAKER_MAX]; /* futures, and objects whose method is called */
	size_t n;
};

/* What it wakes, and what those wake in turn, as far as there is room. */
void pywaker_collect(struct pyview *v, uint64_t future, struct pywaker *ret);

#endif
