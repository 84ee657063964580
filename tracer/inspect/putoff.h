/* SPDX-License-Identifier: MIT */
/* Jobs that lack what only an indexer can find out: they wait for it, and are run once more. */
#ifndef LSC_INSPECT_PUTOFF_H
#define LSC_INSPECT_PUTOFF_H

#include "inspect/state.h"

/* Takes a job that lacks what ins->question asks for. One that cannot wait is run at once, and has
 * to make do. */
void putoff_job(struct inspector *ins, struct job *job, uint64_t now_ns);

/* A desk's answer, for the worker; arg is the inspector. */
desk_answer_fn putoff_take;

/* The same of a debug file that has come: its file is indexed anew. */
fetch_come_fn putoff_renew;

#endif
