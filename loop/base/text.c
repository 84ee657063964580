/* SPDX-License-Identifier: MIT */
/* UTF-8 repair, and removal of what harms who reads it. */
#include "base/text.h"

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

/* C0, DEL, C1; and of Unicode's format characters (category Cf), and its two separators of lines
 * (Zl, Zp), what shows nothing, or turns the direction. */
bool lsc_text_harms(uint32_t point)
{
	static const uint32_t ranges[][2] = {{0x00, 0x1f},     {0x7f, 0x9f},	  {0xad, 0xad},
					     {0x61c, 0x61c},   {0x180e, 0x180e},  {0x200b, 0x200f},
					     {0x2028, 0x202e}, {0x2060, 0x206f},  {0xfeff, 0xfeff},
					     {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (point >= ranges[i][0] && point <= ranges[i][1])
			return true;
	return false;
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
		} else if (plain && lsc_text_harms(point)) {
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

const char *lsc_bare_name(const char *function)
{
	const char *name = function;
	int depth = 0;

	for (const char *at = function; *at; at++) {
		if (!depth && ((*at == '(' && at != name) || !strncmp(at, "operator", 8)))
			break;
		if (strchr("(<[", *at))
			depth++;
		else if (strchr(")>]", *at) && depth)
			depth--;
		else if (!depth && *at == ' ')
			name = at + 1;
	}
	return name;
}
