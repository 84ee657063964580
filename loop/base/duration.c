/* SPDX-License-Identifier: MIT */
/* Parsing and formatting of durations. */
#include "base/duration.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	double ns;
} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}};

int lsc_duration_parse(const char *text, uint64_t bare_ns, uint64_t *ret_ns)
{
	char *end;
	double unit = (double)bare_ns;

	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return -EINVAL; /* strtod would take signs, inf, nan and spaces */
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return -EINVAL;
	errno = 0;
	double v = strtod(text, &end);
	if (end == text || errno)
		return -EINVAL;
	if (*end) {
		size_t i = 0;
		while (i < sizeof(units) / sizeof(units[0]) && strcmp(end, units[i].name))
			i++;
		if (i == sizeof(units) / sizeof(units[0]))
			return -EINVAL;
		unit = units[i].ns;
	}
	v *= unit;
	if (!(v <= 100 * 365.25 * 86400e9))
		return -ERANGE;
	*ret_ns = (uint64_t)llround(v);
	return 0;
}

const char *lsc_duration_format(uint64_t ns, char *buf, size_t size)
{
	if (ns < 1000)
		snprintf(buf, size, "%llu ns", (unsigned long long)ns);
	else if (ns < 999950)
		snprintf(buf, size, "%.1f us", (double)ns / 1e3);
	else if (ns < 999950000)
		snprintf(buf, size, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(buf, size, "%.2f s", (double)ns / 1e9);
	return buf;
}

bool lsc_duration_is_range(uint64_t least_ns, uint64_t most_ns)
{
	return least_ns < most_ns && most_ns - least_ns > most_ns / 50;
}
