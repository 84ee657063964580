/* SPDX-License-Identifier: MIT */
/*
 * What V8 writes down of optimized code, to go back from it: for a place in it, which functions
 * are at work there, the inlined ones among them. Parses bytes of the target.
 */
#ifndef LSC_INSPECT_V8TRANSLATION_H
#define LSC_INSPECT_V8TRANSLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define V8TRANSLATION_OWN (-1)

/* One version's operations: a character each, in their order. How many operands it has: '0' to
 * '9'; of one that begins a translation 'A' is none, 'B' one, ...; of a frame of JavaScript 'a' is
 * none, and so on; 'k' is none of a frame of V8's own functions. */
struct v8operations {
	const char *kinds;
	uint8_t frames; /* which operand of the beginning is the number of JavaScript's frames */
	bool plain; /* operations are numbers like others; else bytes, and the last one repeats */
};

/* The literals that stand for the functions at work where the translation at `at` leads, outermost
 * first; V8TRANSLATION_OWN of one of V8's own. Their number; 0: they cannot be read, or are more
 * than max. */
size_t v8translation_read(const struct v8operations *o, const uint8_t *bytes, size_t size,
			  size_t at, int32_t *ret_literals, size_t max);

#endif
