/* SPDX-License-Identifier: MIT */
/*
 * Text that a target or a file wrote is hostile bytes. Before it goes into JSON it becomes valid
 * UTF-8; before it goes to a terminal it also loses whatever could steer the terminal.
 */
#ifndef LSC_BASE_TEXT_H
#define LSC_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LSC_TEXT_REPLACEMENT 0xfffdu

/* Decodes the code point at s (n > 0 bytes left) and returns how many bytes it takes. A byte that
 * begins no valid sequence (overlong, surrogate, beyond U+10FFFF, cut) yields U+FFFD and takes one.
 */
size_t lsc_text_next(const char *s, size_t n, uint32_t *ret_point);

/* Whether a code point of a hostile text must reach neither a terminal nor a page: it steers, turns
 * the direction of what stands beside it, or cannot be seen. */
bool lsc_text_harms(uint32_t point);

/* A copy in valid UTF-8. Gives; NULL out of memory. */
char *lsc_text_utf8(const char *bytes);

/* A copy in valid UTF-8 for one line of a terminal: what harms is dropped; tab, newline and
 * carriage return become a space. Gives; NULL out of memory. */
char *lsc_text_plain(const char *bytes);

/* Where the name of a C++ function begins: before it may stand what it returns, and words in
 * brackets, as in "void (anonymous namespace)::f<int>(int)". A part of function. */
const char *lsc_bare_name(const char *function);

#endif
