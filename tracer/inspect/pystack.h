/* SPDX-License-Identifier: MIT */
/* Frames of Python among the native ones. */
#ifndef LSC_INSPECT_PYSTACK_H
#define LSC_INSPECT_PYSTACK_H

#include "inspect/answer.h"
#include "inspect/pychain.h"

/* Puts the frames in place of the native ones that run them, and the task beside. Where they do not
 * fit, or there are none: the answer is left as it is, and says why. */
void pystack_merge(const struct pychain *chain, struct answer *a);

#endif
