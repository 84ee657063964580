/* SPDX-License-Identifier: MIT */
#include "inspect/utf8.h"

size_t utf8_put(uint32_t c, char to[4])
{
	if (!c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		c = UTF8_REPLACEMENT;
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)((0xf00u >> n & 0xff) | c);
	return n;
}
