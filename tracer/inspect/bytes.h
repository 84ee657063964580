/* SPDX-License-Identifier: MIT */
/* Numbers in memory that was read from a target: at any place, little-endian as here. */
#ifndef LSC_INSPECT_BYTES_H
#define LSC_INSPECT_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t w;

	memcpy(&w, bytes + offset, sizeof(w));
	return w;
}

static inline uint32_t number_at(const uint8_t *bytes, size_t offset)
{
	uint32_t n;

	memcpy(&n, bytes + offset, sizeof(n));
	return n;
}

static inline int32_t int_at(const uint8_t *bytes, size_t offset)
{
	return (int32_t)number_at(bytes, offset);
}

#endif
