/* SPDX-License-Identifier: MIT */
/* Durations as people write and read them. */
#ifndef LSC_BASE_DURATION_H
#define LSC_BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parses "10ms", "1.5s", "2m", "250us", "7ns"; a bare number is in units of bare_ns (contract:
 * seconds for -d, milliseconds elsewhere). 0 or -EINVAL; -ERANGE above 100 years. */
int lsc_duration_parse(const char *text, uint64_t bare_ns, uint64_t *ret_ns);

/* "300.2 ms", "5.61 s", "12.0 us": three or four significant digits. Returns buf. */
const char *lsc_duration_format(uint64_t ns, char *buf, size_t size);

/* Whether bounds tell a person more than a single number does: they lie more than a fiftieth of the
 * upper one apart. */
bool lsc_duration_is_range(uint64_t least_ns, uint64_t most_ns);

#endif
