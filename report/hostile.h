/* SPDX-License-Identifier: MIT */
/* Which characters of hostile text must not reach a terminal or a page. */
#ifndef LSC_REPORT_HOSTILE_H
#define LSC_REPORT_HOSTILE_H

#include <stddef.h>

/* The length in bytes of the control (C0, DEL, C1), invisible or direction character at s, which is
 * NUL-terminated UTF-8; 0 when the character there is harmless. */
static inline size_t hostile_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (s[0] < 0x20 || s[0] == 0x7f)
		return 1;
	if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f)
		return 2;
	/* U+200B-200F, U+2028-202E, U+2066-2069 */
	if (s[0] == 0xe2 && s[1] == 0x80 &&
	    ((s[2] >= 0x8b && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae)))
		return 3;
	if (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)
		return 3;
	return 0;
}

#endif
