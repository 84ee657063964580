/* SPDX-License-Identifier: MIT */
/* Functions of JavaScript that an optimizing compiler has inlined: they have no frames. */
#ifndef LSC_INSPECT_V8INLINE_H
#define LSC_INSPECT_V8INLINE_H

#include "inspect/v8view.h"

/* Functions at one place: Turbofan inlines 50 deep (kMaxDepthForInlining in its js-inlining.cc),
 * Maglev less. */
#define V8INLINE_MAX 64

/* The SharedFunctionInfos of those that are at work where the code of the function `shared` calls
 * from (pc is the return address), innermost first, without itself. Their number. *ret_unknown:
 * there may be some, which are not known: pc is no place of a call, or V8 is another version. */
size_t v8inline_find(struct v8view *v, uint64_t shared, uint64_t pc, bool calls,
		     uint64_t ret[V8INLINE_MAX], bool *ret_unknown);

/* The SharedFunctionInfo of the function that the optimized code at pc was made for. False: there
 * is no such code. */
bool v8inline_owner(struct v8view *v, uint64_t pc, uint64_t *ret);

#endif
