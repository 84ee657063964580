/* SPDX-License-Identifier: MIT */
/*
 * Variable-length integers: 7 bits a byte, low bits first, the top bit says that more follows; at
 * most 10 bytes. Signed values are zigzag-coded first, so that small ones of either sign stay
 * short.
 */
#ifndef LSC_STORE_VARINT_H
#define LSC_STORE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_MAX 10 /* bytes of a 64-bit value */

/* Writes v at p, which has room for VARINT_MAX bytes; returns the byte behind it. */
static inline uint8_t *varint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Reads at p, never at or behind end; returns the byte behind the number, NULL when it is cut or
 * too long. Takes NULL, so that a row of reads can be checked once. */
static inline const uint8_t *varint_get(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	if (!p)
		return NULL;
	for (int shift = 0; shift < 64 && p < end; shift += 7) {
		uint8_t b = *p++;
		if (shift == 63 && b > 1)
			return NULL;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return p;
		}
	}
	return NULL;
}

static inline uint64_t varint_zigzag(uint64_t difference)
{
	return (difference << 1) ^ (0 - (difference >> 63));
}

static inline uint64_t varint_unzigzag(uint64_t v)
{
	return (v >> 1) ^ (0 - (v & 1));
}

#endif
