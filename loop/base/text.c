/* SPDX-License-Identifier: MIT */
/* UTF-8 repair, and removal of what steers a terminal. */
#include "base/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

size_t lsc_text_next(const char *s, size_t n, uint32_t *ret_point)
{
	const unsigned char *b = (const unsigned char *)s;
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = b[0] < 0x80 ? 1 : b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	uint32_t point;

	*ret_point = LSC_TEXT_REPLACEMENT;
	if (length == 1) {
		*ret_point = b[0];
		return 1;
	}
	if (!length || b[0] > 0xf4 || length > n)
		return 1;
	point = b[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 1;
		point = point << 6 | (b[i] & 0x3f);
	}
	if (point < lowest[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 1;
	*ret_point = point;
	return length;
}

static bool steers_terminal(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
	       (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
	       point == 0x2028 || point == 0x2029 || point == 0x200e || point == 0x200f ||
	       point == 0x61c;
}

static char *copy(const char *bytes, bool plain)
{
	size_t n = strlen(bytes), at = 0;
	char *out = malloc(n * 3 + 1); /* U+FFFD takes three bytes where one was wrong */

	if (!out)
		return NULL;
	for (size_t i = 0; i < n;) {
		uint32_t point;
		size_t took = lsc_text_next(bytes + i, n - i, &point);

		if (plain && (point == '\t' || point == '\n' || point == '\r')) {
			out[at++] = ' ';
		} else if (plain && steers_terminal(point)) {
			/* dropped */
		} else if (point == LSC_TEXT_REPLACEMENT) {
			memcpy(out + at, "\xef\xbf\xbd", 3);
			at += 3;
		} else {
			memcpy(out + at, bytes + i, took);
			at += took;
		}
		i += took;
	}
	out[at] = '\0';
	return out;
}

char *lsc_text_utf8(const char *bytes)
{
	return copy(bytes, false);
}

char *lsc_text_plain(const char *bytes)
{
	return copy(bytes, true);
}
