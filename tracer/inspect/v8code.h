/* SPDX-License-Identifier: MIT */
/* Which code of a process V8 has generated. */
#ifndef LSC_INSPECT_V8CODE_H
#define LSC_INSPECT_V8CODE_H

#include "inspect/v8view.h"

/* The code at this address, which lies in this mapping (NULL unknown): in memory without a file, or
 * of node's file, but without a rule how to unwind it, as V8's built-in functions are. */
bool v8code_is(struct v8view *v, const struct space *s, const struct space_map *map,
	       uint64_t address);

#endif
