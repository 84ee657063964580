/* SPDX-License-Identifier: MIT */
/* Where all tasks of asyncio lie: those that the C accelerator keeps in sets or in lists. What lies
 * there is looked at by others (pylist.c): it may have ended since. */
#ifndef LSC_INSPECT_PYROLL_H
#define LSC_INSPECT_PYROLL_H

#include "inspect/pyobject.h"
#include "inspect/pypages.h"

#define PYROLL_MAX 50000

struct pyroll {
	uint64_t *address; /* owned; n of them, sorted, each once */
	size_t n, room;
	uint64_t omitted; /* beyond PYROLL_MAX; of lists at least so many */
	uint64_t torn;	  /* lists that did not come back to their begin: some tasks may lack */
	unsigned int steps, repairs; /* that were taken in lists */
};

/* Reads through pages, which it forgets where memory has changed meanwhile. NONE also where asyncio
 * is not there: then there are no tasks. *ret is to be freed in any case. */
enum message_why pyroll_read(struct pyview *v, struct pypages *pages, struct pyroll *ret);
void pyroll_done(struct pyroll *r);

#endif
