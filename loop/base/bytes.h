/* SPDX-License-Identifier: MIT */
/* Amounts of memory and disk as people write and read them; powers of 1024. */
#ifndef LSC_BASE_BYTES_H
#define LSC_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Parses "64M", "1.5G", "512K", "2T", "100B"; "64MiB" and "64MB" are "64M", in small letters, too.
 * A unit is needed, except after 0. 0 or -EINVAL; -ERANGE above 2^62. */
int lsc_bytes_parse(const char *text, uint64_t *ret_bytes);

/* "64 MiB", "1.5 GiB", "100 B": at most one decimal, none when it is 0. Returns buf. */
const char *lsc_bytes_format(uint64_t bytes, char *buf, size_t size);

#endif
