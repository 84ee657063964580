/* SPDX-License-Identifier: MIT */
/* Characters as UTF-8. */
#ifndef LSC_INSPECT_UTF8_H
#define LSC_INSPECT_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu

/* Writes the bytes of a character, without a NUL; what is none (NUL, half a surrogate pair, too
 * large) becomes U+FFFD. How many they are. */
size_t utf8_put(uint32_t c, char to[4]);

#endif
