/* SPDX-License-Identifier: MIT */
/* Where the stack of a greenlet ends: of gevent, eventlet and what else uses the module greenlet.
 */
#ifndef LSC_INSPECT_GREENLET_H
#define LSC_INSPECT_GREENLET_H

#include "inspect/answer.h"

/* Leaves off the frames beyond the one that a greenlet begins in. */
void greenlet_cut(struct answer *a);

#endif
