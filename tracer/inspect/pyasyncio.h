/* SPDX-License-Identifier: MIT */
/*
 * Where asyncio keeps its tasks since 3.14, as its C accelerator tells it in a section of its own.
 */
#ifndef LSC_INSPECT_PYASYNCIO_H
#define LSC_INSPECT_PYASYNCIO_H

#include "inspect/pyview.h"

#define PYASYNCIO_SECTION ".AsyncioDebug"
#define PYASYNCIO_BYTES	  104

/* Puts what is told into the layout. False, and nothing done, when _asyncio is not loaded or what
 * it tells cannot be. */
bool pyasyncio_take(struct pyview *v);

#endif
