/* SPDX-License-Identifier: MIT */
/* What the worker says, and what follows from it. */
#ifndef LSC_INSPECT_HEARD_H
#define LSC_INSPECT_HEARD_H

#include "inspect/state.h"

/* Takes the message of size bytes in ins->buf. False: it makes no sense. */
bool heard_take(struct inspector *ins, size_t size, uint64_t now_ns);

#endif
