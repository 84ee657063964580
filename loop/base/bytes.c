/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char letters[] = "BKMGT";

/* The power of 1024 that a unit stands for, or -1. */
static int power_of(const char *unit)
{
	const char *letter = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;

	if (!letter)
		return -1;
	if (unit[1] &&
	    (letter == letters || (strcasecmp(unit + 1, "B") && strcasecmp(unit + 1, "iB"))))
		return -1;
	return (int)(letter - letters);
}

int lsc_bytes_parse(const char *text, uint64_t *ret_bytes)
{
	char *end;

	if (!isdigit((unsigned char)text[0]) ||
	    (text[0] == '0' && tolower((unsigned char)text[1]) == 'x'))
		return -EINVAL; /* strtod would take signs, inf, nan, spaces and hexadecimals */
	errno = 0;
	double v = strtod(text, &end);
	int power = v == 0 && !*end ? 0 : power_of(end);
	if (errno || power < 0)
		return -EINVAL;
	v *= (double)(1ull << 10 * power);
	if (!(v <= (double)(1ull << 62)))
		return -ERANGE;
	*ret_bytes = (uint64_t)v;
	return 0;
}

const char *lsc_bytes_format(uint64_t bytes, char *buf, size_t size)
{
	int power = 0;
	uint64_t tenths;

	while (power < 4 && bytes >> 10 * (power + 1))
		power++;
	tenths = (uint64_t)((double)bytes * 10 / (double)(1ull << 10 * power) + 0.5);
	if (tenths % 10)
		snprintf(buf, size, "%llu.%llu %ciB", (unsigned long long)tenths / 10,
			 (unsigned long long)tenths % 10, letters[power]);
	else
		snprintf(buf, size, power ? "%llu %ciB" : "%llu %c",
			 (unsigned long long)tenths / 10, letters[power]);
	return buf;
}
