/* SPDX-License-Identifier: MIT */
/*
 * Strings of a V8 in another process, in all their forms: one byte or two for a character, put
 * together of others, part of another, in place of another, outside of the heap.
 */
#ifndef LSC_INSPECT_V8STRING_H
#define LSC_INSPECT_V8STRING_H

#include "inspect/v8view.h"

/* The object is a string, of *ret characters. */
bool v8string_length(const struct v8view *v, uint64_t object, uint32_t *ret);

/* Its text as UTF-8 into buf of size bytes, with a NUL, cut where it does not fit. False, with an
 * empty text: it is no string, or one that cannot be read. */
bool v8string_text(const struct v8view *v, uint64_t object, char *buf, size_t size);

/* The line, from 1 on, that a position in a source text is in, as V8 counts them. 0: unknown. */
int v8string_line(const struct v8view *v, uint64_t object, uint32_t position);

#endif
