/* SPDX-License-Identifier: MIT */
/*
 * Sources: Objects/lnotab_notes.txt of 3.8 and 3.10, Objects/locations.md of 3.11. A line is added
 * up over the whole table: a hostile one may reach any number, but no other than that.
 */
#include "inspect/pyline.h"

#include <stdbool.h>

static int plausible(int64_t line)
{
	return line > 0 && line <= INT32_MAX ? (int)line : 0;
}

/* co_lnotab: each pair is how many bytes later how many lines later something begins. */
static int find_38(const uint8_t *table, size_t size, int64_t line, int64_t at)
{
	int64_t address = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		address += table[i];
		if (address > at)
			break;
		line += (int8_t)table[i + 1];
	}
	return plausible(line);
}

/* co_linetable: each pair is how many bytes have the line that is so many later; -128: none. */
static int find_310(const uint8_t *table, size_t size, int64_t line, int64_t at)
{
	int64_t end = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		int8_t delta = (int8_t)table[i + 1];
		end += table[i];
		if (delta != -128)
			line += delta;
		if (at < end)
			return delta == -128 ? 0 : plausible(line);
	}
	return 0;
}

/* Six bits at a time, the lowest first; bit 6: more follow; zig-zag. */
static int64_t read_signed(const uint8_t *table, size_t size, size_t i)
{
	uint64_t n = 0;
	unsigned int shift = 0;

	for (; i < size && shift < 36; i++, shift += 6) {
		n |= (uint64_t)(table[i] & 0x3f) << shift;
		if (!(table[i] & 0x40))
			break;
	}
	return n & 1 ? -(int64_t)(n >> 1) : (int64_t)(n >> 1);
}

/* co_linetable: entries of a byte with bit 7 (kind, length in code units) and what follows it. */
static int find_311(const uint8_t *table, size_t size, int64_t line, int64_t at)
{
	int64_t end = 0;

	for (size_t i = 0; i < size;) {
		unsigned int kind = table[i] >> 3 & 15;
		bool none = kind == 15;
		end += 2 * ((table[i++] & 7) + 1);
		if (kind == 13 || kind == 14)
			line += read_signed(table, size, i);
		else if (kind >= 10 && kind <= 12)
			line += kind - 10;
		if (at < end)
			return none ? 0 : plausible(line);
		while (i < size && !(table[i] & 0x80))
			i++;
	}
	return 0;
}

int pyline_find(unsigned int minor, const uint8_t *table, size_t size, int first, int64_t at)
{
	if (at < 0)
		return plausible(first);
	if (minor < 10)
		return find_38(table, size, first, at);
	return minor == 10 ? find_310(table, size, first, at) : find_311(table, size, first, at);
}
